"""How a backend runs; each of them uses the options that apply to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dmdd_edge.options import Option
from dmdd_edge.runtime.options.backend import CudaOptions


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
    """

    slots: Annotated[int, Option(name="slots", minimum=1)] = 1
    batch: int | None = None
    cuda_graphs: bool = True
    spin: bool = False
