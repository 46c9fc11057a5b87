"""Graphs that several export tests share, written once a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def small_fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small fused graph in fp32."""
    from tests.export import small_graph

    return small_graph.write_onnx(
        small_graph.SmallFused(half=False), tmp_path_factory.mktemp("small") / "fp32.onnx"
    )


@pytest.fixture(scope="session")
def small_fp16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small fused graph in fp16 with fp32 islands."""
    from tests.export import small_graph

    return small_graph.write_onnx(
        small_graph.SmallFused(half=True), tmp_path_factory.mktemp("small") / "fp16.onnx"
    )


@pytest.fixture(scope="session")
def tiny_export(tiny_outcome: Any, graphs_once: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The bundle of the tiny run, exported once; `models` is its folder of bundles. Not to be changed."""
    from dmdd_edge.export.pipeline import export_run

    return export_run(tiny_outcome.run.folder, tmp_path_factory.mktemp("exported") / "models")
