"""How much of a cluster a job takes, and how many of them it holds at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dmdd_edge.cluster.connection import Node
from dmdd_edge.errors import OptionError


@dataclass(frozen=True)
class Room:
    """What a job takes, and how many have room.

    Attributes:
        cpus: cores of a job, which is its number of threads.
        gpus: GPUs of a job, or a part of one; 0 without any.
        at_once: jobs that have room in the cluster.
        a_node: the most that have room on a node.
        memory: MiB of the largest node that takes such a job.
        share: MiB of a node for each of its jobs, on the node that has the least.
    """

    cpus: int
    gpus: float
    at_once: int
    a_node: int
    memory: float
    share: float

    def resources(self, memory: float) -> dict[str, float]:
        """What is requested of Ray.

        Args:
            memory: MiB that the job needs; more than any node has is cut, so that it can start at all.
        """
        asked: dict[str, float] = {
            "num_cpus": self.cpus,
            "memory": int(min(memory, self.memory) * 2**20),
        }
        return {**asked, "num_gpus": self.gpus} if self.gpus else asked


def require_gpu(nodes: Sequence[Node], option: str) -> None:
    """Refuse an option that asks for a GPU where no machine has one.

    Raises:
        OptionError: none has.
    """
    if not any(node.gpus for node in nodes):
        raise OptionError(
            f"The cluster has no GPU, and {option} wants one.",
            "Leave it out, or start Ray with `--num-gpus` where it does not find them.",
        )


def room_for(nodes: Sequence[Node], jobs: int, *, cpus: int | None = None, gpus: float | None = None) -> Room:
    """Share out a cluster.

    Args:
        nodes: of the cluster.
        jobs: that are wanted at a time, at least 1.
        cpus: cores of each; None shares out all of them.
        gpus: GPUs of each; None for one, where the cluster has any.

    Raises:
        OptionError: no node has room for a job.
    """
    if gpus is None:
        gpus = 1.0 if any(node.gpus >= 1 for node in nodes) else 0.0
    fit = [node for node in nodes if node.gpus >= gpus and node.cpus >= (cpus or 1)]
    if not fit:
        wanted = f"{cpus or 1} core{'s' * ((cpus or 1) != 1)}" + (f" and {gpus:g} GPU" if gpus else "")
        most = max((node.cpus for node in nodes), default=0.0)
        raise OptionError(
            f"No machine of the cluster has {wanted} for a job.",
            f"Ask for less: --job-cpus, --job-gpus; the largest has {most:g} cores. See `ray status`.",
        )
    if cpus is None:
        # As many threads as leave room for all that are wanted, on each node.
        if gpus:
            each = min(node.cpus // math.floor(node.gpus / gpus) for node in fit)
        else:
            each = min(sum(node.cpus for node in fit) // jobs, *(node.cpus for node in fit))
        cpus = max(1, int(each))
    counts = [
        min([math.floor(node.cpus / cpus), *([math.floor(node.gpus / gpus)] if gpus else [])]) for node in fit
    ]
    holding = [(node, count) for node, count in zip(fit, counts, strict=True) if count]
    return Room(
        cpus,
        gpus,
        sum(counts),
        max(counts),
        max(node.memory for node, _ in holding),
        min(node.memory / count for node, count in holding),
    )
