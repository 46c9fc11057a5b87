from __future__ import annotations

from collections.abc import Callable

import pytest

from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.stream import ARRIVAL, measure_stream, run_at, search
from dmdd_edge.runtime.bench.timed_detector import TimedDetector
from dmdd_edge.runtime.bench.timing import Bench, Plan

from .conftest import FakeClock, QuietWatch, TimedBackend

MakeTimed = Callable[[TimedBackend], TimedDetector]


def _worker(clock: FakeClock, seconds: Callable[[int], float], taken: list[int]) -> Callable[[int], None]:
    def judge(number: int) -> None:
        taken.append(number)
        clock.time += seconds(number)

    return judge


def test_a_rate_below_what_can_be_done_drops_nothing(bench: Bench, clock: FakeClock) -> None:
    taken: list[int] = []
    trial = run_at(50.0, 2.0, _worker(clock, lambda number: 0.010, taken), bench)
    assert taken == list(range(100))
    assert (trial.judged, trial.dropped) == (100, 0)
    assert list(trial.series.values[ARRIVAL]) == pytest.approx([10.0] * 100)


def test_the_newest_frame_wins(bench: Bench, clock: FakeClock) -> None:
    # A frame every 10 ms, 25 ms each: during frame 0 (0 to 25) 1 and 2 arrive, 2 wins. During 2 (25 to 50) 3,
    # 4 and 5 (at 50) arrive: 5 wins. During 5 (50 to 75) 6 and 7: 7 wins. During 7 (75 to 100), with ten
    # frames in all, 8 and 9: 9 wins.
    taken: list[int] = []
    trial = run_at(100.0, 0.1, _worker(clock, lambda number: 0.025, taken), bench)
    assert taken == [0, 2, 5, 7, 9]
    assert (trial.judged, trial.dropped) == (5, 5)
    assert list(trial.series.values[ARRIVAL]) == pytest.approx([25, 30, 25, 30, 35])


def test_one_slow_frame_is_absorbed_by_the_one_slot(bench: Bench, clock: FakeClock) -> None:
    taken: list[int] = []
    slow_once = _worker(clock, lambda number: 0.018 if number == 3 else 0.005, taken)
    trial = run_at(100.0, 0.1, slow_once, bench)
    assert trial.dropped == 0
    found = list(trial.series.values[ARRIVAL])
    # Frame 3 ends 8 ms after frame 4 came, which waits so long; frame 5 waits 3 ms for it.
    assert found == pytest.approx([5, 5, 5, 18, 13, 8, 5, 5, 5, 5])


@pytest.mark.parametrize("guess", [100.0, 5.0, 4000.0])
def test_the_search_finds_what_can_be_held(bench: Bench, clock: FakeClock, guess: float) -> None:
    found = search(guess, 5.0, _worker(clock, lambda number: 0.010, []), bench)
    assert found.held is not None
    assert found.held.rate <= 100
    assert found.held.rate > 96
    assert found.held is found.trials[-1]
    assert found.held.series.seconds >= 4.9, "it was confirmed for the whole time"


def test_a_rate_that_only_short_trials_hold_is_not_reported(bench: Bench, clock: FakeClock) -> None:
    # Every 100th frame takes 40 ms: short trials may miss it, five seconds do not.
    count = [0]

    def judge(number: int) -> None:
        count[0] += 1
        clock.time += 0.040 if count[0] % 100 == 0 else 0.010

    found = search(80.0, 5.0, judge, bench)
    assert found.held is not None
    # 40 ms and then a frame at once: two periods must cover the slow frame, so at most 50 a second.
    assert 40 < found.held.rate <= 50.1
    assert any(trial.dropped for trial in found.trials)


def test_a_rate_that_was_asked_for_is_tried_once(
    make_timed: MakeTimed, image_set: ImageSet, bench: Bench, clock: FakeClock
) -> None:
    backend = TimedBackend(clock)
    found = measure_stream(make_timed(backend), image_set, Plan(1.0), bench, rate=30.0)
    assert found.asked == 30
    assert found.held is found.trials[0]
    assert backend.batches == [[level] for level in [10, 20, 30, 40, 50] * 6]
    over = measure_stream(make_timed(TimedBackend(clock)), image_set, Plan(1.0), bench, rate=150.0)
    assert over.held is None
    assert over.trials[0].dropped == pytest.approx(50, abs=2)


def test_the_highest_rate_of_a_subject(
    make_timed: MakeTimed, image_set: ImageSet, bench: Bench, clock: FakeClock
) -> None:
    timed = make_timed(TimedBackend(clock))
    found = measure_stream(timed, image_set, Plan(2.0, 1, 0.5, 3), bench)
    assert found.held is not None
    assert found.held.rate == pytest.approx(100, rel=0.05)
    assert found.asked is None


def test_what_was_stopped_was_not_held(clock: FakeClock) -> None:
    taken: list[int] = []
    bench = Bench(clock, QuietWatch(), stop=lambda: len(taken) >= 200)
    found = search(50.0, 5.0, _worker(clock, lambda number: 0.010, taken), bench)
    assert found.held is None
    assert len(taken) == 200
