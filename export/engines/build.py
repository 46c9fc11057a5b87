"""Builds a plan from an ONNX file, for TensorRT 10.3 to 11.4 and for TensorRT-RTX.

Only names that all versions have are used here; a test checks them with the real bindings. The network is
always strongly typed: the graph determines the precision. TensorRT 11 no longer has precision flags, and code
that sets them only where they exist silently builds fp32 engines. So the convolutions in half are counted
after parsing, and a network without the requested precision is rejected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from dmdd_edge.errors import BackendError, OptionError
from dmdd_edge.export.engines.progress import PhaseTracker, Progress, interrupts_kept, make_monitor
from dmdd_edge.runtime.engines.engine import BatchProfile
from dmdd_edge.runtime.engines.logger import LogBook, make_logger

if TYPE_CHECKING:
    import tensorrt

#: In a layer's name: part of an fp32 island, which stays fp32 in an fp16 graph.
_ISLAND = "island"

_EXPORT_AGAIN = "Export the graph again with this version of dmdd-edge."


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        precision: of the graph; it is checked, not requested from the builder.
        batch: the batch sizes that the engine accepts.
        workspace_gib: the most scratch memory that a layer may use; None for no limit.
        opt_level: 0 (fast build) to 5 (fast engine).
        hardware_compatible: one engine for every GPU from sm80 on, slower; not on a Jetson.
    """

    precision: Literal["fp16", "fp32", "int8"] = "fp16"
    batch: BatchProfile = field(default_factory=BatchProfile)
    workspace_gib: float | None = None
    opt_level: int = 3
    hardware_compatible: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.opt_level <= 5:
            raise OptionError(f"--opt-level {self.opt_level} is not in 0 (fast build) to 5 (fast engine).")
        if self.workspace_gib is not None and not 0.01 <= self.workspace_gib <= 1024:
            raise OptionError(f"--workspace {self.workspace_gib} is not in 0.01 to 1024 GiB.")

    @property
    def workspace_bytes(self) -> int | None:
        """The workspace in bytes; None for no limit."""
        return None if self.workspace_gib is None else int(self.workspace_gib * 2**30)


@dataclass(frozen=True)
class Convolutions:
    """The number of convolutions of a network.

    Attributes:
        all: outside the fp32 islands.
        half: of those, in half precision.
        islands: inside the fp32 islands.
        int8: of those outside, how many have an INT8 input and INT8 weights.
    """

    all: int
    half: int
    islands: int
    int8: int = 0


@dataclass(frozen=True)
class Plan:
    """A serialized engine, and facts about its network.

    Attributes:
        data: the plan, to be written unchanged.
        image_size: S of the input N x S x S x 3.
        counts: the convolutions of the parsed network.
        seconds: duration of the build.
        warnings: warnings of the library.
    """

    data: bytes
    image_size: int
    counts: Convolutions
    seconds: float
    warnings: tuple[str, ...]


