from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from dmdd_edge.runtime.bench.interleave import MOST_TIMES, ROUNDS, OpenOperands, interleave
from dmdd_edge.runtime.bench.timing import Bench, Plan, Query

from .conftest import FakeClock, QuietWatch


class Log:
    """Builds queries that record which operand ran, and with which number.

    Attributes:
        turns: operand and number of each query, of all rounds.
        opened: for each round, whether A was to be the first.
        starts: where in ``turns`` each round begins.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.turns: list[tuple[str, int]] = []
        self.opened: list[bool] = []
        self.starts: list[int] = []

    def sides(self, **seconds: Callable[[], float]) -> OpenOperands:
        @contextmanager
        def open_sides(forwards: bool) -> Iterator[list[Query]]:
            self.opened.append(forwards)
            self.starts.append(len(self.turns))
            yield [self._side(name, taken) for name, taken in seconds.items()]

        return open_sides

    def _side(self, name: str, seconds: Callable[[], float]) -> Query:
        def query(number: int) -> dict[str, float]:
            self.turns.append((name, number))
            taken = seconds()
            self._clock.time += taken
            return {"call": 1000 * taken, "other": 1.0}

        return query


def test_operands_alternate_and_use_the_same_images(bench: Bench, clock: FakeClock) -> None:
    log = Log(clock)
    turns = interleave(log.sides(A=lambda: 0.010, B=lambda: 0.020), Plan(12 * 0.119, 1, 0.05, 2), bench)
    assert log.opened == [True, False] * (ROUNDS // 2), (
        "opened again for each round, A first or B first in turn"
    )
    first = log.turns[: log.starts[1]]
    assert "".join(name for name, _ in first[:4]) == "ABBA", "the warm-up: 50 ms, in 30 and 30"
    second = log.turns[log.starts[1] : log.starts[2]]
    assert "".join(name for name, _ in second[:2]) == "AB", "later on, the count alone"
    measured = second[2:]
    assert "".join(name for name, _ in measured[:8]) == "ABBAABBA"
    for name in "AB":
        numbers = [number for whose, number in measured if whose == name]
        assert numbers[:4] == [2, 3, 4, 5], "each side has its own numbers, after those of the warm-up"
    assert turns.values(0) == pytest.approx(np.full(48, 10.0))
    assert turns.values(1) == pytest.approx(np.full(48, 20.0))
    assert turns.ratio.value == pytest.approx(2)
    assert turns.ratios == pytest.approx([2.0] * ROUNDS)
    assert turns.seconds == pytest.approx(12 * 0.12)


def test_the_run_continues_until_the_ratio_is_precise(clock: FakeClock) -> None:
    rng = np.random.default_rng(3)

    def rounds(spread: float) -> int:
        log = Log(clock)

        def taken() -> float:
            return float(0.010 * rng.lognormal(0, spread))

        turns = interleave(log.sides(A=taken, B=taken), Plan(6.0), Bench(clock, QuietWatch()))
        assert len(turns.rounds) == len(log.opened)
        return len(turns.rounds)

    assert rounds(0.001) == ROUNDS
    assert ROUNDS < rounds(0.08) < ROUNDS * MOST_TIMES
    assert rounds(3.0) == ROUNDS * MOST_TIMES


def test_a_single_operand_runs_every_query(bench: Bench, clock: FakeClock) -> None:
    log = Log(clock)
    turns = interleave(log.sides(A=lambda: 0.1), Plan(12.0), bench)
    assert len(turns.rounds) == ROUNDS
    assert [number for _, number in log.turns[: log.starts[1]]] == list(range(10))
    assert len(turns.values(0)) == 120


def test_a_stop_leaves_as_many_of_both(clock: FakeClock) -> None:
    log = Log(clock)
    bench = Bench(clock, QuietWatch(), stop=lambda: len(log.turns) >= 6)
    turns = interleave(log.sides(A=lambda: 0.01, B=lambda: 0.01), Plan(60.0), bench)
    assert "".join(name for name, _ in log.turns) == "ABBAAB"
    assert [len(turns.values(side)) for side in (0, 1)] == [3, 3]
