"""A written ONNX file as the static checks see it: nodes, constants and the type of every tensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, numpy_helper, shape_inference

from dmdd_edge.errors import BundleError

#: Weights with more elements than this are excluded from type inference, which copies the model; types do
#: not depend on weights.
_WEIGHT_SIZE = 1024

_EXPORT_AGAIN = "Export again: dmdd-edge export"


@dataclass(frozen=True)
class GraphView:
    """The parts of an ONNX model that the checks need.

    Attributes:
        model: the model, weights included.
        types: tensor name -> element type (``onnx.TensorProto.FLOAT`` ...), for every tensor whose
            type could be inferred.
        shapes: tensor name -> dimensions, a number or the name of a dynamic one.
        constants: tensor name -> known small integers (initializers and Constant nodes).
        producer: tensor name -> the node that writes it.
        consumers: tensor name -> the nodes that read it.
        inference_error: why type inference failed; empty when it did not.
    """

    model: onnx.ModelProto
    types: dict[str, int]
    shapes: dict[str, tuple[int | str, ...]]
    constants: dict[str, tuple[int, ...]]
    producer: dict[str, onnx.NodeProto]
    consumers: dict[str, list[onnx.NodeProto]]
    inference_error: str

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        """The nodes in order of execution."""
        return list(self.model.graph.node)

    @property
    def inputs(self) -> list[onnx.ValueInfoProto]:
        """The graph's inputs without the weights."""
        weights = {tensor.name for tensor in self.model.graph.initializer}
        return [value for value in self.model.graph.input if value.name not in weights]

    def floats(self, names: list[str]) -> set[int]:
        """The floating types among the named tensors."""
        return {self.types[name] for name in names if self.types.get(name) in FLOATS}

    def dtype(self, name: str) -> str:
        """A tensor's type in words, such as ``float16``."""
        return dtype_name(self.types[name]) if name in self.types else "of unknown type"


FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def read_graph(path: Path) -> GraphView:
    """Read an ONNX file and infer the type of every tensor.

    Raises:
        DmddError: the file is missing, truncated, or not ONNX.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise BundleError(f"The ONNX file {path} does not exist.", _EXPORT_AGAIN) from None
    except Exception as error:  # protobuf's DecodeError: its base class is not importable by a stable name
        raise BundleError(f"{path} is not a complete ONNX file ({error}).", _EXPORT_AGAIN) from error
    if not model.graph.node:
        raise BundleError(f"{path} holds no graph: it is empty or not an ONNX file.", _EXPORT_AGAIN)
    return view_of(model)


def view_of(model: onnx.ModelProto) -> GraphView:
    """Infer the type of every tensor of a model in memory."""
    light, error = _without_weights(model), ""
    try:
        light = shape_inference.infer_shapes(light, check_type=True, strict_mode=True, data_prop=True)
    except Exception as reason:  # onnx raises InferenceError, ValidationError or RuntimeError by cause
        error = str(reason).strip()
        light = shape_inference.infer_shapes(light)
    graph = light.graph
    types: dict[str, int] = {}
    shapes: dict[str, tuple[int | str, ...]] = {}
    for value in [*graph.value_info, *graph.input, *graph.output]:
        tensor = value.type.tensor_type
        types[value.name] = tensor.elem_type
        if tensor.HasField("shape"):
            shapes[value.name] = tuple(
                dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or "?")
                for dim in tensor.shape.dim
            )
    for weight in model.graph.initializer:
        types[weight.name], shapes[weight.name] = weight.data_type, tuple(weight.dims)
    producer: dict[str, onnx.NodeProto] = {}
    consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        producer.update({name: node for name in node.output if name})
        for name in {name for name in node.input if name}:
            consumers[name].append(node)
    return GraphView(model, types, shapes, _small_integers(model), producer, dict(consumers), error)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with its large weights turned into inputs of the same type and shape."""
    light = onnx.ModelProto()
    light.ir_version = model.ir_version
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = model.graph.name
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.output.extend(model.graph.output)
    inputs = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        size = 1
        for dim in tensor.dims:
            size *= dim
        if size <= _WEIGHT_SIZE and tensor.data_location != TensorProto.EXTERNAL:
            light.graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            light.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return light


def _small_integers(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for item in node.attribute:
                if item.name == "value":
                    tensors[node.output[0]] = item.t
    return {
        name: tuple(int(value) for value in numpy_helper.to_array(tensor).ravel())
        for name, tensor in tensors.items()
        if tensor.data_type in (TensorProto.INT64, TensorProto.INT32)
        and tensor.data_location != TensorProto.EXTERNAL
        and len(tensor.dims) <= 1
    }


def dtype_name(dtype: int) -> str:
    """An ONNX element type in numpy's words, such as ``float32``."""
    names: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64"}
    return names.get(dtype, TensorProto.DataType.Name(dtype).lower())


def node_name(node: onnx.NodeProto) -> str:
    """How messages name a node: its operation and its name."""
    return f"{node.op_type} {node.name or '(no name) -> ' + node.output[0]}"


def listed(names: Iterable[object]) -> str:
    """Names in one line; ``none`` for an empty list."""
    return ", ".join(str(name) for name in names) or "none"
