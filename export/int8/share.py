"""How much of a graph's work is INT8."""

from __future__ import annotations

import math

import onnx

from dmdd_edge.export.graph_view import GraphView
from dmdd_edge.export.islands import convolutions_of


def is_int8(view: GraphView, node: onnx.NodeProto) -> bool:
    """Whether a convolution's input and weights are INT8, dequantized right before it."""
    makers = [view.producer.get(name) for name in node.input[:2]]
    return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)


def int8_share(view: GraphView) -> float:
    """The share of the convolutions' multiply-adds that is INT8, 0..1, of all convolutions in the graph.

    Args:
        view: of a written graph, with its shapes.
    """
    work = {node.name: (_multiply_adds(view, node), is_int8(view, node)) for node in convolutions_of(view)}
    whole = sum(count for count, _ in work.values())
    return sum(count for count, inside in work.values() if inside) / whole if whole else 0.0


def _multiply_adds(view: GraphView, node: onnx.NodeProto) -> int:
    """Of one image: each output value is a sum over a filter."""
    output, weight = (view.shapes.get(name, ())[1:] for name in (node.output[0], node.input[1]))
    return math.prod(size for size in (*output, *weight) if isinstance(size, int))
