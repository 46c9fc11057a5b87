"""The actors that evaluate archived images again, as the options want them."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmdd_edge.cluster.connection import alive_nodes, check_nodes, connected
from dmdd_edge.errors import OptionError
from dmdd_edge.fleet.address import local_folder
from dmdd_edge.jobs.cluster_room import Room, require_gpu, room_for
from dmdd_edge.runtime.bulk.actors import Actors
from dmdd_edge.runtime.bulk.images import Images
from dmdd_edge.runtime.options.judge import JudgeOptions

if TYPE_CHECKING:
    from dmdd_edge.cluster.connection import Node

#: As many as have room.
_ALL = 1_000_000


@dataclass(frozen=True)
class ClusterCrew:
    """Who decides on a cluster.

    Attributes:
        actors: start as Ray has room.
        jobs: how many are wanted.
        threads: of each, on cores.
    """

    actors: Actors
    jobs: int
    threads: int


def open_cluster(
    options: JudgeOptions, stack: ExitStack, model: Path, images: Images, leave_out: Path | None
) -> ClusterCrew:
    """Connect to the cluster, which ``stack`` leaves; all its machines must see the bundle and the images.

    Raises:
        DmddError: there is no cluster, or its machines cannot be used.
    """
    ray = stack.enter_context(connected(options.ray or "auto"))
    nodes = alive_nodes(ray)
    room = _room(options, nodes)
    paths = [str(model)]
    if local_folder(options.places()[0]) is not None:
        first = next(images.names(Counter(), leave_out), None)
        paths.append(images.name if first is None else f"{images.name}/{first}")
    check_nodes(ray, nodes, paths)
    asked = {"num_cpus": float(room.cpus)} | ({"num_gpus": room.gpus} if room.gpus else {})
    return ClusterCrew(Actors(ray, asked), min(options.jobs or _ALL, room.at_once), room.cpus)


def _room(options: JudgeOptions, nodes: list[Node]) -> Room:
    gpus = 0.0 if options.backend == "cpu" else options.job_gpus
    if options.backend == "cpu" and options.job_gpus:
        raise OptionError("--job-gpus has no effect with --backend cpu.", "Leave one of them out.")
    if options.job_gpus:
        require_gpu(nodes, "--job-gpus")
    if gpus == 0 or not any(node.gpus for node in nodes):
        return room_for(nodes, options.jobs or _ALL, cpus=options.job_cpus or 1, gpus=0.0)
    return room_for(nodes, options.jobs or _ALL, cpus=options.job_cpus, gpus=gpus)
