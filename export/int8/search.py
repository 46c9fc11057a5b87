"""Chooses the places that are INT8: as many as the limits allow, within a bounded number of measurements.

The loss does not fall with every place that goes back to half precision: what is left is noise, and its
sign changes. So no interval is halved. The search begins with few multiply-adds in half precision, allows
more step by step, and ends at the first choice that holds. Then single places are tried in INT8 again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dmdd_edge.export.int8.measure import Loss

#: Share of the limits that the choice may use. The images that decide are others than those chosen by.
MARGIN = 0.5
#: The shares of the places' multiply-adds that may be in half precision, one after the other.
ROOMS = (0.03, 0.05, 0.07, 0.09, 0.12, 0.15, 0.19, 0.24, 0.30, 0.37, 0.46, 0.60, 0.80)
#: Places at most that are tried in INT8 again, and the least share of the multiply-adds of such a place.
TRIES, _WORTH = 8, 0.004
MOST_STEPS = len(ROOMS) + TRIES
#: A place with less than this share of the error that is left stays in INT8: it would not help.
_HELPS = 0.01


#: The loss with these places in half precision, and each figure beyond its limit, in words.
Measure = Callable[[Collection[str]], tuple[Loss, tuple[str, ...]]]


@dataclass(frozen=True)
class Step:
    """One choice that was measured.

    Attributes:
        half: the places in half precision.
        share: of the places' multiply-adds that is INT8, 0..1.
        loss: what it costs.
        problems: each figure beyond its limit, in words.
    """

    half: tuple[str, ...]
    share: float
    loss: Loss
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the loss is within the limits."""
        return not self.problems


@dataclass(frozen=True)
class Search:
    """The choice of places.

    Args:
        order: the places, worst first.
        error: that each adds alone.
        work: multiply-adds of each.
        measure: measures a choice.
    """

    order: Sequence[str]
    error: Mapping[str, float]
    work: Mapping[str, int]
    measure: Measure

    @property
    def whole(self) -> int:
        """The multiply-adds of all places."""
        return sum(self.work.values())

    def run(self) -> list[Step]:
        """What was measured, at most ``MOST_STEPS`` choices; the last that holds is the result."""
        steps: list[Step] = []
        for half in self.candidates():
            steps.append(self.step(half))
            if steps[-1].holds:
                return steps + self._again(half)
        return steps

    def below(self, share: float, seen: Collection[tuple[str, ...]]) -> list[Step]:
        """Measure choices with less INT8 than a share of the multiply-adds, up to the first that holds.

        Args:
            share: 0..1.
            seen: choices that were measured before, and are left out.
        """
        steps: list[Step] = []
        for half in self.candidates():
            if half not in seen and self.share(half) < share:
                steps.append(self.step(half))
                if steps[-1].holds:
                    break
        return steps

    def candidates(self) -> Iterator[tuple[str, ...]]:
        """The choices of the ``ROOMS``, each once."""
        before: tuple[str, ...] = ()
        for room in ROOMS:
            half = self._worst_within(room * self.whole)
            if half != before:
                yield half
            before = half

    def _worst_within(self, room: float) -> tuple[str, ...]:
        """The worst places that fit into a number of multiply-adds; one that does not is passed over."""
        left = sum(self.error.values())
        half = []
        for name in self.order:
            if self.work[name] <= room and self.error[name] > _HELPS * left:
                half.append(name)
                room -= self.work[name]
                left -= self.error[name]
        return tuple(half)

    def _again(self, half: tuple[str, ...]) -> list[Step]:
        """Try places of a choice that holds in INT8, those first that cost least error per multiply-add."""
        steps: list[Step] = []
        tried = [name for name in reversed(half) if self.work[name] >= _WORTH * self.whole]
        for name in tried[:TRIES]:
            step = self.step(tuple(other for other in half if other != name))
            steps.append(step)
            if step.holds:
                half = step.half
        return steps

    def step(self, half: tuple[str, ...]) -> Step:
        """Measure a choice."""
        return Step(half, self.share(half), *self.measure(half))

    def share(self, half: Collection[str]) -> float:
        """The share of the multiply-adds that is INT8 with these places in half precision, 0..1."""
        inside = self.whole - sum(self.work[name] for name in half)
        return inside / self.whole if self.whole else 0.0


def best(steps: Sequence[Step]) -> Step | None:
    """The last of the choices that holds, which has the most INT8; None where none holds."""
    return next((step for step in reversed(steps) if step.holds), None)
