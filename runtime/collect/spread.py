"""How varied a set is, and what it lacks: a set from one minute knows one minute's light and one lot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmdd_edge.messages.phases import clock_text
from dmdd_edge.runtime.collect.faults import Usual
from dmdd_edge.runtime.collect.good_set import ENOUGH, Member
from dmdd_edge.runtime.collect.record import moment

#: Images at the beginning and at the end whose light is compared.
_ENDS = 10
#: A change of light that is worth a word: a share, and multiples of its uncertainty.
_DRIFT, _SURE = 0.04, 3.5
#: Spans that say what a set cannot know, in seconds, and what is missing.
_SPANS = (
    (60.0, "all from one minute; collect again after the next lot"),
    (3600.0, "all from one hour; collect again after the next lot"),
    (86400.0, "all from one day; collect again on another day"),
)


@dataclass(frozen=True)
class Spread:
    """How varied the images of a set are.

    Attributes:
        images: how many there are.
        seconds: from the first to the last; None where times are not known, as of files.
        light: mean gray level of the darkest, the median and the brightest image, 0..255.
        drift: relative change of the light from the first images to the last; None where it did not change.
        shift: nine of ten parts are at most this far off the middle, in pixels; None where placed at random.
        turn: the same in degrees.
        noise: of one shot, in gray levels of the sketch; the median.
    """

    images: int
    seconds: float | None
    light: tuple[float, float, float]
    drift: float | None
    shift: float | None
    turn: float | None
    noise: float

    def text(self) -> str:
        """In one line."""
        low, middle, high = self.light
        parts = [f"light {low:.0f} to {high:.0f} (median {middle:.0f} of 255)"]
        if self.seconds is not None:
            parts.append(f"taken within {clock_text(self.seconds)}")
        if self.shift is not None:
            parts.append(f"parts within {self.shift:.1f} px and {self.turn:.1f} degrees")
        elif self.images >= ENOUGH:
            parts.append("parts are placed at random, so none can be moved")
        return "; ".join(parts)

    def missing(self) -> list[str]:
        """What the set lacks, and what is odd about it; a line each."""
        lines = []
        if self.seconds is not None and self.images >= ENOUGH:
            lines += [text for limit, text in _SPANS if self.seconds < limit][:1]
        if self.drift is not None:
            word = "brighter" if self.drift > 0 else "darker"
            lines.append(f"the light became {abs(self.drift):.0%} {word} since the first images")
        return lines


def spread_of(
    members: Sequence[Member], times: Sequence[float | None], place: tuple[float, float] | None
) -> Spread | None:
    """The spread of a set; None without an image.

    Args:
        members: the images, in order.
        times: when each was taken, in seconds since 1970; None where that is not known.
        place: how far the parts are apart, as ``Positions.spread`` gives it.
    """
    if not members:
        return None
    light = [member.measures.light for member in members]
    known = [moment for moment in times if moment is not None]
    return Spread(
        images=len(members),
        seconds=max(known) - min(known) if len(known) == len(members) else None,
        light=(min(light), float(np.median(light)), max(light)),
        drift=_drift(light),
        shift=None if place is None else place[0],
        turn=None if place is None else place[1],
        noise=float(np.median([member.measures.noise for member in members])),
    )


def _drift(light: Sequence[float]) -> float | None:
    """Relative change from the first images to the last, where it is beyond chance."""
    if len(light) < 2 * _ENDS:
        return None
    logs = [math.log(max(level, 1.0)) for level in light]
    first, last = logs[:_ENDS], logs[-_ENDS:]
    change = float(np.median(last) - np.median(first))
    # A median's error is 1.25 times a mean's; two of them differ.
    own = max(Usual.of(first).spread, Usual.of(last).spread)
    error = 1.25 * own * math.sqrt(2 / _ENDS)
    return math.expm1(change) if abs(change) > max(_DRIFT, _SURE * error) else None


def seconds_of(time: str) -> float:
    """A record's time in seconds since 1970."""
    return moment(time).timestamp()
