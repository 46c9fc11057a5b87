"""The parts of the fp16 graph that must be fp32, and how they are recognized.

The fp16 graph must be fp32 in these places (in half, sums of squares overflow and small distances vanish):

- the image's normalization: the first Cast is to float32, as is all arithmetic before the Cast to half;
- every node of an operation in :data:`FP32_OPS`, and Sigmoid outside the backbones (a gate inside a
  backbone, as in SiLU or squeeze-and-excite, is bounded and harmless in half);
- every node that has ``island`` in its name: the deployment module names its fp32 parts so;
- everything between the last network layer and the outputs: sigmoid, top-k, mean.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from dmdd_edge.export.graph_view import GraphView, dtype_name, listed, node_name

#: Operations that must be fp32 everywhere: sums that overflow in half, roots, powers, the top-k.
FP32_OPS = {
    "ReduceL2",
    "ReduceSum",
    "ReduceSumSquare",
    "LpNormalization",
    "TopK",
    "Sqrt",
    "Pow",
    "Exp",
    "Log",
}

#: In a node's name: part of an fp32 island, part of a backbone.
ISLAND, BACKBONES = "island", ("teacher", "student", "backbone")

_NETWORK_OPS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Sigmoid"}
_ARITHMETIC = {"Add", "Sub", "Mul", "Div"}


def fp16_problems(view: GraphView) -> Iterator[str]:
    """What is half but must not be, and what is not half but should be; one message each."""
    convolutions = [node for node in convolutions_of(view) if not in_island(node)]
    not_half = [node for node in convolutions if not is_half(view, node)]
    if not convolutions:
        yield "the graph has no convolution that half precision could speed up"
    elif not_half:
        first = node_name(not_half[0])
        yield f"{len(not_half)} of {len(convolutions)} convolutions are not half, such as {first}"
    for node in view.nodes:
        island = node.op_type in FP32_OPS or in_island(node)
        island |= node.op_type == "Sigmoid" and not _has(node, BACKBONES)
        kinds = view.floats([*node.input, *node.output]) - {TensorProto.FLOAT}
        if island and kinds and node.op_type != "Cast":
            yield f"{node_name(node)} runs in {listed(map(dtype_name, kinds))}; it must be float32"
    yield from _normalization(view)
    for value in view.model.graph.output:
        yield from _output_tail(view, value.name)


def _normalization(view: GraphView) -> Iterator[str]:
    """Follow the image until the Cast to half: some arithmetic must come before it."""
    for first in (node for value in view.inputs for node in view.consumers.get(value.name, [])):
        if first.op_type == "Cast" and view.types.get(first.output[0]) != TensorProto.FLOAT:
            dtype = view.dtype(first.output[0])
            yield f"{node_name(first)} casts the image to {dtype}; normalization requires float32"
            continue
        open_nodes, seen = [first], set()
        while open_nodes:
            node = open_nodes.pop()
            for following in (n for name in node.output for n in view.consumers.get(name, [])):
                if following.op_type == "Cast" and view.dtype(following.output[0]) == "float16":
                    yield f"{node_name(following)} casts the image to half before it is normalized"
                elif following.op_type not in _ARITHMETIC | {"Conv"} and following.output[0] not in seen:
                    seen.add(following.output[0])
                    open_nodes.append(following)


def _output_tail(view: GraphView, output: str) -> Iterator[str]:
    """Walk back from an output to the last network layer: everything between must be float32."""
    names, seen = [output], set()
    while names:
        name = names.pop()
        node = view.producer.get(name)
        if name in seen or node is None:
            continue
        seen.add(name)
        if view.floats([name]) - {TensorProto.FLOAT}:
            where = f"{view.dtype(name)} (at {node_name(node)})"
            yield f"{output} is computed in {where}; it must be float32 to the end"
            return
        if node.op_type not in _NETWORK_OPS and not node.op_type.startswith("Reduce"):
            names.extend(node.input)
        elif node.op_type == "ReduceMean":
            names.extend(node.input[:1])


def convolutions_of(view: GraphView) -> list[onnx.NodeProto]:
    """The convolutions, transposed ones too."""
    return [node for node in view.nodes if node.op_type in ("Conv", "ConvTranspose")]


def in_island(node: onnx.NodeProto) -> bool:
    """Whether a node's name marks it as part of an fp32 island."""
    return _has(node, (ISLAND,))


def is_half(view: GraphView, node: onnx.NodeProto) -> bool:
    """Whether a convolution's weights are fp16."""
    return view.types.get(node.input[1]) == TensorProto.FLOAT16


def _has(node: onnx.NodeProto, words: tuple[str, ...]) -> bool:
    return any(word in node.name.lower() for word in words)
