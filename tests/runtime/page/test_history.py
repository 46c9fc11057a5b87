from __future__ import annotations

import math

import pytest

from dmdd_edge.runtime.page.history import INTERVAL_SECONDS, KEPT_INTERVALS, KEPT_POINTS, History
from tests.runtime.page.a_run import BROKEN, result_of


class Clock:
    """Time that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(clock: Clock) -> History:
    return History(clock)


def test_the_trace_gives_what_came_after_a_number(history: History) -> None:
    for index, score in enumerate((0.1, 0.75, math.nan)):
        history.add(*result_of(index, score, "unreliable" if math.isnan(score) else None))
    assert history.points_after(0) == [
        (1, 0.1, "good", 10.0, 0.5),
        (2, 0.75, "anomalous", 10.0, 0.5),
        (3, None, "unreliable", 10.0, 0.5),
    ]
    assert [point.number for point in history.points_after(2)] == [3]
    assert history.points_after(3) == history.points_after(99) == []


def test_the_trace_is_bounded(history: History) -> None:
    for index in range(KEPT_POINTS + 50):
        history.add(*result_of(index))
    numbers = [point.number for point in history.points_after(0)]
    assert numbers == list(range(51, KEPT_POINTS + 51))
    assert [point.number for point in history.points_after(KEPT_POINTS + 48)] == [649, 650]


def test_only_the_newest_frame_is_held(history: History) -> None:
    assert history.newest is None
    assert [history.add(*result_of(index)) for index in (7, 8)] == [1, 2]
    assert history.newest is not None
    assert (history.newest.number, history.newest.result.index) == (2, 8)


def test_the_rate_is_that_of_the_last_ten_seconds(history: History, clock: Clock) -> None:
    assert history.rate() == 0
    for index in range(40):  # four a second
        clock.now += 0.25
        history.add(*result_of(index))
    assert history.rate() == pytest.approx(4.0)
    clock.now += 5  # nothing more comes
    assert history.rate() == pytest.approx(2.0)
    clock.now += 6
    assert history.rate() == 0


def test_the_rate_of_a_young_run_and_of_a_fast_one(history: History, clock: Clock) -> None:
    for index in range(2):
        clock.now += 1
        history.add(*result_of(index))
    assert history.rate() == pytest.approx(1.0)
    for index in range(2 * KEPT_POINTS):  # 200 a second: the trace holds three seconds
        clock.now += 0.005
        history.add(*result_of(index))
    assert history.rate() == pytest.approx(200)


def test_the_hour_is_kept_in_intervals(history: History, clock: Clock) -> None:
    history.add(*result_of(0, 0.25, latency=10))
    history.add(*result_of(1, 0.75, latency=30))
    clock.now += INTERVAL_SECONDS
    history.add(*result_of(2, math.nan, "unreliable", latency=5))
    first, second = history.intervals()
    assert (first["frames"], first["anomalous"], first["unreliable"]) == (2, 1, 0)
    assert (first["highest_score"], first["score_sum"], first["scored"]) == (0.75, 1.0, 2)
    assert (first["latency_sum_ms"], first["latency_max_ms"], first["threshold"]) == (40, 30, 0.5)
    assert (second["frames"], second["unreliable"], second["highest_score"]) == (1, 1, None)


def test_the_hour_ends(history: History, clock: Clock) -> None:
    for index in range(KEPT_INTERVALS + 5):
        history.add(*result_of(index))
        clock.now += INTERVAL_SECONDS
    assert len(history.intervals()) == KEPT_INTERVALS - 1, "the present interval holds nothing yet"
    clock.now += 3600
    assert history.intervals() == []


def test_a_broken_frame_is_remembered_and_counts_as_a_sign_of_life(history: History, clock: Clock) -> None:
    clock.now += 7
    assert history.result_age == 7
    history.add_broken(BROKEN)
    assert history.result_age == 0
    assert history.broken is BROKEN
