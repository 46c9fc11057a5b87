"""Static checks of a written ONNX file: what TensorRT rejects, and what it silently gets wrong.

Each rule is one generator of messages. The file is not run; ``parity`` does that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import onnx
from onnx import TensorProto

from dmdd_edge.errors import BundleError
from dmdd_edge.export.graph_view import FLOATS, GraphView, dtype_name, listed, node_name, read_graph
from dmdd_edge.export.int8.pairs import PAIR, pair_problems
from dmdd_edge.export.int8.share import int8_share, is_int8
from dmdd_edge.export.islands import convolutions_of, fp16_problems, in_island, is_half

Precision = Literal["fp32", "fp16", "int8"]

MIN_OPSET = 18

#: TensorRT parses a larger K and then fails to build without giving a reason.
MAX_TOPK = 3840

RESIZE_MODES = {"linear", "nearest", "cubic"}
RESIZE_COORDINATES = {"half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn"} | {
    "asymmetric",
    "align_corners",
}

_SOURCE_PATH = re.compile(r"\.py\b|File \"|site-packages|Traceback")


@dataclass(frozen=True)
class GraphReport:
    """The result of the static checks.

    Attributes:
        path: the file.
        precision: the form it was checked as.
        opset: of the default domain.
        nodes: number of nodes.
        convolutions: number outside the fp32 islands.
        half_convolutions: number of those with fp16 weights.
        island_convolutions: number inside the islands, which are fp32 in every form.
        int8_convolutions: number outside the islands with INT8 input and weights.
        int8_share: share of all multiply-adds that is INT8, 0..1.
        free_batch: whether the batch dimension is dynamic.
        problems: one message each; empty when the file passes.
    """

    path: Path
    precision: Precision
    opset: int
    nodes: int
    convolutions: int
    half_convolutions: int
    island_convolutions: int
    free_batch: bool
    problems: tuple[str, ...] = field(default=())
    int8_convolutions: int = 0
    int8_share: float = 0.0

    @property
    def half_share(self) -> float:
        """Share of the convolutions outside the islands with fp16 weights, 0..1; 0 without convolutions."""
        return self.half_convolutions / self.convolutions if self.convolutions else 0.0

    @property
    def ok(self) -> bool:
        """Whether the file passes."""
        return not self.problems

    def require(self) -> GraphReport:
        """Return the report when the file passes.

        Raises:
            DmddError: it does not; the message lists every problem.
        """
        if self.problems:
            lines = ";\n".join(f"  - {problem}" for problem in self.problems)
            raise BundleError(
                f"{self.path.name} fails the static checks of a {self.precision} graph:\n{lines}.",
                "Export again with this version of dmdd-edge; if it still fails, report this message.",
            )
        return self


def check_graph(path: Path | str, precision: Precision) -> GraphReport:
    """Check a written ONNX file for everything that TensorRT and the runtime rely on.

    Args:
        path: the file.
        precision: ``fp32``: nothing is half; ``fp16``: every convolution outside the islands is; ``int8``:
            besides, some of them have INT8 input and weights.

    Returns:
        The report, with its problems; see :meth:`GraphReport.require`.

    Raises:
        DmddError: the file cannot be read as ONNX.
    """
    path = Path(path)
    view = read_graph(path)
    rules: list[Callable[[GraphView], Iterator[str]]] = [
        _opset, _file_itself, _traces, _interface, _uint8, _topk, _resize, _one_float_type,
        _fp32_form if precision == "fp32" else fp16_problems,
        pair_problems if precision == "int8" else _no_pairs,
    ]  # fmt: skip
    problems = [problem for rule in rules for problem in rule(view)]
    if view.inference_error and not problems:
        problems.append(f"type inference fails: {view.inference_error}")
    every = convolutions_of(view)
    convolutions = [node for node in every if not in_island(node)]
    shape = view.shapes.get(view.inputs[0].name, ()) if view.inputs else ()
    return GraphReport(
        path=path,
        precision=precision,
        opset=_default_opset(view),
        nodes=len(view.nodes),
        convolutions=len(convolutions),
        half_convolutions=sum(is_half(view, node) for node in convolutions),
        island_convolutions=len(every) - len(convolutions),
        free_batch=bool(shape) and isinstance(shape[0], str),
        problems=tuple(problems),
        int8_convolutions=sum(is_int8(view, node) for node in convolutions),
        int8_share=int8_share(view),
    )


def _default_opset(view: GraphView) -> int:
    return max(
        (entry.version for entry in view.model.opset_import if entry.domain in ("", "ai.onnx")), default=0
    )


def _opset(view: GraphView) -> Iterator[str]:
    if (opset := _default_opset(view)) < MIN_OPSET:
        yield f"opset {opset}; at least {MIN_OPSET} is required"
    for node in view.nodes:
        if node.domain not in ("", "ai.onnx"):
            yield f"{node_name(node)} has the domain {node.domain}, which TensorRT does not support"


def _file_itself(view: GraphView) -> Iterator[str]:
    external = [t.name for t in view.model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    if external:
        yield f"{len(external)} weights are in another file (external data), such as {external[0]}"
    if view.model.functions:
        yield f"the graph has {len(view.model.functions)} local functions; they must be inlined"


def _traces(view: GraphView) -> Iterator[str]:
    graph = view.model.graph
    parts = [graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]
    traced = [part for part in parts if part.doc_string or part.metadata_props]
    if traced:
        yield f"{len(traced)} nodes or tensors carry doc strings or metadata, such as {traced[0].name}"
    for text in [view.model.doc_string, *(entry.value for entry in view.model.metadata_props)]:
        if _SOURCE_PATH.search(text):
            yield f"the model's metadata names source files: {text.strip()[:60]!r}"


def _interface(view: GraphView) -> Iterator[str]:
    expected: dict[str, tuple[int, int]] = {
        "image": (TensorProto.UINT8, 4),
        "anomaly_map": (TensorProto.FLOAT, 3),
        "score": (TensorProto.FLOAT, 1),
    }
    outputs = list(view.model.graph.output)
    if [value.name for value in view.inputs] != ["image"]:
        yield f"inputs are {listed(value.name for value in view.inputs)}; the only one must be image"
    if [value.name for value in outputs] != ["anomaly_map", "score"]:
        yield f"outputs are {listed(value.name for value in outputs)}; they must be anomaly_map, score"
    for value in [*view.inputs, *outputs]:
        dtype, rank = expected.get(value.name, (0, 0))
        if dtype and view.types.get(value.name) != dtype:
            yield f"{value.name} is {view.dtype(value.name)}; it must be {dtype_name(dtype)}"
        shape = view.shapes.get(value.name, ())
        if rank and len(shape) != rank:
            yield f"{value.name} has the shape {shape}; it must have {rank} dimensions"
        if value.name == "image" and len(shape) == 4 and (shape[1] != shape[2] or shape[3] != 3):
            yield f"image has the shape {shape}; it must be N x S x S x 3"


def _uint8(view: GraphView) -> Iterator[str]:
    inputs = {value.name for value in view.inputs}
    readers = [node for name in inputs for node in view.consumers.get(name, []) if node.op_type != "Cast"]
    for node in readers:
        yield f"{node_name(node)} reads the uint8 input; the first node must be a Cast"
    small = {TensorProto.UINT8, TensorProto.INT8}
    named = {name for node in readers for name in node.output} | inputs
    quantized = {name for node in view.nodes if node.op_type in PAIR for name in (*node.input, *node.output)}
    for name, dtype in view.types.items():
        if dtype in small and name not in named | quantized:
            yield f"{name} is {dtype_name(dtype)}; TensorRT accepts that only as the graph's input"


def _topk(view: GraphView) -> Iterator[str]:
    for node in view.nodes:
        if node.op_type != "TopK":
            continue
        k = view.constants.get(node.input[1])
        if k is None:
            yield f"{node_name(node)}: K is computed; it must be a constant"
        elif k[0] > MAX_TOPK:
            yield f"{node_name(node)}: K is {k[0]}; TensorRT builds at most {MAX_TOPK}"


def _resize(view: GraphView) -> Iterator[str]:
    for node in view.nodes:
        if node.op_type == "Upsample":
            yield f"{node_name(node)}: Upsample is deprecated; it must be Resize"
        if node.op_type != "Resize":
            continue
        values = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        mode, coordinates, policy = (
            values.get(name, default).decode()
            for name, default in (
                ("mode", b"nearest"),
                ("coordinate_transformation_mode", b"half_pixel"),
                ("keep_aspect_ratio_policy", b"stretch"),
            )
        )
        if values.get("antialias", 0):
            yield f"{node_name(node)}: antialias is on, which TensorRT does not support"
        if mode not in RESIZE_MODES:
            yield f"{node_name(node)}: mode {mode}; TensorRT supports {listed(sorted(RESIZE_MODES))}"
        if coordinates not in RESIZE_COORDINATES:
            supported = listed(sorted(RESIZE_COORDINATES))
            yield f"{node_name(node)}: coordinates {coordinates}; TensorRT supports {supported}"
        if policy != "stretch":
            yield f"{node_name(node)}: aspect ratio policy {policy}; TensorRT supports stretch"
        if values.get("exclude_outside", 0):
            yield f"{node_name(node)}: exclude_outside is on, which TensorRT does not support"


def _one_float_type(view: GraphView) -> Iterator[str]:
    for node in view.nodes:
        names = [name for name in node.input if name]
        if node.op_type == "Cast":
            continue
        if node.op_type == "Resize":
            names = names[:1]  # roi and scales are float32 by definition
        kinds = view.floats(names)
        if len(kinds) > 1:
            mixed = listed(sorted(dtype_name(kind) for kind in kinds))
            yield f"{node_name(node)} mixes {mixed}; TensorRT requires one type"


def _no_pairs(view: GraphView) -> Iterator[str]:
    pairs = [node for node in view.nodes if node.op_type in PAIR]
    if pairs:
        yield f"{len(pairs)} nodes are of INT8, such as {node_name(pairs[0])}"


def _fp32_form(view: GraphView) -> Iterator[str]:
    half = [name for name, dtype in view.types.items() if dtype in FLOATS and dtype != TensorProto.FLOAT]
    if half:
        yield f"{len(half)} tensors are not float32, such as {half[0]} ({view.dtype(half[0])})"
