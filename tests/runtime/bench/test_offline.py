from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.scenarios import best, sweep
from dmdd_edge.runtime.bench.timed_detector import TimedDetector
from dmdd_edge.runtime.bench.timing import Bench, Plan
from dmdd_edge.runtime.options.bench import parse_batches

from .conftest import FakeClock, QuietWatch, TimedBackend, TimedEngine

MakeTimed = Callable[[TimedBackend], TimedDetector]


@dataclass
class Overlapping(TimedEngine):
    """Takes 10 ms per batch, two of which may be in flight; a batch is done 10 ms after the one before."""

    slots: int = 2
    done_at: list[float] = field(default_factory=list)
    finished: float = 0.0
    collected: int = 0

    def submit(self, images: NDArray[np.uint8]) -> float:
        assert len(self.done_at) < self.slots
        self.finished = max(self.finished, self.clock.time) + 0.010
        self.done_at.append(self.finished)
        return self.finished

    def collect(self, ticket: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        assert ticket == self.done_at.pop(0)
        self.clock.time = max(self.clock.time, ticket)
        self.collected += 1
        return np.zeros((1, 64, 64), np.float32), np.zeros(1, np.float32)


def test_throughput_by_batch(
    make_timed: MakeTimed, image_set: ImageSet, bench: Bench, clock: FakeClock
) -> None:
    # 5 ms per call and 5 ms per image: 100, 160 and 177.8 images per second.
    timed = make_timed(TimedBackend(clock, lambda count: 0.005 + 0.005 * count))
    began = clock.time
    rows = sweep(timed, image_set, (1, 4, 8), Plan(9.0, warm_up_seconds=3.0), bench)
    assert [row.batch for row in rows] == [1, 4, 8]
    found = [row.series.throughput if row.series else None for row in rows]
    assert found == pytest.approx([100, 160, 8 / 0.045])
    assert clock.time - began == pytest.approx(12, abs=0.2), "the seconds are shared among the sizes"
    top = best(rows)
    assert top is not None
    assert top.batch == 8


def test_a_batch_beyond_the_engines_largest(
    make_timed: MakeTimed, image_set: ImageSet, bench: Bench, clock: FakeClock
) -> None:
    rows = sweep(make_timed(TimedEngine(clock)), image_set, (4, 8), Plan(1.0), bench)
    assert rows[0].series is not None
    assert rows[1].series is None
    assert rows[1].reason == "the engine's largest batch is 4"
    assert best(rows) is rows[0]
    assert best(rows[1:]) is None


def test_two_slots_are_both_used_and_every_batch_is_waited_for(
    make_timed: MakeTimed, image_set: ImageSet, bench: Bench, clock: FakeClock
) -> None:
    backend = Overlapping(clock)
    (row,) = sweep(make_timed(backend), image_set, (2,), Plan(1.0), bench)
    assert row.series is not None
    assert backend.done_at == []
    # The two batches of the warm-up are collected too.
    assert backend.collected == row.series.count + 2
    assert row.series.throughput == pytest.approx(200, rel=0.03)
    assert row.series.throughput <= 200


def _after(calls: int) -> Callable[[], bool]:
    """A request to stop that is true after this many polls."""
    asked = itertools.count(1)
    return lambda: next(asked) > calls


def test_a_stop_ends_the_sweep(make_timed: MakeTimed, image_set: ImageSet, clock: FakeClock) -> None:
    backend = TimedBackend(clock)
    bench = Bench(clock, QuietWatch(), stop=lambda: len(backend.batches) >= 4)
    rows = sweep(make_timed(backend), image_set, (1, 2), Plan(60.0), bench)
    assert rows[0].series is not None
    assert (rows[1].series, rows[1].reason) == (None, "stopped")
    # Stopped in its warm-up: no throughput of 0 is made of that.
    bench = Bench(clock, QuietWatch(), stop=_after(1))
    (row,) = sweep(make_timed(TimedBackend(clock)), image_set, (1,), Plan(60.0), bench)
    assert (row.series, row.reason) == (None, "stopped")


def test_batch_sizes_as_they_are_written() -> None:
    assert parse_batches("1,8,16,8") == (1, 8, 16)
    for text in ("", "0", "1,x", "1;2", "2000"):
        with pytest.raises(DmddError, match="is not a list of batch sizes"):
            parse_batches(text)
