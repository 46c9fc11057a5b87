"""How a back end is to run; each of them takes of it what concerns it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.suggest import choose
from dmdd_edge.runtime.cuda import CUDA_DRIVERS

#: The values of ``--io-memory``.
IO_MEMORY = ("auto", "copy", "mapped")


@dataclass(frozen=True)
class BackendOptions:
    """How a back end is to run.

    Attributes:
        engine_cache: this machine's engines; None for the user's own folder.
        cuda_driver: which package drives CUDA: ``auto``, ``cuda-bindings`` or ``pycuda``.
        io_memory: ``copy`` between host and GPU, or memory ``mapped`` into both; ``auto`` maps on a GPU
            that shares its memory with the CPU.
        slots: how many batches may be under way at once: 1 for a live source, 2 for a folder, so that the
            copies of one run beside the computation of the other.
        batch: the batch size that an engine must take; None for any.
        cuda_graphs: launch each batch size as a CUDA graph.
        spin: wait for the GPU by asking over and over, which is faster to notice and takes a core; for
            benchmarks.
    """

    engine_cache: Path | None = None
    cuda_driver: str = "auto"
    io_memory: str = "auto"
    slots: int = 1
    batch: int | None = None
    cuda_graphs: bool = True
    spin: bool = False

    def __post_init__(self) -> None:
        if self.io_memory not in IO_MEMORY:
            raise OptionError(
                f"--io-memory {self.io_memory}: there is no such kind.",
                choose(self.io_memory, IO_MEMORY),
            )
        if self.cuda_driver not in CUDA_DRIVERS:
            raise OptionError(
                f"--cuda-driver {self.cuda_driver}: there is no such driver.",
                choose(self.cuda_driver, CUDA_DRIVERS),
            )
        if self.slots < 1:
            raise OptionError(f"{self.slots} slots: at least one is needed.")
