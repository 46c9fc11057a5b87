"""Graphs that several export tests share, written once a session."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helper modules beside the tests


@pytest.fixture(scope="session")
def small_fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small fused graph in fp32."""
    import small_graph

    return small_graph.write_onnx(
        small_graph.SmallFused(half=False), tmp_path_factory.mktemp("small") / "fp32.onnx"
    )


@pytest.fixture(scope="session")
def small_fp16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small fused graph in fp16 with fp32 islands."""
    import small_graph

    return small_graph.write_onnx(
        small_graph.SmallFused(half=True), tmp_path_factory.mktemp("small") / "fp16.onnx"
    )
