"""When each line says what; every moment is worked out by hand, in seconds."""

from __future__ import annotations

import math

import pytest

from dmdd_edge.runtime.station.gpio.outputs import Outputs
from dmdd_edge.runtime.station.settings import GpioSettings, LineSettings

HELD = GpioSettings(
    ready=LineSettings(line=0),
    pass_=LineSettings(line=1),
    reject=LineSettings(line=2),
    fault=LineSettings(line=3),
)
PULSED = GpioSettings(
    pass_=LineSettings(line=1, pulse_ms=50, delay_ms=200),
    reject=LineSettings(line=2, pulse_ms=80, delay_ms=100),
)


def working(settings: GpioSettings) -> Outputs:
    outputs = Outputs(settings)
    outputs.state(ready=True, fault=False, online=True)
    return outputs


def at(outputs: Outputs, now: float) -> set[str]:
    """The lines that say yes at this moment."""
    outputs.advance(now)
    return {name for name, value in outputs.values().items() if value}


def test_before_anything_is_known_nothing_passes() -> None:
    outputs = Outputs(HELD)
    assert at(outputs, 0) == {"reject"}
    outputs.verdict(1.0, passed=True)  # before the station says that it is online
    assert at(outputs, 1.0) == {"reject"}


def test_a_held_verdict_stays_until_the_next_trigger() -> None:
    outputs = working(HELD)
    assert at(outputs, 0) == {"ready", "reject"}
    outputs.begin(1.0)
    outputs.verdict(1.1, passed=True)
    assert at(outputs, 1.0999) == {"ready", "reject"}
    assert at(outputs, 1.1) == {"ready", "pass"}
    assert at(outputs, 99.0) == {"ready", "pass"}
    outputs.begin(100.0)
    assert at(outputs, 100.0) == {"ready", "reject"}
    outputs.verdict(100.1, passed=False)
    assert at(outputs, 100.1) == {"ready", "reject"}


def test_a_held_line_never_shows_the_verdict_of_an_older_part() -> None:
    outputs = working(HELD)
    outputs.begin(1.0)
    outputs.begin(1.05)
    outputs.verdict(1.1, passed=True, newest=False)
    assert at(outputs, 1.2) == {"ready", "reject"}
    outputs.verdict(1.2, passed=True)
    assert at(outputs, 1.2) == {"ready", "pass"}


def test_pulses_come_delayed_and_end_by_themselves() -> None:
    outputs = working(PULSED)
    outputs.verdict(1.0, passed=True)
    outputs.verdict(1.5, passed=False)
    changes = []
    now, before = 0.0, set()
    while outputs.next < math.inf:
        now = outputs.next
        lines = at(outputs, now)
        changes.append((round(now, 6), sorted(lines - before), sorted(before - lines)))
        before = lines
    assert changes[0] == (1.2, ["pass"], [])
    assert changes[1] == (1.25, [], ["pass"])
    assert (1.6, ["reject"], []) in changes
    assert changes[-1][0] in (1.68, 1.7)
    assert [change for change in changes if "reject" in change[2]] == [(1.68, [], ["reject"])]
    assert outputs.merged == 0


def test_a_pulse_that_begins_late_is_whole() -> None:
    outputs = working(PULSED)
    outputs.verdict(1.0, passed=True)
    assert at(outputs, 5.0) == {"pass"}
    assert at(outputs, 5.049) == {"pass"}
    assert at(outputs, 5.0501) == set()


def test_pulses_of_neighboring_parts_become_one_and_are_counted() -> None:
    outputs = working(PULSED)
    outputs.verdict(1.0, passed=False)
    outputs.verdict(1.05, passed=False)
    assert at(outputs, 1.1) == {"reject"}
    assert at(outputs, 1.1501) == {"reject"}
    assert at(outputs, 1.2299) == {"reject"}
    assert at(outputs, 1.2302) == set()
    assert outputs.merged == 1


def test_the_answer_to_a_refused_trigger_is_set_apart_from_the_pulse_before_it() -> None:
    outputs = working(PULSED)
    outputs.verdict(1.0, passed=True)
    outputs.refused(1.0)  # at 1.16: twice the longest pulse later
    assert at(outputs, 1.2) == {"pass"}
    assert at(outputs, 1.2501) == set()
    assert at(outputs, 1.2601) == {"reject"}


@pytest.mark.parametrize(("passed", "first"), [(True, {"pass"}), (False, {"reject"})])
def test_a_verdict_that_is_shown_late_has_its_pulse_before_the_refused_trigger(
    passed: bool, first: set[str]
) -> None:
    pulse = {"pulse_ms": 50, "delay_ms": 20}
    outputs = working(GpioSettings(pass_=LineSettings(line=1, **pulse), reject=LineSettings(line=2, **pulse)))
    outputs.verdict(1.0, passed=passed)
    outputs.refused(3.0)  # nothing was driven for two seconds, so the first pulse begins now
    assert at(outputs, 3.0) == first
    assert at(outputs, 3.0501) == set()
    assert at(outputs, 3.0999) == set()  # 3.1: twice the longest pulse after the first one begins
    assert at(outputs, 3.1001) == {"reject"}
    assert outputs.merged == 0


def test_a_part_that_does_not_pass_ends_the_pulse_of_the_one_before() -> None:
    outputs = working(PULSED)
    outputs.verdict(1.0, passed=True)
    assert at(outputs, 1.2) == {"pass"}
    outputs.verdict(1.02, passed=False)
    assert "pass" not in at(outputs, 1.22)


@pytest.mark.parametrize("state", [{"fault": True, "online": True}, {"fault": False, "online": False}])
def test_a_fault_takes_back_what_passes_now_and_later(state: dict[str, bool]) -> None:
    outputs = working(HELD)
    outputs.verdict(1.0, passed=True)
    assert "pass" in at(outputs, 1.0)
    outputs.state(ready=True, **state)
    assert at(outputs, 1.0) == {"reject"} | ({"fault"} if state["fault"] else set())
    outputs.verdict(1.1, passed=True)
    assert "pass" not in at(outputs, 2.0)

    outputs = working(PULSED)
    outputs.verdict(1.0, passed=True)
    outputs.state(ready=True, **state)
    assert at(outputs, 1.2) == set()


def test_a_fault_leaves_the_pulses_of_reject() -> None:
    outputs = working(PULSED)
    outputs.verdict(1.0, passed=False)
    outputs.state(ready=False, fault=True, online=False)
    assert outputs.pending
    assert at(outputs, 1.1) == {"reject"}
    assert at(outputs, 1.1801) == set()
    assert not outputs.pending


def test_after_the_fault_the_next_part_may_pass() -> None:
    outputs = working(HELD)
    outputs.state(ready=False, fault=True, online=True)
    outputs.state(ready=True, fault=False, online=True)
    assert at(outputs, 1.0) == {"ready", "reject"}
    outputs.verdict(1.1, passed=True)
    assert at(outputs, 1.1) == {"ready", "pass"}
