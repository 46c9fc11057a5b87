"""A graph that an engine can be built of, with results that can be worked out by hand, in half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE = 64


def half_graph(half: bool = True) -> bytes:
    """The map is (blue / 255 + green / 510) / 2, by a convolution in half precision; the score its maximum.

    Args:
        half: False: the same in fp32.
    """
    kind, real = (TensorProto.FLOAT16, np.float16) if half else (TensorProto.FLOAT, np.float32)
    weights = np.array([0.5, 0.25, 0.0], real).reshape(1, 3, 1, 1)
    constants = [
        numpy_helper.from_array(np.float32(255), "full"),
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([1], np.int64), "channel"),
        numpy_helper.from_array(np.array([1, 2], np.int64), "plane"),
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["real", "full"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["narrow"], to=kind),
        helper.make_node("Conv", ["narrow", "weights"], ["mixed"], name="mix", kernel_shape=[1, 1]),
        helper.make_node("Cast", ["mixed"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Squeeze", ["wide", "channel"], ["anomaly_map"]),
        helper.make_node("ReduceMax", ["anomaly_map", "plane"], ["score"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "half",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info("anomaly_map", TensorProto.FLOAT, ["N", SIZE, SIZE]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def expected(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Maps and scores of images uint8 N x S x S x 3, in fp32."""
    blue, green = images[..., 0].astype(np.float32), images[..., 1].astype(np.float32)
    maps: Any = (blue / 255 + green / 510) / 2
    return maps, maps.max(axis=(1, 2))


def check(model: bytes) -> None:
    """Raise where the graph is not well formed."""
    onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)
