"""A process with its own detector: takes shards from a pipe and answers with Parquet files."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bulk.images import open_images
from dmdd_edge.runtime.bulk.rows import count_statuses, parquet_bytes
from dmdd_edge.runtime.bulk.shard import Shard, decide_shard
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.run import ThresholdOptions

#: A shard that takes longer is written in pieces, in seconds: a kill loses no more than that.
_LONGEST = 120.0

Facts = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What a process needs to know.

    Attributes:
        model: folder of the bundle's version.
        source: where the images are.
        backend: as ``--backend`` names it.
        how: how the backend runs.
        thresholds: given for this run.
        record: what goes into the metadata of each file, besides what decided.
    """

    model: str
    source: str
    backend: str
    how: BackendOptions
    thresholds: ThresholdOptions
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """A process has its detector.

    Attributes:
        facts: what decides: category, version, thresholds, backend, precision.
        backend: the backend in words.
        notes: warnings about the thresholds.
    """

    facts: Facts
    backend: str
    notes: list[str]


@dataclass(frozen=True)
class At:
    """How far a shard is; see ``decide_shard``."""

    index: int
    done: int


@dataclass(frozen=True)
class Done:
    """The rows of the first images of a shard, as a Parquet file.

    Attributes:
        images: how many.
        data: the file.
        counts: of each status.
    """

    images: int
    data: bytes
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Failed:
    """The process cannot continue.

    Attributes:
        message: why.
        fix: what to do; empty for an error that nobody expected.
        expected: whether a user can fix it.
    """

    message: str
    fix: str = ""
    expected: bool = True


def work(pipe: Connection, task: Task) -> None:
    """Work on the shards that come through the pipe until it is closed.

    Shards are answered by any number of ``At`` and one ``Done``. Whatever else comes through the pipe
    is a request for the rows so far.
    """
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)  # the parent asks for the rows so far
    try:
        _work(pipe, task)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # nobody listens any more
    except DmddError as error:
        pipe.send(Failed(error.message, error.fix))
    except Exception as error:
        pipe.send(Failed(f"{type(error).__name__}: {error}", expected=False))


def _work(pipe: Connection, task: Task) -> None:
    with Decider(task) as decider:
        pipe.send(decider.ready)
        while True:
            shard = pipe.recv()
            if not isinstance(shard, Shard):
                continue  # the request for the rows so far came after the last row
            wanted = _Wanted(pipe)
            pipe.send(decider.decide(shard, wanted, lambda index, done: pipe.send(At(index, done))))


class _Wanted:
    """Whether the parent wants the rows so far."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._wanted = pipe, False

    def __call__(self) -> bool:
        if not self._wanted and self._pipe.poll():
            self._pipe.recv()
            self._wanted = True
        return self._wanted


class Decider:
    """A detector that decides shards; to be closed, or used in a ``with`` statement.

    Args:
        task: what it needs to know.

    Attributes:
        ready: what it says of itself.

    Raises:
        DmddError: the bundle, the backend or the images cannot be used.
    """

    def __init__(self, task: Task) -> None:
        import cv2

        from dmdd_edge.runtime.detector import Detector

        cv2.setNumThreads(task.how.threads or 1)
        self._images = open_images(task.source)
        notes: list[str] = []
        self._detector = Detector.load(
            task.model, task.backend, options=task.how, say=notes.append, **task.thresholds.given_limits()
        )
        backend, bundle, limits = self._detector.backend, self._detector.bundle, self._detector.threshold
        facts: Facts = {
            "category": bundle.category,
            "version": bundle.version,
            "backend": backend.name,
            "precision": backend.precision,
            "threshold": limits.image,
            "limits": {**asdict(limits), "gate": limits.gate.model_dump(mode="json")},
        }
        self._record = {**task.record, **facts}
        self.ready = Ready(facts, backend.description, notes)

    def __enter__(self) -> Decider:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the backend."""
        self._detector.close()

    def decide(self, shard: Shard, stopping: Callable[[], bool], at: Callable[[int, int], None]) -> Done:
        """The rows of a shard, or of its beginning, as a Parquet file; see ``decide_shard``."""
        since = time.monotonic()

        def ending() -> bool:
            return stopping() or time.monotonic() - since > _LONGEST

        rows = decide_shard(self._detector, self._images, shard, ending, at)
        record = {**self._record, "first": shard.first, "images": len(rows)}
        return Done(len(rows), parquet_bytes(rows, record), count_statuses(rows))
