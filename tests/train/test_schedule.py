"""How far a run has come, and the learning rate that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dmdd_edge.train import schedule
from dmdd_edge.train.schedule import Progress, learning_rate


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(schedule, "time", made)
    return made


@pytest.mark.parametrize(
    ("progress", "share"),
    [(0.0, 1.0), (0.25, 0.5 + 0.5 / math.sqrt(2)), (0.5, 0.5), (0.75, 0.5 - 0.5 / math.sqrt(2)), (1.0, 0.0)],
)
def test_the_cosine_by_hand(progress: float, share: float, tiny_config: Callable[..., Any]) -> None:
    assert learning_rate(tiny_config(lr=0.004), progress) == pytest.approx(0.004 * share, abs=1e-12)
    constant = tiny_config(lr=0.004, schedule="constant")
    assert learning_rate(constant, progress) == 0.004


def test_the_cosine_never_rises_again(tiny_config: Callable[..., Any]) -> None:
    assert learning_rate(tiny_config(), 1.3) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("epochs", "images", "batch", "steps"), [(1, 10, 4, 3), (2, 8, 4, 4), (0.5, 10, 2, 3), (0.01, 10, 8, 1)]
)
def test_epochs_become_steps(
    epochs: float, images: int, batch: int, steps: int, tiny_config: Callable[..., Any]
) -> None:
    plan = Progress.plan(tiny_config(epochs=epochs, batch_size=batch), images, 0.0, 0.0)
    assert plan.total == steps
    assert plan.deadline is None


def test_steps_count_down(tiny_config: Callable[..., Any], clock: Clock) -> None:
    plan = Progress.plan(tiny_config(steps=4), 10, clock.now, 0.0)
    seen = []
    while not plan.done:
        seen.append((plan.step, plan.fraction))
        plan.advance(2.0)
    assert seen == [(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)]
    assert plan.fraction == 1.0
    assert plan.seconds_left() == 0.0


def test_the_time_left_follows_the_steps_times(tiny_config: Callable[..., Any], clock: Clock) -> None:
    plan = Progress.plan(tiny_config(steps=10), 10, clock.now, 0.0)
    for seconds in (1.0, 3.0):
        plan.advance(seconds)
    assert plan.seconds_left() == pytest.approx(8 * 2.0)


@pytest.mark.parametrize("seconds", [0.2, 1.7])
def test_the_clock_alone_leads_to_the_end(
    seconds: float, tiny_config: Callable[..., Any], clock: Clock
) -> None:
    """The schedule must be near its end as time runs out, and time must not be overrun."""
    began = clock.now
    config = tiny_config(max_minutes=4.0)
    clock.now += 30.0  # preparation
    plan = Progress.plan(config, 10, began, reserve=20.0)
    rng = np.random.default_rng(0)
    before = 0.0
    half = None
    while not plan.done:
        took = seconds * float(rng.uniform(0.7, 1.3))
        clock.now += took
        plan.advance(took)
        assert before <= plan.fraction <= 1.0
        before = plan.fraction
        if half is None and clock.now >= began + 30 + 95:
            half = plan.fraction
    assert clock.now <= began + 4 * 60 - 20 + 1.3 * seconds
    assert clock.now >= began + 4 * 60 - 20 - 2.5 * seconds
    assert plan.fraction > 0.95
    assert half == pytest.approx(0.5, abs=0.05)


def test_a_limit_on_top_of_steps_ends_the_run_early(tiny_config: Callable[..., Any], clock: Clock) -> None:
    plan = Progress.plan(tiny_config(steps=1000, max_minutes=1.0), 10, clock.now, 10.0)
    while not plan.done:
        clock.now += 1.0
        plan.advance(1.0)
    assert plan.step == 50
    assert plan.fraction == 0.05


def test_preparation_that_took_all_the_time_still_leaves_a_run(
    tiny_config: Callable[..., Any], clock: Clock
) -> None:
    began = clock.now
    clock.now += 1000
    plan = Progress.plan(tiny_config(max_minutes=1.0), 10, began, 5.0)
    assert plan.done
    assert plan.seconds_left() < 0


def test_what_follows_is_kept_free_but_for_the_students_share(
    tiny_config: Callable[..., Any], clock: Clock
) -> None:
    """Of 10 minutes, 90 s are for the rest; however long that takes, the student gets 4 of them."""
    plan = Progress.plan(tiny_config(steps=1000, max_minutes=10.0), 10, clock.now, 15.0)
    plan.keep(90.0)
    plan.advance(2.0)
    assert plan.expected_steps == 1 + (600 - 90) // 2
    plan.keep(5000.0)
    assert plan.expected_steps == 1 + 240 // 2
