"""Operations and bytes counted by hand on a small graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_work import work_of


def write(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray]) -> Path:  # type: ignore[type-arg]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """4 x 8 x 8 -> 3x3 convolution to 6 -> depthwise 3x3 -> Relu -> mean -> product with 6 x 5."""
    weights = {
        "w": np.zeros((6, 4, 3, 3), np.float32),
        "b": np.zeros(6, np.float32),
        "d": np.zeros((6, 1, 3, 3), np.float32),
        "m": np.zeros((6, 5), np.float32),
        "s": np.array([1, 6], np.int64),
    }
    pads = [1, 1, 1, 1]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="wide", pads=pads),
        helper.make_node("Conv", ["c", "d"], ["e"], name="deep", pads=pads, group=6),
        helper.make_node("Relu", ["e"], ["r"], name="relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], name="mean"),
        helper.make_node("Reshape", ["p", "s"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "m"], ["y"], name="product"),
    ]
    return write(tmp_path / "network.onnx", nodes, weights)


def test_operations_by_hand(network: Path) -> None:
    work = work_of(network)
    out = 6 * 8 * 8
    assert {node.name: node.flops for node in work.nodes} == {
        "wide": 2 * out * 4 * 9 + out,
        "deep": 2 * out * 9,
        "relu": out,
        "mean": out,
        "flat": 0,
        "product": 2 * 5 * 6,
    }
    assert work.unknown == ()
    assert list(work.by_kind()) == [
        "Conv 3x3",
        "Conv depthwise 3x3",
        "Relu",
        "GlobalAveragePool",
        "MatMul",
        "Reshape",
    ]


def test_bytes_by_hand(network: Path) -> None:
    work = work_of(network)
    nodes = {node.name: node for node in work.nodes}
    assert nodes["wide"].read == 4 * (4 * 64 + 6 * 36 + 6)
    assert nodes["wide"].written == 4 * 6 * 64
    assert nodes["relu"].nbytes == 2 * 4 * 6 * 64
    assert nodes["flat"].nbytes == 0, "a view"
    assert work.weights == 4 * (6 * 36 + 6 + 54 + 30) + 2 * 8
    assert work.compulsory == work.weights + 4 * 4 * 64 + 4 * 5


def test_a_batch_multiplies_all_but_the_weights(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="one")]
    path = write(tmp_path / "one.onnx", nodes, {"w": np.zeros((2, 4, 1, 1), np.float32)})
    one, three = work_of(path), work_of(path, batch=3)
    assert three.flops == 3 * one.flops == 3 * 2 * 2 * 64 * 4
    assert three.nbytes - three.weights == 3 * (one.nbytes - one.weights)


def test_resizing_and_pooling(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["p", "", "scales"], ["q"], name="linear", mode="linear"),
        helper.make_node("Resize", ["q", "", "scales"], ["y"], name="nearest", mode="nearest"),
    ]
    path = write(tmp_path / "r.onnx", nodes, {"scales": np.array([1, 1, 2, 2], np.float32)})
    work = work_of(path)
    assert [node.flops for node in work.nodes] == [9 * 4 * 16, 7 * 4 * 64, 0]


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("Softmax", ["x"], ["y"], name="soft")]
    work = work_of(write(tmp_path / "s.onnx", nodes, {}))
    assert work.unknown == ("Softmax",)
    assert work.flops == 0
