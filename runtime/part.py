"""Parts: the frames of one trigger on their way through the graphs. A frame of a plain run is a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias

from dmdd_edge.runtime.backends import Backend
from dmdd_edge.runtime.detector import LARGEST_BATCH
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.steps import Inferred, Prepared, Started

#: Frames that go through one graph at once, with their places in the part.
Batch: TypeAlias = list[tuple[int, Prepared]]


@dataclass(frozen=True)
class PreparedPart:
    """Frames that belong together, each prepared by the detector that decides it.

    Attributes:
        items: the frames, in the order of their results.
        ticket: names the part to sinks that receive whole parts; None where nobody asks for them.
    """

    items: tuple[Prepared | BrokenFrame, ...]
    ticket: object | None = None


@dataclass(frozen=True)
class InferredPart:
    """The graphs' outputs for a part.

    Attributes:
        items: of each frame, in the order of the part; an ``Inferred`` is of that frame alone.
        ticket: as in ``PreparedPart``.
    """

    items: tuple[Inferred | BrokenFrame, ...]
    ticket: object | None = None


def batches(part: PreparedPart) -> list[Batch]:
    """The frames of a part by backend, in batches that the backend computes at once.

    Detectors that share a backend differ in their thresholds alone. The backends are in the order in which
    the part names them first; a broken frame is in no batch.
    """
    if len(part.items) == 1:  # a frame of a plain run, which this must not slow down
        item = part.items[0]
        return [[(0, item)]] if isinstance(item, Prepared) else []
    of_backend: dict[int, Batch] = {}
    for place, item in enumerate(part.items):
        if isinstance(item, Prepared):
            of_backend.setdefault(id(item.detector.backend), []).append((place, item))
    found: list[Batch] = []
    for group in of_backend.values():
        rest = iter(group)
        sizes = batch_sizes(len(group), group[0][1].detector.backend)
        found.extend(list(islice(rest, size)) for size in sizes)
    return found


def batch_sizes(count: int, backend: Backend) -> list[int]:
    """The batches in which a backend computes ``count`` frames; an engine has its own limit."""
    step = min(LARGEST_BATCH, getattr(backend, "largest_batch", LARGEST_BATCH))
    return [min(step, count - first) for first in range(0, count, step)]


class StartedPart:
    """A part of which the last batch was passed to its backend and the others are computed.

    A part with several batches must be started with nothing in flight: a backend's batches are collected in
    the order in which they were started.

    Args:
        part: the part.
        planned: its batches.

    Raises:
        BackendError: a backend failed.
    """

    def __init__(self, part: PreparedPart, planned: Sequence[Batch]) -> None:
        self._ticket = part.ticket
        # The sinks need a broken frame's name alone; its image would stay in memory with it.
        self._items: list[Inferred | BrokenFrame | None] = [
            replace(item, frame=None) if isinstance(item, BrokenFrame) else None for item in part.items
        ]
        self._places: list[int] = []
        self._running: Started | None = None
        for batch in planned:
            self._finish()
            self._places = [place for place, _ in batch]
            prepared = [item for _, item in batch]
            self._running = prepared[0].detector.start(prepared)

    @property
    def slots(self) -> int | None:
        """How many batches the detector at work accepts at once; None if none is at work."""
        return None if self._running is None else self._running.prepared[0].detector.slots

    def collect(self) -> InferredPart:
        """Wait for the backend; once.

        Raises:
            BackendError: the backend failed.
        """
        self._finish()
        return InferredPart(tuple(item for item in self._items if item is not None), self._ticket)

    def _finish(self) -> None:
        started, self._running = self._running, None
        if started is None:
            return
        inferred = started.prepared[0].detector.collect(started)
        for number, place in enumerate(self._places):
            self._items[place] = inferred if len(self._places) == 1 else _one_of(inferred, number)


def _one_of(inferred: Inferred, number: int) -> Inferred:
    """One frame of a batch."""
    here = slice(number, number + 1)
    return Inferred(
        inferred.prepared[here],
        inferred.maps[here],
        inferred.scores[here],
        inferred.infer_ms,
        inferred.inspected[here],
    )
