"""Graphs that several export tests share, written once a session."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.graphs import alone, shared_folder


def _small(tmp_path_factory: pytest.TempPathFactory, name: str, half: bool) -> Path:
    """A small graph in a folder of this process; written by the first process that needs it."""
    from tests.export import small_graph

    kept = shared_folder(tmp_path_factory.getbasetemp(), "small_graphs") / name
    with alone(kept):
        if not kept.exists():
            small_graph.write_onnx(small_graph.SmallFused(half=half), kept)
    return Path(shutil.copy(kept, tmp_path_factory.mktemp("small") / name))


@pytest.fixture(scope="session")
def small_fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small fused graph in fp32."""
    return _small(tmp_path_factory, "fp32.onnx", half=False)


@pytest.fixture(scope="session")
def small_fp16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small fused graph in fp16 with fp32 islands."""
    return _small(tmp_path_factory, "fp16.onnx", half=True)


@pytest.fixture(scope="session")
def tiny_export(tiny_outcome: Any, graphs_once: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The bundle of the tiny run, exported once; `models` is its folder of bundles. Not to be changed."""
    from dmdd_edge.export.pipeline import export_run

    return export_run(tiny_outcome.run.folder, tmp_path_factory.mktemp("exported") / "models")
