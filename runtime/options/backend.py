"""Which backend runs the graph, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dmdd_edge.options import Option, Options

#: The values of ``--backend``: ``auto``, and what it tries, in this order.
BACKEND_NAMES = ("auto", "tensorrt", "rtx", "cuda", "cpu")
#: The values of ``--precision`` where a bundle runs.
PRECISION_NAMES = ("auto", "fp32", "fp16", "int8")
#: The values of ``--cuda-driver``.
CUDA_DRIVER_NAMES = ("auto", "cuda-bindings", "pycuda")
#: The values of ``--io-memory``.
IO_MEMORY = ("auto", "copy", "mapped")


@dataclass(frozen=True, kw_only=True)
class BackendName(Options):
    """Which backend runs the graph."""

    backend: Annotated[
        str, Option("What runs the graph: auto, tensorrt, rtx, cuda or cpu.", choices=BACKEND_NAMES)
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class PrecisionOption(Options):
    """With which precision the graph runs."""

    precision: Annotated[
        str,
        Option(
            "Precision that runs: fp32, fp16, int8, or auto (fp32 by ONNX Runtime; of engines the fp16 one "
            "first).",
            choices=PRECISION_NAMES,
        ),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class EngineCacheOption(Options):
    """Where engines built on this machine are."""

    engine_cache: Annotated[Path | None, Option("Folder of engines built on this machine.")] = None


@dataclass(frozen=True, kw_only=True)
class TileBatch(Options):
    """How many tiles of a large image go through the graph at once."""

    tile_batch: Annotated[
        int | None,
        Option(
            "Tiles of a large image that go through the graph at once; default: what suits the backend.",
            minimum=1,
            maximum=1024,
            range_in_help=False,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class CudaOptions(EngineCacheOption, TileBatch, PrecisionOption):
    """How a GPU is used, with which precision, and how many tiles go through the graph at once."""

    cuda_driver: Annotated[
        str,
        Option("Package that drives CUDA: auto, cuda-bindings or pycuda.", choices=CUDA_DRIVER_NAMES),
    ] = "auto"
    io_memory: Annotated[
        str,
        Option(
            "How images reach the GPU: copy, mapped, or auto (mapped where CPU and GPU share memory).",
            choices=IO_MEMORY,
        ),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class BackendOptions(CudaOptions):
    """How a backend runs: the options of the command line, and what the caller adds.

    Attributes:
        slots: how many batches may be in progress at once: 1 for a live source, 2 for a folder, so that the
            copies of one overlap the computation of the other.
        batch: the batch size that an engine must accept; None for any.
        cuda_graphs: launch each batch size as a CUDA graph.
        spin: poll the GPU instead of sleeping until it is done, which reacts faster and keeps a core busy;
            for benchmarks.
        threads: threads of the CPU backend; None for one per physical core that this process may use.
    """

    slots: Annotated[int, Option(name="slots", minimum=1)] = 1
    batch: int | None = None
    cuda_graphs: bool = True
    spin: bool = False
    threads: int | None = None
