"""Whether an image fits to a set: what is refused, what is marked, and what neither."""

from __future__ import annotations

import numpy as np
import pytest

from dmdd_edge.runtime.collect.good_set import ENOUGH, GoodSet
from tests.runtime.collect.parts import Image, blurred, moved, part, shot


def good_set(count: int = 24, **options: float) -> GoodSet:
    made = GoodSet()
    for number in range(1, count + 1):
        made.add(number, made.look_at(part(number, **options)))  # type: ignore[arg-type]
    return made


def refused(made: GoodSet, image: Image) -> str | None:
    faults = made.look_at(image).faults
    return faults[0].kind if faults and faults[0].refuses else None


def test_other_good_parts_are_not_refused() -> None:
    made = good_set()
    assert [refused(made, part(seed)) for seed in range(100, 140)] == [None] * 40


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (shot(part(5), 99), "repeated"),
        (blurred(part(200)), "blurred"),
        (shot(part(200) * 0.6, 1), "dark"),
        (shot(part(200) * 1.5, 1), "bright"),
        (moved(part(200), x=12), "moved"),
        (moved(part(200), turn=10), "moved"),
        (moved(part(200), turn=90), "moved"),
        (np.zeros((160, 160, 3), np.uint8), "dark"),
        (np.full((160, 160, 3), 255, np.uint8), "bright"),
        (part(200, 200), "size"),
    ],
)
def test_each_kind_of_fault_is_refused(image: Image, kind: str) -> None:
    assert refused(good_set(), image) == kind


def test_the_text_names_the_image_that_is_shown_again() -> None:
    fault = good_set().look_at(shot(part(5), 99)).faults[0]
    assert fault.text.startswith("the same shot as 000005: it differs by ")


def test_a_few_image_have_no_statistics_and_refuse_only_what_shows_nothing_or_is_there() -> None:
    made = good_set(ENOUGH - 1)
    assert refused(made, blurred(part(200))) is None
    assert refused(made, shot(part(200) * 0.6, 1)) is None
    assert refused(made, shot(part(3), 99)) == "repeated"
    assert refused(made, np.zeros((160, 160, 3), np.uint8)) == "dark"


def test_what_came_before_there_were_statistics_is_named_afterwards() -> None:
    made = GoodSet()
    for number in range(1, 21):
        image = blurred(part(number), 3.0) if number == 2 else part(number)
        made.add(number, made.look_at(image))
    assert [(number, fault.kind) for number, fault in made.doubtful()] == [(2, "blurred")]


def test_parts_that_lie_anywhere_are_never_moved() -> None:
    random = np.random.default_rng(4)
    made = GoodSet()
    for number in range(1, 17):
        x, y, turn = random.uniform(-12, 12), random.uniform(-12, 12), random.uniform(-60, 60)
        made.add(number, made.look_at(moved(part(number), x, y, turn)))
    assert made.positions.free
    assert refused(made, moved(part(300), x=10, turn=45)) is None


def test_removing_the_last_one_forgets_it() -> None:
    made = good_set(10)
    made.remove_last()
    assert len(made) == 9
    assert refused(made, shot(part(10), 99)) is None
    assert refused(made, shot(part(9), 99)) == "repeated"
