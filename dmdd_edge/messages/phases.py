"""How far a long piece of work has come, phase by phase, and one estimate of the time left for all of it.

Each phase has an expected cost in seconds on a machine with two cores. The phases that were measured say how
much slower or faster this machine is, separately for what the networks take and what the host takes, since a
GPU changes one and not the other. A phase that is under way is extrapolated from its own rate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

#: What a phase computes with: networks on the device, or the host's cores.
Kind = Literal["network", "host"]
#: Seconds after which a phase's own rate alone is extrapolated; until then the expected cost counts too.
_SETTLED = 5.0
#: A phase that overruns its expected time is expected to take this share of the time spent so far.
_OVERRUN = 0.1


class Cost(NamedTuple):
    """What a phase is expected to take.

    Attributes:
        name: of the phase.
        seconds: on a machine with two cores; only the ratios between phases of a kind matter.
        kind: what it computes with.
    """

    name: str
    seconds: float
    kind: Kind = "network"


@dataclass
class _Phase:
    name: str
    cost: float = 0.0
    kind: Kind = "host"
    began: float | None = None
    ended: float | None = None
    first: float = 0.0  # units done when it began: a resumed run does not begin at 0
    done: float = 0.0
    total: float | None = None
    at: float = 0.0  # when `done` was reported

    @property
    def share(self) -> float:
        """Share done of what this run does of the phase, 0..1."""
        if not self.total or self.total <= self.first:
            return 0.0
        return min(max((self.done - self.first) / (self.total - self.first), 0.0), 1.0)


@dataclass(frozen=True)
class Standing:
    """How the work stands.

    Attributes:
        phase: name of the phase under way; empty before the first.
        done, total: of the phase, in its own unit; total is None where it is unknown.
        elapsed: seconds since the work began.
        left: expected seconds until all of it is done; None while nothing tells.
        share: of all the work, 0..1; None while nothing tells. It never falls.
    """

    phase: str
    done: float
    total: float | None
    elapsed: float
    left: float | None
    share: float | None


class Phases:
    """Follows work through its phases. All methods may be called by any thread.

    Args:
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()
        self._phases: dict[str, _Phase] = {}
        self._current: _Phase | None = None
        self._share = 0.0

    def expect(self, costs: Iterable[Cost]) -> None:
        """Name phases to come, with their costs; a phase that was named before gets the new cost."""
        with self._lock:
            for cost in costs:
                phase = self._phases.setdefault(cost.name, _Phase(cost.name))
                phase.cost, phase.kind = cost.seconds, cost.kind

    def update(self, name: str, done: float = 0.0, total: float | None = None) -> bool:
        """Tell how far a phase is; the one under way ends when another begins.

        Returns:
            whether the phase began with this call.
        """
        with self._lock:
            now = self._clock()
            phase = self._phases.setdefault(name, _Phase(name))
            begins = phase is not self._current
            if begins:
                if self._current is not None:
                    self._current.ended = now
                if phase.cost > 0:
                    self._skip_those_before(phase, now)
                phase.began, phase.ended, phase.first = now, None, done
                self._current = phase
            phase.done, phase.total, phase.at = done, total, now
            return begins

    def _skip_those_before(self, phase: _Phase, now: float) -> None:
        """An expected phase that begins leaves none of those expected before it to come."""
        for other in self._phases.values():
            if other is phase:
                return
            if other.began is None:
                other.ended = now

    def seconds_left_after(self, name: str) -> float:
        """Expected seconds of the phases not yet begun, without the phase of that name; 0 where unknown."""
        with self._lock:
            now = self._clock()
            waiting = [
                phase
                for phase in self._phases.values()
                if phase.began is None and phase.ended is None and phase.name != name
            ]
            return sum(self._left(phase, now) or 0.0 for phase in waiting)

    def standing(self) -> Standing:
        """How the work stands now."""
        with self._lock:
            now = self._clock()
            elapsed = now - self._started
            open_ones = [phase for phase in self._phases.values() if phase.ended is None]
            lefts = [self._left(phase, now) for phase in open_ones]
            left = None
            if lefts and all(value is not None for value in lefts):
                left = sum(value for value in lefts if value is not None)
                if elapsed > 0:
                    self._share = max(self._share, min(elapsed / (elapsed + left), 1.0))
            phase = self._current
            return Standing(
                "" if phase is None else phase.name,
                0.0 if phase is None else phase.done,
                None if phase is None else phase.total,
                elapsed,
                left,
                None if left is None else self._share,
            )

    def _left(self, phase: _Phase, now: float) -> float | None:
        """Expected seconds until a phase that has not ended is done; None while nothing tells."""
        expected = None
        if phase.cost > 0:
            speed = self._speed(phase.kind)
            expected = None if speed is None else phase.cost * speed
        if phase.began is None:
            return expected
        spent, share = phase.at - phase.began, phase.share
        since = now - phase.at
        if share >= 1.0:
            return 0.0
        if share > 0.0 and spent > 0.0:
            own = spent * (1.0 - share) / share
            trust = 1.0 if expected is None else min(spent / _SETTLED, 1.0)
            found = trust * own + (1.0 - trust) * (expected or 0.0) * (1.0 - share)
        elif expected is not None:
            found = expected - spent
        else:
            return None
        return max(found - since, _OVERRUN * since)

    def _speed(self, kind: Kind) -> float | None:
        """Measured seconds per expected second of the phases of a kind; None while nothing was measured."""
        seconds = cost = 0.0
        for phase in self._phases.values():
            if phase.kind != kind or phase.cost <= 0 or phase.began is None:
                continue
            if phase.ended is not None:
                seconds, cost = seconds + phase.ended - phase.began, cost + phase.cost
            elif phase.share > 0.0:
                seconds, cost = seconds + phase.at - phase.began, cost + phase.cost * phase.share
        if cost > 0.0 and seconds > 0.0:
            return seconds / cost
        return 1.0 if kind == "host" else None


def clock_text(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, last = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{last:02d}" if hours else f"{minutes}:{last:02d}"
