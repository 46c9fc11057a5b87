from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dmdd_edge.runtime.bench.timing import Bench, Plan, Query
from dmdd_edge.runtime.bench.turns import CLOSE, MOST_PARTS, take_turns

from .conftest import FakeClock, QuietWatch


class Log:
    """Makes queries that note whose turn it was, and with which number."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.turns: list[tuple[str, int]] = []

    def side(self, name: str, seconds: Callable[[], float]) -> Query:
        def query(number: int) -> dict[str, float]:
            self.turns.append((name, number))
            taken = seconds()
            self._clock.time += taken
            return {"call": 1000 * taken, "other": 1.0}

        return query


def test_sides_take_turns_and_get_the_same_images(bench: Bench, clock: FakeClock) -> None:
    log = Log(clock)
    sides = [log.side("A", lambda: 0.010), log.side("B", lambda: 0.020)]
    turns = take_turns(sides, Plan(0.119, 1, 0.0, 2), bench)
    assert "".join(name for name, _ in log.turns[:2]) == "AB", "the warm-up"
    measured = log.turns[2:]
    assert "".join(name for name, _ in measured[:8]) == "ABBAABBA"
    for name in "AB":
        numbers = [number for whose, number in measured if whose == name]
        assert numbers[:4] == [2, 3, 4, 5], "each side has its own numbers, after those of the warm-up"
    assert turns.values[0] == pytest.approx(np.full(len(turns.values[0]), 10.0))
    assert turns.values[1] == pytest.approx(np.full(len(turns.values[1]), 20.0))
    assert len(turns.values[0]) == len(turns.values[1])


def test_it_goes_on_until_the_ratio_is_known_closely(clock: FakeClock) -> None:
    rng = np.random.default_rng(3)

    def parts(spread: float) -> tuple[int, float]:
        watch, log = QuietWatch(), Log(clock)
        sides = [log.side(name, lambda: 0.010 * rng.lognormal(0, spread)) for name in "AB"]
        turns = take_turns(sides, Plan(1.0), Bench(clock, watch))
        return watch.calls.count("start"), turns.seconds

    steady, seconds = parts(0.001)
    assert steady == 1
    assert seconds == pytest.approx(1, rel=0.05)
    noisy, seconds = parts(0.05)
    assert 1 < noisy < MOST_PARTS
    assert seconds == pytest.approx(noisy, rel=0.05)
    hopeless, _ = parts(3.0)
    assert hopeless == MOST_PARTS
    assert CLOSE == 0.01


def test_one_side_alone_has_every_turn_in_one_part(bench: Bench, clock: FakeClock) -> None:
    log = Log(clock)
    turns = take_turns([log.side("A", lambda: 0.1)], Plan(1.0), bench)
    assert [number for _, number in log.turns] == list(range(10))
    assert len(turns.values) == 1
    assert len(turns.values[0]) == 10


def test_a_stop_leaves_as_many_of_both(clock: FakeClock) -> None:
    log = Log(clock)
    bench = Bench(clock, QuietWatch(), stop=lambda: len(log.turns) >= 6)
    turns = take_turns([log.side(name, lambda: 0.01) for name in "AB"], Plan(60.0), bench)
    assert "".join(name for name, _ in log.turns) == "ABBAAB"
    assert [len(values) for values in turns.values] == [3, 3]
