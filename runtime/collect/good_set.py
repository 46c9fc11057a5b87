"""The set as it grows: what its own images show, and whether another one fits to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.collect.faults import MARKED_FROM, Fault, Usual
from dmdd_edge.runtime.collect.measures import Measures, measure
from dmdd_edge.runtime.collect.position import Position
from dmdd_edge.runtime.collect.positions import Positions
from dmdd_edge.runtime.collect.repeats import COMPRESSED_LIMIT, LIMIT, difference
from dmdd_edge.runtime.collect.sketch import Sketch

#: Images from which on the set has its own statistics. Before, an image is refused only where it shows
#: nothing, has another size, or is the same shot again.
ENOUGH = 8
#: An image shows nothing beyond these: mean gray levels, and the share of black or of saturated pixels.
_NIGHT, _GLARE, _NEARLY_ALL = 6.0, 249.0, 0.98
#: What never refuses, however equal the set is: sharpness and light as factors, shares of pixels.
_SHARPNESS, _LIGHT, _SHARE = math.log(2.0), math.log(1.2), 0.08
#: Images that another one is compared with: those whose coarse look is nearest.
_NEAREST = 16
_COARSE = 16


@dataclass(frozen=True)
class Measured:
    """An image, measured against the set.

    Attributes:
        measures: of the image alone.
        sketch: of the image.
        position: against the set's reference; None without one, or where the two differ too much.
        faults: the gravest first.
        nearest: number of the most similar image of the set, and how far it differs; None without one.
    """

    measures: Measures
    sketch: Sketch = field(repr=False)
    position: Position | None
    faults: tuple[Fault, ...]
    nearest: tuple[int, float] | None


@dataclass
class Member:
    """An image of the set.

    Attributes:
        number: its own, from 1.
        measures: of the image.
        sketch: of the image; its gray values in half precision.
        coarse: the sketch in 16 x 16, as one row.
    """

    number: int
    measures: Measures
    sketch: Sketch = field(repr=False)
    coarse: NDArray[np.float32] = field(repr=False)


class GoodSet:
    """Images of good parts, and what they have in common."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.positions = Positions()

    def __len__(self) -> int:
        return len(self.members)

    def look_at(self, image: NDArray[np.uint8]) -> Measured:
        """Measure an image against the set; the set is not changed.

        Args:
            image: uint8 H x W x 3 BGR.
        """
        measures, sketch = measure(image)
        faults = list(_of_nothing(measures))
        if self.members and not faults:
            known = self.members[0].measures
            if (measures.width, measures.height) != (known.width, known.height):
                size = (
                    f"{measures.width} x {measures.height} pixels; the set has {known.width} x {known.height}"
                )
                return Measured(
                    measures, sketch, None, (Fault("size", f"of another size: {size}", 2.0),), None
                )
        position, nearest = None, None
        if not faults:
            faults += self._unlike(measures, self.members)
            position = self.positions.of(sketch)
            faults += self.positions.faults(position)
            nearest = self._nearest(sketch)
            faults += self._repeated(measures, nearest)
        ordered = tuple(sorted(faults, key=lambda fault: -fault.weight))
        return Measured(measures, sketch, position, ordered, nearest)

    def add(self, number: int, measured: Measured) -> None:
        """Add an image that was kept."""
        sketch = measured.sketch
        half = Sketch(sketch.gray.astype(np.float16), sketch.scale, sketch.noise, sketch.flat_level)
        self.members.append(Member(number, measured.measures, half, _coarse(sketch)))
        self.positions.add(number, sketch, measured.position)

    def remove_last(self) -> None:
        """Take the image that was added last out again."""
        self.members.pop()
        self.positions.remove_last()

    def doubtful(self) -> list[tuple[int, Fault]]:
        """Images of the set that it would refuse today, with their numbers; of each the gravest reason.

        The first ones were kept before the set had statistics.
        """
        found = []
        for place, member in enumerate(self.members):
            faults = [
                *self._unlike(member.measures, self.members),
                *self.positions.faults(self.positions.listed[place]),
            ]
            grave = max(faults, key=lambda fault: fault.weight, default=None)
            if grave is not None and grave.refuses:
                found.append((member.number, grave))
        return found

    def _unlike(self, measures: Measures, members: Sequence[Member]) -> list[Fault]:
        """Light and sharpness against those of the set."""
        if len(members) < ENOUGH:
            return []
        return [
            fault for fault in (*_light(measures, members), _blur(measures, members)) if fault is not None
        ]

    def _nearest(self, sketch: Sketch) -> tuple[int, float] | None:
        if not self.members:
            return None
        gaps = np.stack([member.coarse for member in self.members]) - _coarse(sketch)
        gaps -= np.median(gaps, axis=1, keepdims=True)
        order = np.argsort((gaps**2).mean(axis=1))[:_NEAREST]
        near = [(self.members[i].number, difference(self.members[i].sketch, sketch)) for i in order]
        return min(near, key=lambda pair: pair[1])

    def _repeated(self, measures: Measures, nearest: tuple[int, float] | None) -> list[Fault]:
        if nearest is None:
            return []
        number, gap = nearest
        limit = COMPRESSED_LIMIT if measures.compressed else LIMIT
        if gap > limit:
            return []
        text = f"the same shot as {number:06d}: it differs by {gap:.1f} times the noise of two shots"
        return [Fault("repeated", text, max(limit / max(gap, 1e-3), 1.0))]


def _of_nothing(measures: Measures) -> list[Fault]:
    """What no set can make up for."""
    if measures.light < _NIGHT or measures.black > _NEARLY_ALL:
        return [Fault("dark", f"black: mean level {measures.light:.0f} of 255", 9.0)]
    if measures.light > _GLARE or measures.saturated > _NEARLY_ALL:
        return [Fault("bright", f"white: {measures.saturated:.0%} of the pixels are saturated", 9.0)]
    return []


def _light(measures: Measures, members: Sequence[Member]) -> list[Fault | None]:
    usual = Usual.of([math.log(max(member.measures.light, 1.0)) for member in members])
    excess = usual.excess(math.log(max(measures.light, 1.0)), _LIGHT)
    level = f"mean level {measures.light:.0f} of 255, in the set {math.exp(usual.middle):.0f}"
    faults: list[Fault | None] = [
        _from("dark", f"darker: {level}", -excess),
        _from("bright", f"brighter: {level}", excess),
    ]
    for kind, name, words in (("dark", "black", "black"), ("bright", "saturated", "saturated")):
        share, own = getattr(measures, name), Usual.of([getattr(member.measures, name) for member in members])
        text = f"{words} in {share:.0%} of its pixels, in the set in {own.middle:.0%}"
        faults.append(_from(kind, text, own.excess(share, _SHARE)))
    return faults


def _blur(measures: Measures, members: Sequence[Member]) -> Fault | None:
    worst: tuple[float, str] = (0.0, "")
    for name in ("fine", "coarse"):
        usual = Usual.of([_log(getattr(member.measures, name)) for member in members])
        value = _log(getattr(measures, name))
        share = math.exp(value - usual.middle)
        text = f"blurred: {share:.0%} of the set's {name} detail"
        worst = max(worst, (-usual.excess(value, _SHARPNESS), text))
    return _from("blurred", worst[1], worst[0])


def _from(kind: str, text: str, weight: float) -> Fault | None:
    return Fault(kind, text, weight) if weight >= MARKED_FROM else None  # type: ignore[arg-type]


def _log(value: float) -> float:
    return math.log(max(value, 1e-4))


def _coarse(sketch: Sketch) -> NDArray[np.float32]:
    small = cv2.resize(sketch.gray, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).ravel()
