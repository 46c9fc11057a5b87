"""Changes to a written graph, for tests that want one rule broken and no other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper


def node_of(model: onnx.ModelProto, op: str, place: int = 0) -> NodeProto:
    return [node for node in model.graph.node if node.op_type == op][place]


def set_attribute(node: NodeProto, name: str, value: object) -> None:
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def read_in(model: onnx.ModelProto, old: str, new: str, reader: NodeProto) -> None:
    reader.input[:] = [new if name == old else name for name in reader.input]


def insert(model: onnx.ModelProto, before: NodeProto, *nodes: NodeProto) -> None:
    place = list(model.graph.node).index(before)
    for offset, node in enumerate(nodes):
        model.graph.node.insert(place + offset, node)


def cast(source: str, target: str, dtype: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=dtype)


def transpose_first(model: onnx.ModelProto) -> None:
    first, transpose = node_of(model, "Cast"), node_of(model, "Transpose")
    transpose.input[0], transpose.output[0] = "image", "turned"
    first.input[0], first.output[0] = "turned", "permute"
    model.graph.node.remove(transpose)
    model.graph.node.insert(0, transpose)


def resize(name: str, value: object) -> Callable[[onnx.ModelProto], None]:
    return lambda model: set_attribute(node_of(model, "Resize"), name, value)


def mixed_product(model: onnx.ModelProto) -> None:
    # distance (fp32) times its own half copy; inference of onnx objects as well, ours names the node
    mul = node_of(model, "Mul", 1)
    constant = next(t for t in model.graph.initializer if t.name == mul.input[1])
    half = numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), "half_scale")
    model.graph.initializer.append(half)
    mul.input[1] = "half_scale"


def more_in_topk(model: onnx.ModelProto) -> None:
    name = node_of(model, "TopK").input[1]
    count = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    count.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(count) + 1, name))
    del model.graph.value_info[:]  # the size of what it gives
