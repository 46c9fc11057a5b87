"""What the tests of bundles share: a writer of small ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import Bundle, BundleWriter
from dmdd_edge.bundle.manifest import graph_specs
from dmdd_edge.bundle.threshold import threshold_from_normals


@pytest.fixture
def manifest_fields() -> dict[str, Any]:
    """The fields that a writer of a bundle gives."""
    graph_input, outputs = graph_specs(64)
    return {
        "backbone": "efficientnet_lite0",
        "image_size": 64,
        "input": graph_input,
        "outputs": outputs,
        "threshold": threshold_from_normals([0.25, 0.5]),
        "licences": {"code": "Apache-2.0", "weights": "Apache-2.0", "data": "CC BY-NC-SA 4.0"},
    }


@pytest.fixture
def write_bundle(tmp_path: Path, manifest_fields: dict[str, Any]) -> Callable[..., Bundle]:
    """Write a bundle of plain files into ``tmp_path/models``."""

    def write(
        category: str = "screw", files: dict[str, bytes] | None = None, models: str = "models", **fields: Any
    ) -> Bundle:
        with BundleWriter(tmp_path / models, category) as writer:
            for name, content in (files or {"model.fp32.onnx": b"graph"}).items():
                target = writer.path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            return writer.commit(**{**manifest_fields, **fields})

    return write
