from __future__ import annotations

import math

import pytest
from a_run import BROKEN, result_of

from dmdd_edge.runtime.page.record import INTERVAL_SECONDS, KEPT_INTERVALS, KEPT_POINTS, Record


class Clock:
    """Time that stands still unless told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def record(clock: Clock) -> Record:
    return Record(clock)


def test_the_trace_gives_what_came_after_a_number(record: Record) -> None:
    for index, score in enumerate((0.1, 0.75, math.nan)):
        record.add(*result_of(index, score, "unreliable" if math.isnan(score) else None))
    assert record.points_after(0) == [
        (1, 0.1, "good", 10.0, 0.5),
        (2, 0.75, "anomalous", 10.0, 0.5),
        (3, None, "unreliable", 10.0, 0.5),
    ]
    assert [point.number for point in record.points_after(2)] == [3]
    assert record.points_after(3) == record.points_after(99) == []


def test_the_trace_is_bounded(record: Record) -> None:
    for index in range(KEPT_POINTS + 50):
        record.add(*result_of(index))
    numbers = [point.number for point in record.points_after(0)]
    assert numbers == list(range(51, KEPT_POINTS + 51))
    assert [point.number for point in record.points_after(KEPT_POINTS + 48)] == [649, 650]


def test_only_the_newest_frame_is_held(record: Record) -> None:
    assert record.newest is None
    assert [record.add(*result_of(index)) for index in (7, 8)] == [1, 2]
    assert record.newest is not None
    assert (record.newest.number, record.newest.result.index) == (2, 8)


def test_the_rate_is_that_of_the_last_ten_seconds(record: Record, clock: Clock) -> None:
    assert record.rate() == 0
    for index in range(40):  # four a second
        clock.now += 0.25
        record.add(*result_of(index))
    assert record.rate() == pytest.approx(4.0)
    clock.now += 5  # nothing more comes
    assert record.rate() == pytest.approx(2.0)
    clock.now += 6
    assert record.rate() == 0


def test_the_rate_of_a_young_run_and_of_a_fast_one(record: Record, clock: Clock) -> None:
    for index in range(2):
        clock.now += 1
        record.add(*result_of(index))
    assert record.rate() == pytest.approx(1.0)
    for index in range(2 * KEPT_POINTS):  # 200 a second: the trace holds three seconds
        clock.now += 0.005
        record.add(*result_of(index))
    assert record.rate() == pytest.approx(200)


def test_the_hour_is_kept_in_intervals(record: Record, clock: Clock) -> None:
    record.add(*result_of(0, 0.25, latency=10))
    record.add(*result_of(1, 0.75, latency=30))
    clock.now += INTERVAL_SECONDS
    record.add(*result_of(2, math.nan, "unreliable", latency=5))
    first, second = record.intervals()
    assert (first["frames"], first["anomalous"], first["unreliable"]) == (2, 1, 0)
    assert (first["highest_score"], first["score_sum"], first["scored"]) == (0.75, 1.0, 2)
    assert (first["latency_sum_ms"], first["latency_max_ms"], first["threshold"]) == (40, 30, 0.5)
    assert (second["frames"], second["unreliable"], second["highest_score"]) == (1, 1, None)


def test_the_hour_ends(record: Record, clock: Clock) -> None:
    for index in range(KEPT_INTERVALS + 5):
        record.add(*result_of(index))
        clock.now += INTERVAL_SECONDS
    assert len(record.intervals()) == KEPT_INTERVALS - 1, "the present interval holds nothing yet"
    clock.now += 3600
    assert record.intervals() == []


def test_latencies_are_counted_by_bounds(record: Record) -> None:
    for index, milliseconds in enumerate((0.5, 1.0, 1.5, 60, 9000)):
        record.add(*result_of(index, latency=milliseconds))
    kept = record.latencies()
    # Bounds 1, 2.5, 5, 10, 25, 50, 100 ms ...; a value on a bound counts as below it.
    assert kept.counts == [2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert kept.total == pytest.approx(9.063)
    assert kept.stages == pytest.approx({"capture": 4.5315, "prepare": 0, "infer": 4.5315, "finish": 0})


def test_a_broken_frame_is_remembered_and_counts_as_a_sign_of_life(record: Record, clock: Clock) -> None:
    clock.now += 7
    assert record.result_age == 7
    record.add_broken(BROKEN)
    assert record.result_age == 0
    assert record.broken is BROKEN
