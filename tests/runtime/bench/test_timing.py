from __future__ import annotations

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.timing import Bench, Plan, Series

from .conftest import FakeClock, QuietWatch


def _query(clock: FakeClock, seconds: float, numbers: list[int]):  # type: ignore[no-untyped-def]
    def query(number: int) -> dict[str, float]:
        numbers.append(number)
        clock.time += seconds
        return {"call": 1000 * seconds}

    return query


def test_the_warm_up_is_over_when_both_time_and_count_are_reached(bench: Bench, clock: FakeClock) -> None:
    for plan, expected in [(Plan(1, 1, 2.0, 3), 4), (Plan(1, 1, 0.0, 3), 3), (Plan(1, 1, 0.0, 0), 0)]:
        numbers: list[int] = []
        assert bench.warm_up(_query(clock, 0.5, numbers), plan) == expected
        assert numbers == list(range(expected))


def test_measuring_lasts_as_long_and_as_often_as_asked(bench: Bench, clock: FakeClock) -> None:
    numbers: list[int] = []
    series = bench.repeat(_query(clock, 0.5, numbers), Plan(2.0, 1, 1.0, 1), batch=4)
    assert numbers == [0, 1, 2, 3, 4, 5], "two of warm-up, then four; the numbers continue"
    assert series.count == 4
    assert list(series.started) == [0.0, 0.5, 1.0, 1.5]
    assert series.seconds == 2.0
    assert series.throughput == 8.0
    assert series.spread("call").high == 500  # type: ignore[union-attr]
    assert series.spread("decode") is None
    assert bench.repeat(_query(clock, 0.5, numbers), Plan(0.1, 7)).count == 7


def test_the_watch_covers_counted_queries_only(clock: FakeClock) -> None:
    watch = QuietWatch()
    Bench(clock, watch).repeat(_query(clock, 0.5, []), Plan(1.0, 1, 5.0, 5))
    assert watch.calls == ["start", "sample", "sample", "stop"]


def test_a_stop_leaves_the_queries_so_far(clock: FakeClock) -> None:
    numbers: list[int] = []
    bench = Bench(clock, QuietWatch(), stop=lambda: len(numbers) >= 3)
    assert bench.repeat(_query(clock, 0.5, numbers), Plan(60.0)).count == 3
    assert bench.repeat(_query(clock, 0.5, numbers), Plan(60.0, 1, 9.0, 9)).count == 0
    assert Series().throughput == 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_duration_that_cannot_be(seconds: float) -> None:
    with pytest.raises(DmddError, match=r"--duration must be above 0 .*, got "):
        Plan(seconds)


def test_an_impossible_warm_up() -> None:
    with pytest.raises(DmddError, match="warm-up of -1 s"):
        Plan(1.0, 1, -1.0)
    for endless in (float("nan"), float("inf")):
        with pytest.raises(DmddError, match="is impossible"):
            Plan(1.0, 1, endless)
