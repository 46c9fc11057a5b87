"""Exact simplifications of an exported ONNX graph, and readable names.

- A Resize to sizes computed at run time from the batch becomes a Resize by constant factors; the shape
  arithmetic before it is removed. Shape inference loses the batch's name there, so the size is stated: ONNX
  Runtime fuses an addition with the convolution before it only if it knows that both sizes are equal.
- A Pad with zeros before a convolution becomes the convolution's own padding (TensorFlow's "SAME").
- Nodes are named after the module they come from, such as ``student.pmn.normality.paths.0/Conv_3``.
- Doc strings and metadata are removed: they contain source paths and stack traces.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

_SCOPES = "pkg.torch.onnx.name_scopes"


def simplify(model: ModelProto) -> ModelProto:
    """Apply all simplifications; the model is changed in place and returned.

    Args:
        model: as exported, weights inside.
    """
    _name_nodes(model.graph.node)
    shapes = _shapes(model)
    constants = {item.name: item for item in model.graph.initializer}
    constants |= {
        node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"
    }
    for node in model.graph.node:
        if node.op_type == "Resize":
            _resize_by_factors(model, node, shapes)
    _merge_pads(model, constants)
    _remove_unused(model)
    _note_sizes_of_resizes(model, shapes)
    _strip(model)
    return model


def _name_nodes(nodes: Iterable[NodeProto]) -> None:
    """Name each node after its innermost module and its position among that module's nodes."""
    seen: dict[str, int] = {}
    for node in nodes:
        scopes = next((item.value for item in node.metadata_props if item.key == _SCOPES), "[]")
        modules = [scope for scope in ast.literal_eval(scopes)[:-1] if scope]
        stem = f"{modules[-1]}/{node.op_type}" if modules else node.op_type
        number = seen.get(stem, 0)
        seen[stem] = number + 1
        node.name = stem if number == 0 else f"{stem}_{number}"


def _shapes(model: ModelProto) -> dict[str, list[int | None]]:
    """Sizes of every tensor, None where they are dynamic."""
    shapes: dict[str, list[int | None]] = {}
    for value in _inferred(model):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            shapes[value.name] = [
                dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim
            ]
    return shapes


def _inferred(model: ModelProto) -> list[ValueInfoProto]:
    """Every tensor's type and shape, as far as they can be inferred."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return [*graph.value_info, *graph.input, *graph.output]


def _resize_by_factors(model: ModelProto, node: NodeProto, shapes: dict[str, list[int | None]]) -> None:
    """Make the factors of a Resize over height and width constant, when both sizes are known and divide."""
    before, after = shapes.get(node.input[0], []), shapes.get(node.output[0], [])
    if len(node.input) < 4 or len(before) != 4 or len(after) != 4:
        return
    factors = [1.0, 1.0]
    for old, new in zip(before[2:], after[2:], strict=True):
        if not old or not new or (new % old and old % new):
            return
        factors.append(new / old)
    name = f"{node.name}.factors"
    model.graph.initializer.append(numpy_helper.from_array(np.array(factors, np.float32), name))
    inputs = [node.input[0], node.input[1], name]
    del node.input[:]
    node.input.extend(inputs)


def _note_sizes_of_resizes(model: ModelProto, shapes: dict[str, list[int | None]]) -> None:
    """State the output size of each Resize, with the input's name for the batch dimension."""
    batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    kinds = {value.name: value.type.tensor_type.elem_type for value in _inferred(model)}
    for node in model.graph.node:
        sizes = shapes.get(node.output[0], [])
        if node.op_type == "Resize" and len(sizes) == 4 and None not in sizes[1:]:
            size = [batch, *sizes[1:]]
            model.graph.value_info.append(
                helper.make_tensor_value_info(node.output[0], kinds[node.output[0]], size)
            )


def _merge_pads(model: ModelProto, constants: dict[str, TensorProto]) -> None:
    """Turn Pad (zeros, height and width) followed only by convolutions into their ``pads``."""
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for pad in model.graph.node:
        after = readers.get(pad.output[0], [])
        amounts = _zero_padding(pad, constants) if pad.op_type == "Pad" else None
        if amounts is None or not after or any(reader.op_type != "Conv" for reader in after):
            continue
        for conv in after:
            attributes = {item.name: item for item in conv.attribute}
            own = list(attributes["pads"].ints) if "pads" in attributes else [0, 0, 0, 0]
            if "pads" in attributes:
                conv.attribute.remove(attributes["pads"])
            total = [a + b for a, b in zip(own, amounts, strict=True)]
            conv.attribute.append(helper.make_attribute("pads", total))
            conv.input[0] = pad.input[0]


def _zero_padding(pad: NodeProto, constants: dict[str, TensorProto]) -> list[int] | None:
    """Top, left, bottom, right of a Pad that adds zeros around height and width; None for any other."""
    mode = next((item.s.decode() for item in pad.attribute if item.name == "mode"), "constant")
    names = [*pad.input, "", "", ""]
    amounts, value, axes = names[1], names[2], names[3]
    if mode != "constant" or axes or amounts not in constants:
        return None
    if value and (value not in constants or float(numpy_helper.to_array(constants[value])) != 0.0):
        return None
    sizes = numpy_helper.to_array(constants[amounts]).tolist()
    if len(sizes) != 8 or any(sizes[i] for i in (0, 1, 4, 5)) or min(sizes) < 0:
        return None
    return [sizes[2], sizes[3], sizes[6], sizes[7]]


def _remove_unused(model: ModelProto) -> None:
    """Remove nodes and weights that no output needs."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    used: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            used.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(used))
    weights = [item for item in graph.initializer if item.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    del graph.value_info[:]


def _strip(model: ModelProto) -> None:
    """Remove doc strings and metadata everywhere."""
    graph = model.graph
    model.doc_string = graph.doc_string = ""
    parts = [model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer]
    for part in parts:
        part.doc_string = ""
        del part.metadata_props[:]
