"""`dmdd-edge train --all --ray`: the categories on the machines of a Ray cluster."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.cli.train_all import WORKER, estimate, received, work_of
from dmdd_edge.cli.train_all_progress import AllProgress, number_of
from dmdd_edge.cli.train_list import Entry
from dmdd_edge.cli.train_progress import Interrupts
from dmdd_edge.cluster.connection import Node, alive_nodes, check_nodes, connected
from dmdd_edge.errors import OptionError
from dmdd_edge.failures import storage_errors
from dmdd_edge.jobs.cluster_job import Job
from dmdd_edge.jobs.cluster_room import Room, require_gpu, room_for
from dmdd_edge.jobs.shares import Share
from dmdd_edge.jobs.standing import Standing
from dmdd_edge.storage import make_folder

if TYPE_CHECKING:
    from dmdd_edge.cli.train import TrainCommand

#: Files and folders that a training reads, which every node must see.
_READ = ("data", "textures", "known_bad", "weights", "ignore_mask")


def run_on_cluster(
    entries: Sequence[Entry], standings: Sequence[Standing], options: TrainCommand
) -> Interrupts:
    """Run what is left; returns the signals that were received meanwhile.

    Raises:
        DmddError: there is no cluster, or its nodes cannot be used.
    """
    from dmdd_edge.jobs.cluster_schedule import ClusterSchedule

    left = [standing for standing in standings if standing.state == "waiting"]
    if not left:
        return Interrupts()
    most = options.jobs if "jobs" in options.given() else len(left)
    with connected(options.ray or "auto") as ray:
        nodes = alive_nodes(ray)
        room = room_for(nodes, min(most, len(left)), cpus=options.job_cpus, gpus=_gpus(options, nodes))
        if isinstance(options.models_dir, Path):
            make_folder(options.models_dir, "Name another folder: --models-dir DIR.")
        with _shared_file(options.runs_dir) as token:
            read = sorted({path for entry in entries for path in _read_by(entry)})
            check_nodes(ray, nodes, [token, _absolute(options.models_dir), *read])
        jobs = {entry.category: _job(entry, options, room) for entry in entries}
        with (
            Interrupts() as interrupts,
            AllProgress(standings, quiet=options.quiet) as progress,
            suppress(KeyboardInterrupt),
        ):
            interrupts.patient = True
            progress.say(_plan_line(len(entries), nodes, room, most))
            schedule = ClusterSchedule(
                ray,
                standings,
                jobs,
                room,
                at_once=most,
                estimate=max(estimate(entry) for entry in entries),
                report=progress,
            )
            schedule.run(partial(received, interrupts))
    return interrupts


def _gpus(options: TrainCommand, nodes: Sequence[Node]) -> float | None:
    if options.device == "cpu":
        if options.job_gpus:
            raise OptionError("--job-gpus has no effect with --device cpu.", "Leave one of them out.")
        return 0.0
    if options.device != "auto" or options.job_gpus:
        require_gpu(nodes, "--job-gpus" if options.job_gpus else "--device")
    return options.job_gpus


def _job(entry: Entry, options: TrainCommand, room: Room) -> Job:
    """What a node reads: paths are absolute, and what is there of the category is continued."""
    threads = int(Share((), room.cpus).environment()["OMP_NUM_THREADS"])
    share = Share((), threads, "" if room.gpus else None)
    work = work_of(entry, share, options, int(room.share / 2) if room.a_node > 1 else None, resume=True)
    absolute: dict[str, Any] = {
        name: str(value.absolute())
        for name in (*_READ, "runs_dir")
        if isinstance(value := getattr(entry.training, name), Path)
    }
    work["training"] |= absolute
    work["models_dir"] = _absolute(options.models_dir)
    # The folder of the runs is made before; a node without the shared storage does not have it.
    seen = (
        _absolute(options.runs_dir),
        work["models_dir"],
        *(absolute[name] for name in _READ if name in absolute),
    )
    return Job(entry.category, WORKER, work, threads, seen)


def _read_by(entry: Entry) -> Iterator[str]:
    for name in _READ:
        value = getattr(entry.training, name)
        if isinstance(value, Path):
            yield str(value.absolute())


def _absolute(place: str | Path) -> str:
    return place if isinstance(place, str) else str(place.absolute())


@contextmanager
def _shared_file(folder: str | Path) -> Iterator[str]:
    """A file in the folder of the runs by which nodes show that they see the same one; or their address."""
    if isinstance(folder, str):
        yield folder
        return
    with storage_errors(folder, "written"):
        handle, name = tempfile.mkstemp(dir=folder.absolute(), prefix=".shared-")
        os.close(handle)
    try:
        yield name
    finally:
        Path(name).unlink(missing_ok=True)


def _plan_line(categories: int, nodes: Sequence[Node], room: Room, most: int) -> str:
    cores = f"{room.cpus} core{'s' * (room.cpus != 1)}"
    each = f"{cores} and {room.gpus:g} GPU each" if room.gpus else f"{cores} each"
    machines = f"{len(nodes)} machine{'s' * (len(nodes) != 1)}"
    return f"{number_of(categories)} on {machines}, {min(room.at_once, most)} at a time, {each}"
