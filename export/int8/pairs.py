"""The form of Q/DQ that TensorRT 10.3 to 11.4 and ONNX Runtime both take.

What NVIDIA documents, and where:

- Zero points are 0 and constant, scales are above 0, and a scalar or one number per channel: the headers of
  IQuantizeLayer and IDequantizeLayer, read as of TensorRT-RTX 1.5. Scales are build-time constants: the page
  of the operator Dequantize, 10.x.
- Zero points must be 0, UINT8 is for inputs and outputs only, QuantizeLinear takes half precision:
  ``docs/operators.md`` of onnx-tensorrt, as of 10.15. Opsets 9 to 20 are taken by 10.0, 9 to 24 by 10.15: the
  same file. So opset 19 is inside.
- INT8 is signed and symmetric: "Working with Quantized Types" of 10.11 and of 11.0.
- INT8 weights need a DequantizeLinear between them and the convolution, in a strongly typed network:
  "Explicit Quantization" of the latest documentation.

The parser's own tables of 10.3 and of 11.4 were not at hand. What follows from others:

- 10.3: opsets 9 to 20, as 10.0. The parser's changelog (``docs/Changelog.md`` of onnx-tensorrt) names a
  change of these two operators in 9.3, which checks the zero point, and none from 10.0 to 10.6.
- 11.4: opsets 9 to 24. NVIDIA's "ONNX Opset Guide" of 11.x begins at 9, and opset 25 came with the parser of
  11.5 (its release notes).

A pair directly before a convolution is fused into it; one anywhere else costs a pass over the feature.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from dmdd_edge.export.graph_view import GraphView, dtype_name, node_name
from dmdd_edge.export.int8.share import is_int8
from dmdd_edge.export.islands import convolutions_of, in_island

#: The operators of INT8.
PAIR = ("QuantizeLinear", "DequantizeLinear")


def pair_problems(view: GraphView) -> Iterator[str]:
    """What is wrong with the INT8 parts of a graph; one message each."""
    constants = {tensor.name: tensor for tensor in view.model.graph.initializer}
    if not any(is_int8(view, node) for node in convolutions_of(view)):
        yield "no convolution has INT8 input and weights"
    for node in convolutions_of(view):
        if in_island(node) and is_int8(view, node):
            yield f"{node_name(node)} is INT8; islands must be float32"
    for node in view.nodes:
        if node.op_type not in PAIR:
            if node.op_type != "Conv" and any(_dequantized(view, name) for name in node.input):
                yield f"{node_name(node)} reads what was rounded to INT8; only convolutions may"
            continue
        yield from _one(view, node, constants)


def _one(view: GraphView, node: onnx.NodeProto, constants: dict[str, TensorProto]) -> Iterator[str]:
    if len(node.input) < 3 or not all(name in constants for name in node.input[1:3]):
        yield f"{node_name(node)}: scale and zero point must be constants"
        return
    scale, zero = (constants[name] for name in node.input[1:3])
    if zero.data_type != TensorProto.INT8 or np.any(numpy_helper.to_array(zero)):
        kind = dtype_name(zero.data_type)
        yield f"{node_name(node)}: the zero point must be 0 in int8, and it is of {kind}"
    steps = numpy_helper.to_array(scale).astype(np.float64)
    if not np.all(np.isfinite(steps)) or not np.all(steps > 0):
        yield f"{node_name(node)}: every scale must be a number above 0"
    axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
    of_weights = node.input[0] in constants
    if steps.size > 1 and not (of_weights and axis == 0):
        yield f"{node_name(node)}: an input has one scale, weights one per output channel"


def _dequantized(view: GraphView, name: str) -> bool:
    maker = view.producer.get(name)
    return maker is not None and maker.op_type == "DequantizeLinear"
