"""Writes the INT8 graph: the half-precision graph with Q/DQ at the inputs of some convolutions.

``onnxruntime.quantization`` puts the nodes in: per-channel weights as INT8 constants, symmetric inputs, both
with half-precision scales, in the standard's own operators. TensorRT fuses each pair into its convolution.
Opset 19 is the first in which these operators take half precision.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from dmdd_edge._version import __version__
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.int8.places import Place, convolution
from dmdd_edge.export.int8.ranges import Input
from dmdd_edge.export.int8.weights import LARGEST
from dmdd_edge.export.onnx_file import write_onnx

OPSET = 19
_LAST = "DequantizeLinear"


def write_int8(
    graph: DeploymentGraph,
    path: Path,
    image_size: int,
    places: Collection[Place],
    inputs: Mapping[str, Input],
) -> None:
    """Write a graph with some places in INT8, everything else of the networks in half precision.

    Args:
        graph: in float32; changed into what is written.
        path: file to write.
        image_size: S.
        places: that are INT8.
        inputs: how the input of a place becomes INT8, by its name.
    """
    for place in places:
        for name in place.convolutions:
            _prepare(name, convolution(graph, name), inputs[place.name])
    graph.halve()
    half = write_onnx(graph, path, image_size)
    steps = {name: inputs[place.name].step for place in places for name in place.convolutions}
    model = with_pairs(half, steps)
    path.write_bytes(model.SerializeToString(deterministic=True))


@torch.no_grad()
def _prepare(name: str, layer: nn.Conv2d, how: Input) -> None:
    """Put a convolution's weights on their grid, and level the channels of its input."""
    weights, bias = how.weights(name, layer), how.bias(name, layer)
    layer.weight.copy_(how.steps(name, layer))
    if layer.bias is not None and bias is not None:
        centers = how.centers
        layer.bias.copy_(bias if centers is None else bias + weights.flatten(1) @ centers)
    if how.divisors is None:
        return
    layer.register_buffer("factors", (1.0 / how.divisors)[:, None, None])
    layer.register_buffer("centers", None if how.centers is None else how.centers[:, None, None])
    layer.register_forward_pre_hook(_level)


def _level(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    (x,), centers, factors = inputs, layer.centers, layer.factors
    assert isinstance(factors, Tensor)
    return ((x - centers if isinstance(centers, Tensor) else x) * factors,)


def with_pairs(model: onnx.ModelProto, steps: Mapping[str, float]) -> onnx.ModelProto:
    """A half-precision graph with Q/DQ at the inputs and weights of some convolutions.

    Args:
        model: opset 18 or later.
        steps: the step of a convolution's input, by the stem of its node: ``X`` for the node ``X/Conv``.
            Convolutions that read one tensor have one step.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    model = onnx.version_converter.convert_version(model, OPSET)
    chosen = {node.name: node for node in model.graph.node if node.name.rpartition("/")[0] in steps}
    chosen = {name: node for name, node in chosen.items() if node.op_type == "Conv"}
    ranges = {}
    for name, node in chosen.items():
        bound = np.float16(steps[name.rpartition("/")[0]] * LARGEST)
        ranges[node.input[0]] = TensorData(lowest=-bound, highest=bound)
    logging.getLogger().disabled, before = True, logging.getLogger().disabled  # it advises a preparation
    try:
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
            nodes_to_quantize=list(chosen),
            nodes_to_exclude=[],
            op_types_to_quantize=["Conv"],
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": ["Conv"],
            },
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    finally:
        logging.getLogger().disabled = before
    result: onnx.ModelProto = quantizer.model.model
    _release(result, set(chosen))
    result.producer_name, result.producer_version = "dmdd-edge", __version__
    del result.metadata_props[:]
    onnx.checker.check_model(result, full_check=True)
    return result


def _release(model: onnx.ModelProto, chosen: Collection[str]) -> None:
    """Let all other nodes read the exact tensor again: the quantizer gives the rounded one to every reader.

    A residual connection, which carries a feature past the INT8 convolutions, would be rounded each time.
    """
    producer = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.name in chosen:
            continue
        for index, name in enumerate(node.input):
            last = producer.get(name)
            first = producer.get(last.input[0]) if last is not None and last.op_type == _LAST else None
            if first is not None and node.op_type != _LAST:
                node.input[index] = first.input[0]
