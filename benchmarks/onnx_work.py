"""Count the work in an ONNX graph per node: floating-point operations, bytes read and written.

A multiplication and an addition are two operations. Elementwise nodes count one per output value, whatever
they compute; comparisons and moves count zero. Bytes are what a node would move alone: its inputs, including
weights, and its outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import NodeProto, numpy_helper

Shapes = dict[str, tuple[int, ...]]

_ELEMENTWISE = {
    *("Add", "Sub", "Mul", "Div", "Sqrt", "Exp", "Log", "Abs", "Neg", "Reciprocal", "Pow", "Max", "Min"),
    *("Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Softplus", "Erf", "Floor"),
    *("BatchNormalization",),
}
_REDUCING = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "GlobalAveragePool"}
_MOVING = {
    *("Cast", "Transpose", "Reshape", "Concat", "Split", "Slice", "Pad", "Gather", "Flatten", "Squeeze"),
    *("Unsqueeze", "Identity", "Expand", "Constant", "Shape", "TopK", "Where", "Greater", "Less", "Equal"),
}
#: A view of existing data; moves nothing.
_FREE = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Constant", "Shape"}


@dataclass(frozen=True)
class NodeWork:
    """One node.

    Attributes:
        name: name in the graph.
        kind: operator; for a convolution also its kernel.
        flops: floating-point operations.
        read, written: bytes.
    """

    name: str
    kind: str
    flops: int
    read: int
    written: int

    @property
    def nbytes(self) -> int:
        """Bytes read and written."""
        return self.read + self.written


@dataclass(frozen=True)
class GraphWork:
    """A graph.

    Attributes:
        nodes: in the graph's order.
        weights: bytes of its constants.
        compulsory: minimum bytes to move: constants, inputs and outputs, each once.
        unknown: operators whose operations were not counted.
    """

    nodes: tuple[NodeWork, ...]
    weights: int
    compulsory: int
    unknown: tuple[str, ...]

    @property
    def flops(self) -> int:
        """Floating-point operations of all nodes."""
        return sum(node.flops for node in self.nodes)

    @property
    def nbytes(self) -> int:
        """Sum of the bytes of all nodes."""
        return sum(node.nbytes for node in self.nodes)

    def by_kind(self) -> dict[str, NodeWork]:
        """Sums per kind of node, the most operations first."""
        kinds: dict[str, NodeWork] = {}
        for node in self.nodes:
            before = kinds.get(node.kind, NodeWork(node.kind, node.kind, 0, 0, 0))
            kinds[node.kind] = NodeWork(
                node.kind,
                node.kind,
                before.flops + node.flops,
                before.read + node.read,
                before.written + node.written,
            )
        return dict(sorted(kinds.items(), key=lambda item: -item[1].flops))


def work_of(path: Path | str, batch: int = 1) -> GraphWork:
    """Count the work in a file.

    Args:
        path: an ONNX file whose only free dimension is the batch.
        batch: images per batch.

    Raises:
        ValueError: a shape cannot be inferred.
    """
    model = onnx.load(path)
    for item in model.graph.input:
        for dimension in item.type.tensor_type.shape.dim:
            if not dimension.HasField("dim_value"):
                dimension.dim_value = batch
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    shapes: Shapes = {name: value.shape for name, value in constants.items()}
    widths = {name: value.itemsize for name, value in constants.items()}
    for item in [*graph.input, *graph.value_info, *graph.output]:
        shapes[item.name] = tuple(d.dim_value for d in item.type.tensor_type.shape.dim)
        widths[item.name] = onnx.helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type).itemsize
    nodes, unknown = [], []
    for node in graph.node:
        missing = [name for name in (*node.input, *node.output) if name and name not in shapes]
        if missing:
            raise ValueError(f"{node.name}: the shape of {missing[0]} is unknown.")
        flops = _flops(node, shapes)
        if flops is None:
            unknown.append(node.op_type)
        read, written = (
            0
            if node.op_type in _FREE
            else sum(math.prod(shapes[name]) * widths[name] for name in dict.fromkeys(names) if name)
            for names in (node.input, node.output)
        )
        nodes.append(NodeWork(node.name, _kind(node, shapes), flops or 0, read, written))
    weights = sum(value.nbytes for value in constants.values())
    ends = [item.name for item in (*graph.input, *graph.output) if item.name not in constants]
    compulsory = weights + sum(math.prod(shapes[name]) * widths[name] for name in ends)
    return GraphWork(tuple(nodes), weights, compulsory, tuple(dict.fromkeys(unknown)))


def _flops(node: NodeProto, shapes: Shapes) -> int | None:
    """Operations of a node; None for an unknown operator."""
    out = math.prod(shapes[node.output[0]])
    if node.op_type in _MOVING:
        return 0
    if node.op_type in _ELEMENTWISE:
        return out
    if node.op_type in _REDUCING:
        return math.prod(shapes[node.input[0]])
    count: Callable[[NodeProto, Shapes, int], int] | None = _COUNTED.get(node.op_type)
    return None if count is None else count(node, shapes, out)


def _convolution(node: NodeProto, shapes: Shapes, out: int) -> int:
    # The weights are out x (in / groups) x height x width; one output value needs all but the first.
    return 2 * out * math.prod(shapes[node.input[1]][1:]) + (out if len(node.input) > 2 else 0)


def _product(node: NodeProto, shapes: Shapes, out: int) -> int:
    return 2 * out * shapes[node.input[0]][-1]


def _general_product(node: NodeProto, shapes: Shapes, out: int) -> int:
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    inner = shapes[node.input[0]][0 if transposed else 1]
    return 2 * out * inner + (out if len(node.input) > 2 else 0)


def _pool(node: NodeProto, shapes: Shapes, out: int) -> int:
    kernel = next(tuple(a.ints) for a in node.attribute if a.name == "kernel_shape")
    return int(out * math.prod(kernel))


def _resize(node: NodeProto, shapes: Shapes, out: int) -> int:
    mode = next((a.s.decode() for a in node.attribute if a.name == "mode"), "nearest")
    return 7 * out if mode == "linear" else 0  # four products and three sums of four neighbors


_COUNTED: dict[str, Callable[[NodeProto, Shapes, int], int]] = {
    "Conv": _convolution,
    "MatMul": _product,
    "Gemm": _general_product,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "Resize": _resize,
}


def _kind(node: NodeProto, shapes: Shapes) -> str:
    if node.op_type != "Conv":
        return node.op_type
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    kernel = shapes[node.input[1]][2:]
    sort = "depthwise " if groups > 1 and groups == shapes[node.input[0]][1] else ""
    return f"Conv {sort}{'x'.join(map(str, kernel))}"
