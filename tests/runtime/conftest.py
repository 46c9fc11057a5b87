"""Graphs and bundles whose results can be worked out by hand."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle, BundleWriter
from dmdd_edge.bundle.manifest import graph_specs
from dmdd_edge.bundle.threshold import threshold_from_normals
from tests.runtime.forked import PROGRAM, Forked
from tests.runtime.page.chromium import Browser, Chromium, find_chromium

SIZE = 64


def blue_graph(size: int = SIZE, ratio: bool = False) -> onnx.ModelProto:
    """A graph in the form of the real one: the map is the blue channel / 255, the score its maximum.

    Blue is the first channel of BGR, so a colour order mixed up on the way shows.

    Args:
        size: S.
        ratio: divide by the largest value of the image instead, so that a black one gives 0 / 0.
    """
    constants = [
        helper.make_tensor("first", TensorProto.INT64, [], [0]),
        helper.make_tensor("plane", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("full", TensorProto.FLOAT, [], [255.0]),
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["real", "first"], ["blue"], axis=3),
        helper.make_node("ReduceMax", ["blue", "plane"], ["largest"], keepdims=1),
        helper.make_node("Div", ["blue", "largest" if ratio else "full"], ["anomaly_map"]),
        helper.make_node("ReduceMax", ["anomaly_map", "plane"], ["score"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "blue",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["N", size, size]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"]),
        ],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def picture(
    background: int = 30,
    patch: int | None = None,
    box: tuple[int, int, int, int] = (100, 20, 40, 20),
    shape: tuple[int, int] = (128, 256),
) -> NDArray[np.uint8]:
    """A plain BGR picture, with a patch of blue where asked.

    Args:
        background: level of all channels.
        patch: blue level of the patch.
        box: the patch's x, y, width, height.
        shape: height, width.
    """
    image = np.full((*shape, 3), background, np.uint8)
    if patch is not None:
        x, y, w, h = box
        image[y : y + h, x : x + w, 0] = patch
    return image


@pytest.fixture
def make_picture() -> Callable[..., NDArray[np.uint8]]:
    """``picture``."""
    return picture


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """Write a bundle around ``blue_graph`` into ``tmp_path/models``; the threshold is 0.5."""

    def make(
        category: str = "screw",
        graph: bytes | None = None,
        graph_name: str = FP32_GRAPH,
        ratio: bool = False,
        **fields: Any,
    ) -> Bundle:
        graph_input, outputs = graph_specs(SIZE)
        with BundleWriter(tmp_path / "models", category) as writer:
            content = blue_graph(ratio=ratio).SerializeToString() if graph is None else graph
            (writer.path / graph_name).write_bytes(content)
            known: dict[str, Any] = {
                "backbone": "none",
                "image_size": SIZE,
                "input": graph_input,
                "outputs": outputs,
                "threshold": threshold_from_normals([0.25, 0.5]),
                "licences": {"code": "Apache-2.0", "weights": "none", "data": "none"},
            }
            return writer.commit(**{**known, **fields})

    return make


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder: two good parts and two defective ones in subfolders with the same file names."""
    folder = tmp_path / "images"
    for name, patch in {"good/0.png": None, "good/1.png": None, "bad/0.png": 204, "bad/1.png": 255}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), picture(patch=patch))
    return folder


@pytest.fixture(scope="session")
def forked() -> Iterator[Forked]:
    """The program, imported; starts of it with the environment of this moment are quick."""
    with closing(Forked()) as forked:
        yield forked


@pytest.fixture
def dmdd_edge(tmp_path: Path, forked: Forked) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the program in ``tmp_path``, as a process of its own."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return forked.run([str(argument) for argument in arguments], tmp_path, 60)

    return run


@pytest.fixture
def program() -> list[str]:
    """The command that starts the program."""
    return PROGRAM


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """Debian's chromium, or what DMDD_CHROMIUM names; skips without one."""
    program = find_chromium()
    if program is None:
        pytest.skip("no chromium here (apt-get install chromium, or set DMDD_CHROMIUM)")
    pytest.importorskip("websockets.sync.client", reason="needs websockets>=13.1 to drive chromium")
    with closing(Chromium(program)) as chromium:
        yield chromium


@pytest.fixture
def browser(chromium: Chromium) -> Iterator[Browser]:
    """An empty tab in a profile of its own."""
    with chromium.tab() as browser:
        yield browser
