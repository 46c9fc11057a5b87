"""Which places are INT8: the choice among measured losses that do not fall with every place."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from dmdd_edge import BundleError
from dmdd_edge.export.int8.choice import Choice
from dmdd_edge.export.int8.measure import Loss
from dmdd_edge.export.int8.search import MOST_STEPS, Search, Step, best

NOTHING = Loss("x", 2, 2, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
#: Twenty places of equal work, each with half the error of the one before.
ORDER = [f"p{index}" for index in range(20)]
ERROR = {name: 2.0**-index for index, name in enumerate(ORDER)}
WORK = dict.fromkeys(ORDER, 5)


def _steps(
    holds: Callable[[Collection[str]], bool], work: dict[str, int] = WORK, error: dict[str, float] = ERROR
) -> list[Step]:
    def measure(half: Collection[str]) -> tuple[Loss, tuple[str, ...]]:
        return NOTHING, () if holds(half) else ("too much",)

    return Search(ORDER, error, work, measure).run()


def test_the_first_choice_that_holds_counts_though_more_places_in_half_do_not() -> None:
    steps = _steps(lambda half: len(half) == 3)
    found = best(steps)
    assert found is not None
    assert found.half == ("p0", "p1", "p2")
    assert found.share == pytest.approx(17 / 20)
    assert [len(step.half) for step in steps] == [1, 2, 3, 2, 2, 2]  # at last without each of the three


def test_places_that_need_not_be_in_half_are_int8_again() -> None:
    found = best(_steps(lambda half: {"p0", "p3"} <= set(half)))
    assert found is not None
    assert found.half == ("p0", "p3")


def test_below_a_share_the_next_choice_that_holds_counts() -> None:
    def measure(half: Collection[str]) -> tuple[Loss, tuple[str, ...]]:
        return NOTHING, () if len(half) in {3, 7} else ("too much",)

    search = Search(ORDER, ERROR, WORK, measure)
    steps = search.run()
    first = best(steps)
    assert first is not None
    more = search.below(first.share, [step.half for step in steps])
    assert len(more[-1].half) == 7
    assert more[-1].holds
    assert [step.holds for step in more[:-1]] == [False] * (len(more) - 1)
    assert all(step.share < first.share for step in more)
    assert search.below(0.0, []) == []


def test_a_place_too_large_for_what_is_allowed_is_passed_over() -> None:
    work = {**WORK, "p1": 40}  # of 135
    found = best(_steps(lambda half: {"p0", "p2"} <= set(half), work))
    assert found is not None
    assert found.half == ("p0", "p2")


def test_a_place_without_error_stays_in_int8() -> None:
    steps = _steps(lambda half: False, error={**ERROR, "p1": 1e-9})
    assert not [step for step in steps if "p1" in step.half]


def test_the_number_of_measurements_is_bounded_and_nothing_that_holds_is_an_error() -> None:
    steps = _steps(lambda half: False)
    assert len(steps) < MOST_STEPS
    assert best(steps) is None
    with pytest.raises(BundleError, match=r"at every place: with \d+ of 20 places in half precision, too mu"):
        _ = Choice(tuple(steps), tuple(ORDER)).half