def build_plan(
    trt: ModuleType,
    onnx: Path,
    options: BuildOptions,
    *,
    configure: Callable[[Any], None] | None = None,
    timing: Path | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Build an engine from a written ONNX file.

    Args:
        trt: the module ``tensorrt`` or ``tensorrt_rtx``.
        onnx: the graph, with its weights inside.
        configure: called with the builder's configuration before the build.
        timing: the timing cache to use and update; it needs a GPU.
        progress: called during the build.

    Raises:
        DmddError: the library cannot start, parse or build, with its messages; or the network does not have
            the requested precision.
        KeyboardInterrupt: Ctrl-C was pressed; the build was stopped.
    """
    book = LogBook()
    logger: tensorrt.ILogger = make_logger(trt, book)
    builder: tensorrt.Builder = _start(trt, logger, book)
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network: tensorrt.INetworkDefinition = builder.create_network(strongly_typed)
    _parse(trt, network, logger, onnx, book)
    counts = count_convolutions(trt, network)
    _refuse_other_precision(onnx, options.precision, counts)

    config: tensorrt.IBuilderConfig = builder.create_builder_config()
    config.builder_optimization_level = options.opt_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that layers can be identified later
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # fp32 is the reference, for which 10 bits are too few
    image_size = _add_profile(builder, network, config, options.batch)
    if configure is not None:
        configure(config)
    if timing is not None:
        _use_timing(config, timing)
    tracker = PhaseTracker(progress)
    monitor: tensorrt.IProgressMonitor = make_monitor(trt, tracker)
    config.progress_monitor = monitor

    started = time.monotonic()
    with interrupts_kept(tracker):
        plan: tensorrt.IHostMemory | None = builder.build_serialized_network(network, config)
    if plan is None:
        raise OptionError(
            f"{_product(trt)} cannot build an engine from {onnx.name}: {book.quote()}.",
            "If memory ran out, lower --workspace or --batch. The export has already checked the graph.",
        )
    seconds = time.monotonic() - started
    if timing is not None:
        _keep_timing(config, timing)
    return Plan(bytes(memoryview(plan)), image_size, counts, seconds, tuple(book.warnings()))


def count_convolutions(trt: ModuleType, network: tensorrt.INetworkDefinition) -> Convolutions:
    """Count the convolutions of a parsed, strongly typed network by their output's type.

    Args:
        trt: the module of the network.
    """
    kinds = (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION)
    total = half = islands = int8 = 0
    dequantized = _dequantized(trt, network)
    for index in range(network.num_layers):
        layer: tensorrt.ILayer = network.get_layer(index)
        name: str = layer.name
        if layer.type not in kinds:
            continue
        if _ISLAND in name.lower():
            islands += 1
            continue
        result: tensorrt.ITensor = layer.get_output(0)
        total += 1
        half += result.dtype == trt.DataType.HALF
        quantized = 0
        for number in range(layer.num_inputs):
            item: tensorrt.ITensor | None = layer.get_input(number)
            quantized += item is not None and item.name in dequantized
        int8 += quantized == 2
    return Convolutions(total, half, islands, int8)


def _dequantized(trt: ModuleType, network: tensorrt.INetworkDefinition) -> set[str]:
    """The tensors that are INT8 until where they are used: what a dequantization gives."""
    names: set[str] = set()
    for index in range(network.num_layers):
        layer: tensorrt.ILayer = network.get_layer(index)
        if layer.type == trt.LayerType.DEQUANTIZE:
            result: tensorrt.ITensor = layer.get_output(0)
            names.add(result.name)
    return names


def _start(trt: ModuleType, logger: tensorrt.ILogger, book: LogBook) -> tensorrt.Builder:
    try:
        builder: tensorrt.Builder = trt.Builder(logger)
    except Exception as error:  # the bindings raise different types, depending on the version
        raise BackendError(
            f"{_product(trt)} cannot start a builder: {book.quote() if book.messages else error}.",
            "Load an NVIDIA driver that supports this version; check it with nvidia-smi.",
        ) from error
    return builder


def _parse(
    trt: ModuleType, network: tensorrt.INetworkDefinition, logger: tensorrt.ILogger, onnx: Path, book: LogBook
) -> None:
    try:
        graph = onnx.read_bytes()
    except OSError as error:
        raise BackendError(f"{onnx} cannot be read: {error.strerror or error}.") from error
    parser: tensorrt.OnnxParser = trt.OnnxParser(network, logger)
    if parser.parse(graph):
        if network.num_layers == 0:
            raise BackendError(f"{onnx.name} holds no graph: it is empty or not an ONNX file.", _EXPORT_AGAIN)
        return
    errors: list[str] = []
    for index in range(parser.num_errors):
        problem: tensorrt.ParserError = parser.get_error(index)
        text: str = problem.desc()
        errors.append(f"{problem.node_operator()} {problem.node_name()}: {' '.join(text.split())}")
    raise BackendError(
        f"{_product(trt)} cannot read {onnx.name}: {' | '.join(errors[:3]).rstrip('.') or book.quote()}.",
        _EXPORT_AGAIN,
    )


def _refuse_other_precision(onnx: Path, precision: str, counts: Convolutions) -> None:
    if precision == "int8":
        if counts.all and counts.half == counts.all and counts.int8:
            return
        raise BackendError(
            f"{onnx.name} is not an int8 graph: {counts.int8} of its {counts.all} convolutions are INT8, and "
            f"{counts.half} give half precision.",
            "Give the bundle's model.int8.onnx.",
        )
    if counts.all and counts.half == (counts.all if precision == "fp16" else 0) and not counts.int8:
        return
    raise BackendError(
        f"{onnx.name} is not a {precision} graph: {counts.half} of its {counts.all} convolutions are half.",
        f"Give the bundle's model.{precision}.onnx; another graph would not make a {precision} engine.",
    )


def _add_profile(
    builder: tensorrt.Builder,
    network: tensorrt.INetworkDefinition,
    config: tensorrt.IBuilderConfig,
    batch: BatchProfile,
) -> int:
    """Set the batch sizes; returns S of the image N x S x S x 3."""
    if network.num_inputs != 1:
        raise BackendError(f"The graph has {network.num_inputs} inputs; a bundle's graph has one, the image.")
    image: tensorrt.ITensor = network.get_input(0)
    shape: tuple[int, ...] = tuple(image.shape)
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
        raise BackendError(f"The graph's input is {shape}; a bundle's image is N x S x S x 3.")
    if shape[0] == -1:
        sizes = [(size, *shape[1:]) for size in (batch.minimum, batch.optimum, batch.maximum)]
        profile: tensorrt.IOptimizationProfile = builder.create_optimization_profile()
        profile.set_shape(image.name, *sizes)
        config.add_optimization_profile(profile)
    elif not batch.minimum == batch.maximum == shape[0]:
        raise OptionError(
            f"--batch {batch} does not fit the graph, which accepts only batches of {shape[0]}."
        )
    return shape[1]


def _use_timing(config: tensorrt.IBuilderConfig, path: Path) -> None:
    stored = path.read_bytes() if path.is_file() else b""
    cache: tensorrt.ITimingCache = config.create_timing_cache(stored)
    if not config.set_timing_cache(cache, False):  # of another GPU or version: start with an empty one
        empty: tensorrt.ITimingCache = config.create_timing_cache(b"")
        config.set_timing_cache(empty, False)


def _keep_timing(config: tensorrt.IBuilderConfig, path: Path) -> None:
    cache: tensorrt.ITimingCache | None = config.get_timing_cache()
    if cache is None:
        return
    memory: tensorrt.IHostMemory = cache.serialize()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(memoryview(memory))
    part.replace(path)


def _product(trt: ModuleType) -> str:
    name = "TensorRT-RTX" if trt.__name__.startswith("tensorrt_rtx") else "TensorRT"
    return f"{name} {trt.__version__}"
