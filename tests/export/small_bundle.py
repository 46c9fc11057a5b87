"""A bundle of the small graphs, for tests of what is made from a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dmdd_edge.bundle.bundle import Bundle, BundleWriter
from dmdd_edge.bundle.manifest import Licenses, graph_specs
from dmdd_edge.bundle.threshold import threshold_from_normals
from tests.export import small_graph


def write_bundle(
    models: Path, graphs: dict[str, Path], extra: Callable[[Path], dict[str, Any]] = lambda folder: {}
) -> Bundle:
    """A bundle of the category screw with these graphs (name in the bundle -> file); its threshold is 0.3."""
    inputs, outputs = graph_specs(small_graph.SIZE)
    with BundleWriter(models, "screw") as writer:
        for name, graph in graphs.items():
            (writer.path / name).write_bytes(graph.read_bytes())
        return writer.commit(
            backbone="small",
            image_size=small_graph.SIZE,
            input=inputs,
            outputs=outputs,
            threshold=threshold_from_normals([0.1, 0.3, 0.2]),
            licences=Licenses(code="Apache-2.0", weights="none", data="none"),
            created_with=extra(writer.path),
        )
