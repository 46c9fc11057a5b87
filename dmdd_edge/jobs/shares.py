"""Shares out the cores and GPUs of a machine, so that jobs at the same time do not compete for them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: What the libraries of a job read their number of threads from.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Share:
    """What one job at a time may use.

    Attributes:
        cores: the logical cores that it is kept to; empty keeps it to none.
        threads: that it may compute with, at least 1.
        gpu: the GPU that it sees, as CUDA_VISIBLE_DEVICES names it; None changes nothing.
    """

    cores: tuple[int, ...]
    threads: int
    gpu: str | None = None

    def environment(self, before: Mapping[str, str] | None = None) -> dict[str, str]:
        """The variables of a job; a number of threads that was set smaller by hand is kept.

        One that is set for OpenMP alone counts for all: torch takes the largest of them.

        Args:
            before: the variables that it would have; by default those of this process.
        """
        found = dict(os.environ if before is None else before)
        for name in _THREADS:
            given = found.get(name, found.get(_THREADS[0], ""))
            # OpenMP takes a list, one number for each level of nested loops.
            first = given.split(",")[0].strip()
            found[name] = str(max(1, min(int(first), self.threads)) if first.isdecimal() else self.threads)
        if self.gpu is not None:
            found[_GPUS] = self.gpu
        return found


def share_out(
    jobs: int, groups: Sequence[tuple[int, ...]], usable: int, gpus: Sequence[str] = ()
) -> list[Share]:
    """A share for each of several jobs; fewer where the machine has less than one core or GPU for each.

    Args:
        jobs: at the same time, at least 1.
        groups: the logical cores of each physical core.
        usable: number of physical cores whose time this process has, at least 1: a container's quota may be
            below what it sees.
        gpus: their names; without any the jobs compute on the cores alone.

    Returns:
        the shares: no core and no GPU is in two of them.
    """
    count = max(1, min(jobs, usable, len(gpus) or jobs))
    usable = max(1, min(usable, len(groups))) if groups else max(1, usable)
    shares, first = [], 0
    for number in range(count):
        threads = max(1, usable // count + (number < usable % count))
        cores = tuple(core for group in groups[first : first + threads] for core in group)
        first += threads
        shares.append(Share(cores, threads, gpus[number] if gpus else None))
    return shares
