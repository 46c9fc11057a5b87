"""One estimate for all phases, worked out by hand on a clock that the test turns."""

from __future__ import annotations

import pytest

from dmdd_edge.messages.phases import Cost, Phases, clock_text


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_was_measured_stretches_what_is_to_come(clock: Clock) -> None:
    """10 expected seconds took 30, so 20 more will take 60; the host's 5 are not measured and stay 5."""
    phases = Phases(clock)
    phases.expect([Cost("teacher", 10.0), Cost("student", 20.0), Cost("making", 5.0, "host")])
    assert phases.standing().left is None
    phases.update("teacher", 0, 4)
    clock.now += 30.0
    phases.update("teacher", 4, 4)
    standing = phases.standing()
    assert standing.left == pytest.approx(60.0 + 5.0)
    assert standing.share == pytest.approx(30.0 / 95.0)
    assert phases.seconds_left_after("student") == pytest.approx(5.0)


def test_a_phase_under_way_goes_by_its_own_rate_and_the_rest_is_counted(clock: Clock) -> None:
    """A quarter took 20 s: 60 s more, and what follows at the same speed, half as long as all of it: 40 s."""
    phases = Phases(clock)
    phases.expect([Cost("student", 8.0), Cost("head", 4.0)])
    phases.update("student", 0, 100)
    clock.now += 20.0
    phases.update("student", 25, 100)
    assert phases.standing().left == pytest.approx(60.0 + 40.0)
    clock.now += 12.0  # nothing is told meanwhile: the estimate goes on
    assert phases.standing().left == pytest.approx(48.0 + 40.0)


def test_a_resumed_phase_counts_only_what_this_run_does(clock: Clock) -> None:
    phases = Phases(clock)
    phases.update("student", 60, 100)
    clock.now += 10.0
    phases.update("student", 70, 100)
    assert phases.standing().left == pytest.approx(30.0)


def test_nothing_is_left_only_at_the_end(clock: Clock) -> None:
    """A phase that takes longer than expected never promises to be done."""
    phases = Phases(clock)
    phases.expect([Cost("threshold", 2.0, "host")])
    phases.update("threshold")
    clock.now += 50.0
    left = phases.standing().left
    assert left is not None
    assert left > 0
    phases.update("test images", 0, 8)
    clock.now += 1.0
    phases.update("test images", 8, 8)
    assert phases.standing().left == 0.0


def test_the_share_never_falls_and_a_phase_left_out_is_not_waited_for(clock: Clock) -> None:
    phases = Phases(clock)
    phases.expect([Cost("a", 10.0, "host"), Cost("left out", 30.0, "host"), Cost("b", 10.0, "host")])
    phases.update("a", 0, 2)
    clock.now += 10.0
    phases.update("a", 2, 2)
    assert phases.standing().share == pytest.approx(10 / 50)
    phases.update("b", 0, 10)
    assert phases.standing().share == pytest.approx(10 / 20)
    clock.now += 10.0
    phases.update("b", 1, 10)
    assert phases.standing().share == pytest.approx(10 / 20)
    assert phases.standing().left == pytest.approx(90.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3600, "1:00:00"), (36061, "10:01:01")]
)
def test_clocks_are_whole(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
