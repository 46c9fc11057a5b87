"""Which backend runs the graph, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dmdd_edge.options import Option, Options

#: The values of ``--backend``: ``auto``, and what it tries, in this order.
BACKEND_NAMES = ("auto", "tensorrt", "rtx", "cuda", "cpu")
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
class EngineCacheOption(Options):
    """Where engines built on this machine are."""

    engine_cache: Annotated[Path | None, Option("Folder of engines built on this machine.")] = None


@dataclass(frozen=True, kw_only=True)
class CudaOptions(EngineCacheOption):
    """How a GPU is used."""

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
