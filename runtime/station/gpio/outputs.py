"""What the output lines say at each moment: no threads, no hardware, no clock.

A line that is held (``pulse_ms`` 0) belongs to the newest trigger: it is taken back when the next part is
triggered. A held ``reject`` rests at yes: it is off only between a verdict *good* and the next trigger.
A pulse begins ``delay_ms`` after the verdict and is never shorter than ``pulse_ms``, except that a later part
that does not pass ends the pulse of ``pass``, and a fault does.
"""

from __future__ import annotations

import math
from collections import deque

from dmdd_edge.runtime.station.settings import GpioSettings, LineSettings

#: Outputs by their name in the station file.
OUTPUTS = ("ready", "pass", "reject", "fault")


def output_lines(settings: GpioSettings) -> dict[str, LineSettings]:
    """The outputs that the station file has, by name."""
    lines = (settings.ready, settings.pass_, settings.reject, settings.fault)
    return {name: line for name, line in zip(OUTPUTS, lines, strict=True) if line is not None}


class Timeline:
    """One line: what it says now, and when that changes.

    Args:
        settings: delay and pulse.
        resting: what it says while nothing is known.

    Attributes:
        value: whether the line says yes.
        merged: pulses that began while the one before had not ended, so that both are one.
    """

    def __init__(self, settings: LineSettings, resting: bool = False) -> None:
        self._pulse, self._delay = settings.pulse_ms / 1000, settings.delay_ms / 1000
        self._plan: deque[tuple[float, bool]] = deque()
        self._until = math.inf
        self.value = resting
        self.merged = 0

    @property
    def held(self) -> bool:
        """Whether the line is held, not pulsed."""
        return not self._pulse

    @property
    def next(self) -> float:
        """When the line changes next; infinity while nothing is planned."""
        return min(self._until, self._plan[0][0] if self._plan else math.inf)

    def plan(self, at: float, value: bool) -> None:
        """Plan a change, ``delay_ms`` after a moment; never before one that was planned earlier."""
        due = at + self._delay
        self._plan.append((max(due, self._plan[-1][0]) if self._plan else due, value))

    def late(self, now: float) -> float:
        """The moment whose change would be due now, if the first one is overdue; else minus infinity."""
        return now - self._delay if self._plan and self._plan[0][0] <= now else -math.inf

    def advance(self, now: float) -> None:
        """Make the changes that are due. A pulse that begins late is whole all the same."""
        while self._plan and self._plan[0][0] <= now:
            value = self._plan.popleft()[1]
            if value and self._pulse:
                self.merged += self.value
                self._until = now + self._pulse
            else:
                self._until = math.inf
            self.value = value
        if self._until <= now:
            self.value, self._until = False, math.inf

    def force(self, value: bool) -> None:
        """Change now, and forget what was planned."""
        self._plan.clear()
        self.value, self._until = value, math.inf


class Outputs:
    """All output lines. Every time is in seconds of one clock.

    Args:
        settings: the lines.
    """

    def __init__(self, settings: GpioSettings) -> None:
        lines = output_lines(settings)
        self._lines = {name: Timeline(line) for name, line in lines.items()}
        self._pass, self._reject = self._lines.get("pass"), self._lines.get("reject")
        pulses = [line.pulse_ms / 1000 for name, line in lines.items() if name in ("pass", "reject")]
        self._apart = 2 * max(pulses, default=0.0)
        self._last = -math.inf
        self._unsafe = True
        self._hold()

    def values(self) -> dict[str, bool]:
        """What each line says now, by name."""
        return {name: line.value for name, line in self._lines.items()}

    @property
    def next(self) -> float:
        """When a line changes next; infinity while nothing is planned."""
        return min((line.next for line in self._lines.values()), default=math.inf)

    @property
    def pending(self) -> bool:
        """Whether a pulse of ``reject`` is still to come or to end."""
        return self._reject is not None and self._reject.next < math.inf

    @property
    def merged(self) -> int:
        """Pulses that began before the one before had ended."""
        return sum(line.merged for line in self._lines.values())

    def begin(self, at: float) -> None:
        """A part is triggered: what is held for the one before is taken back."""
        if self._pass is not None and self._pass.held:
            self._pass.plan(at, False)
        if self._reject is not None and self._reject.held:
            self._reject.plan(at, True)

    def verdict(self, at: float, passed: bool, newest: bool = True) -> None:
        """A part has its verdict.

        Args:
            at: when.
            passed: whether it passes.
            newest: whether no later part was triggered, so that a held line can still mean this one.
        """
        passed = passed and not self._unsafe
        self._last = at
        if self._pass is not None:
            self._pass.plan(at, passed and (newest or not self._pass.held))
        if self._reject is not None:
            if self._reject.held:
                self._reject.plan(at, not (passed and newest))
            elif not passed:
                self._reject.plan(at, True)

    def refused(self, at: float) -> None:
        """A trigger was refused; the pulse is set apart from the one before it, which may begin late."""
        pulsed = [line for line in (self._pass, self._reject) if line is not None and not line.held]
        before = max(self._last, *(line.late(at) for line in pulsed), -math.inf)
        self.verdict(max(at, before + self._apart), passed=False)

    def state(self, ready: bool, fault: bool, online: bool) -> None:
        """The state of the station: without fault and online, lines may say *pass*."""
        self._unsafe = fault or not online
        self._force("ready", ready and not self._unsafe)
        self._force("fault", fault)
        if self._unsafe:
            self._hold()

    def advance(self, now: float) -> None:
        """Make the changes that are due."""
        for line in self._lines.values():
            line.advance(now)

    def _hold(self) -> None:
        """Take *pass* back, also what was planned; pulses of ``reject`` still come."""
        if self._pass is not None:
            self._pass.force(False)
        if self._reject is not None and self._reject.held:
            self._reject.force(True)

    def _force(self, name: str, value: bool) -> None:
        if name in self._lines:
            self._lines[name].force(value)
