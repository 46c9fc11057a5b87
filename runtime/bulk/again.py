"""Evaluate archived images again: list them, share them out, write rows, continue what was interrupted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dmdd_edge._version import __version__
from dmdd_edge.cores import usable_cores
from dmdd_edge.data.images import describe_passed_over
from dmdd_edge.errors import DmddError, OptionError, SourceError
from dmdd_edge.fleet.address import local_folder
from dmdd_edge.locking import locked
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.messages.reporter import Reporter
from dmdd_edge.runtime.bulk.folder import Record, ResultFolder
from dmdd_edge.runtime.bulk.images import open_images
from dmdd_edge.runtime.bulk.on_cluster import open_cluster
from dmdd_edge.runtime.bulk.pool import Pool
from dmdd_edge.runtime.bulk.rows import require_pyarrow
from dmdd_edge.runtime.bulk.worker import Facts, Ready, Task
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.judge import JudgeOptions
from dmdd_edge.runtime.options.run import ThresholdOptions
from dmdd_edge.runtime.signals import StopRequest
from dmdd_edge.workspace import load_bundle

#: Names between two reports of the listing.
_REPORT_EVERY = 10_000


@dataclass(frozen=True)
class Outcome:
    """What a run of ``judge`` did.

    Attributes:
        into: the folder with the Parquet files.
        images: how many are in the list.
        counts: rows of each status, all runs together: ``good``, ``suspect``, ``anomalous``, ``unreliable``
            and ``error``, for those that cannot be read.
        parts: number of Parquet files.
        evaluated: images of this run.
        seconds: from the first process that was ready to the end.
        jobs: most processes or actors that worked at once.
        lost: processes or actors that ended in the middle and were replaced.
        decided_by: category, version, thresholds, backend and precision.
        backend: in words.
        passed_over: files that are not images, by kind.
        member: what one of those that worked is called.
    """

    into: Path
    images: int
    counts: Mapping[str, int]
    parts: int
    evaluated: int
    seconds: float
    jobs: int
    lost: int
    decided_by: Facts
    backend: str
    passed_over: Mapping[str, int] = field(default_factory=dict)
    member: str = "process"

    @property
    def complete(self) -> bool:
        """Whether each image has its row."""
        return sum(self.counts.values()) == self.images

    def as_dict(self) -> dict[str, Any]:
        """The fields of ``judge --json``."""
        speed = self.evaluated / self.seconds if self.seconds > 0 else 0.0
        return {
            "into": str(self.into),
            "complete": self.complete,
            "images": self.images,
            **self.counts,
            "parts": self.parts,
            "evaluated": self.evaluated,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(speed, 2),
            "jobs": self.jobs,
            "lost_processes": self.lost,
            **self.decided_by,
            "passed_over": dict(self.passed_over),
        }


def judge_archive(options: JudgeOptions, work: Reporter, stop: StopRequest) -> Outcome:
    """Evaluate archived images again; nothing is printed.

    Args:
        options: which images, by which bundle, and where the rows go.
        work: is shown the progress.
        stop: ends the run with the rows so far, when a signal arrives.

    Raises:
        DmddError: the bundle, the source or the folder cannot be used, or the earlier results in it are of
            another version, threshold, backend or source.
    """
    require_pyarrow()
    address, into = options.places()
    bundle = load_bundle(options.category, options.model, options.models_dir, verify=False)
    images = open_images(address)
    folder = ResultFolder(into)

    def busy(holder: str) -> DmddError:
        return OptionError(f"{into} is written by {holder}.", "Wait for its end, or name another.")

    if into.exists() and not into.is_dir():
        raise OptionError(f"{into} is a file.", "Name a folder: it gets several Parquet files.")
    with ExitStack() as stack:
        stack.enter_context(locked(into.absolute(), busy))
        record = folder.prepare(options.resume, options.overwrite)
        made = {"source": images.name, "created_with": f"dmdd-edge {__version__}"}
        if record is not None and record["source"] != images.name:
            raise _differs(into, "source", record["source"], images.name)
        if record is not None:
            for name in ("category", "version"):
                if record["decided_by"][name] != getattr(bundle, name):
                    raise _differs(into, name, record["decided_by"][name], getattr(bundle, name))
        cores = usable_cores()
        jobs = options.jobs or cores
        threads, crew = max(cores // jobs, 1), None
        if options.ray is not None:
            cluster = open_cluster(options, stack, bundle.path.absolute(), images, _own(address, into))
            jobs, threads, crew = cluster.jobs, cluster.threads, cluster.actors
        how = options.pick(BackendOptions, slots=2, threads=threads)
        # Machines of a cluster have other working directories.
        local = local_folder(address)
        source = address if local is None else str(local.absolute())
        thresholds = options.pick(ThresholdOptions)
        task = Task(str(bundle.path.absolute()), source, options.backend, how, thresholds, made)
        decided_by: list[Facts] = [] if record is None else [record["decided_by"]]

        def accept(ready: Ready) -> None:
            if not decided_by:
                decided_by.append(ready.facts)
            _check_same(into, decided_by[0], ready.facts)

        work.update("loading the bundle")
        with Pool(task, accept, lambda: bool(stop), crew) as pool:
            ready = pool.first_ready()
            for line in ready.notes:
                work.say(line)
            if record is None:
                passed_over: Counter[str] = Counter()
                count = folder.write_list(
                    _reported(images.names(passed_over, _own(address, into)), work, stop)
                )
                _require_images(address, count, passed_over)
                record = {
                    "format": 1,
                    **made,
                    "images": count,
                    "passed_over": dict(passed_over),
                    "decided_by": ready.facts,
                }
                folder.write_record(record)
            if crew is None and options.jobs is None and ready.facts["backend"] != "cpu":
                jobs = 1
            # Later processes must not take another backend because the first one failed at a moment.
            pool.use(replace(task, backend=ready.facts["backend"]), jobs)
            start = time.monotonic()
            evaluated = _evaluate(pool, folder, record, jobs, work)
            seconds = time.monotonic() - start
        counts, parts = folder.counts()
    return Outcome(
        into,
        record["images"],
        counts,
        parts,
        evaluated,
        seconds,
        pool.processes,
        pool.lost,
        ready.facts,
        ready.backend,
        record["passed_over"],
        "process" if options.ray is None else "actor",
    )


def _evaluate(pool: Pool, folder: ResultFolder, record: Record, jobs: int, work: Reporter) -> int:
    total: int = record["images"]
    before = sum(end - first for first, end in folder.done())
    written = 0
    work.update("deciding", before, total)
    for event in pool.work(folder.missing(total, jobs)):
        if event.done is not None:
            folder.write_part(event.first, event.done.images, event.done.data)
            written += event.done.images
        work.update("deciding", before + written + event.under_way, total)
    return written


def _reported(names: Iterator[str], work: Reporter, stop: StopRequest) -> Iterator[str]:
    for count, name in enumerate(names):
        if count % _REPORT_EVERY == 0:
            work.update("listing", count)
            if stop:
                raise KeyboardInterrupt  # a list that is not whole counts for nothing
        yield name


def _own(source: str, into: Path) -> Path | None:
    """The folder that is written, where it could be among the images."""
    return into if local_folder(source) is not None else None


def _require_images(source: str, count: int, passed_over: Counter[str]) -> None:
    if not count:
        skipped = f" (skipped: {describe_passed_over(passed_over)})" if passed_over else ""
        raise SourceError(f"{redacted(source)} contains no images{skipped}.", "Name another folder.")


def _check_same(into: Path, before: Facts, now: Facts) -> None:
    """Refuse rows of another bundle, threshold or backend beside those that are there."""
    for name, value in before.items():
        if name != "limits" and now.get(name) != value:
            raise _differs(into, name, value, now.get(name))
    for name, value in before["limits"].items():
        if name != "origin" and now["limits"].get(name) != value:
            raise _differs(into, f"{name} limit", value, now["limits"].get(name))


def _differs(into: Path, what: str, before: object, now: object) -> DmddError:
    named = {
        "source": "Name that source",
        "version": f"Name that version: --model DIR/{before}",
        "backend": f"Add --backend {before}",
        "precision": f"Add --precision {before}",
        "threshold": f"Add --threshold {before}",
    }
    fix = named.get(what, "Use the same bundle, calibration and options")
    return OptionError(
        f"The rows in {into} are of the {what} {before}, not {now}.",
        f"{fix}, or begin again with --overwrite.",
    )
