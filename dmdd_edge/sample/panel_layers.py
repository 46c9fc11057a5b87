"""The layers of a drawn panel, and the pen that draws on them at a part's pose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Values = NDArray[np.float32]

#: The middle of ``ink`` and ``relief``: neither dark nor light, neither raised nor sunk.
NEUTRAL = 128

#: Side of a cell of ``Layers.slow``, in pixels.
SLOW = 16

#: Longest piece of an outline in pixels, so that a bent part has bent edges.
_STEP = 16

#: Bits of a pixel's fraction in OpenCV's drawing functions.
_FRACTION = 4

# Strokes of the digits 0 to 9 as of a seven-segment display, on a grid one wide and two high.
_SEGMENTS = {
    "a": ((0, 0), (1, 0)),
    "b": ((1, 0), (1, 1)),
    "c": ((1, 1), (1, 2)),
    "d": ((0, 2), (1, 2)),
    "e": ((0, 1), (0, 2)),
    "f": ((0, 0), (0, 1)),
    "g": ((0, 1), (1, 1)),
}
_DIGITS = [
    np.array([_SEGMENTS[name] for name in lit], float)
    for lit in ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgecd", "abc", "abcdefg", "abcdfg")
]


@dataclass
class Layers:
    """What is drawn of one panel before it is lit; a defect changes it.

    Attributes:
        solid: how much of a pixel is metal, uint8 H x W, 255 = all.
        relief: height of the surface, uint8 H x W, ``NEUTRAL`` = the plane.
        ink: how light the surface is, uint8 H x W, ``NEUTRAL`` = bare metal.
        slow: factor on the light that changes slowly, float32 H / ``SLOW`` x W / ``SLOW``.
    """

    solid: Gray
    relief: Gray
    ink: Gray
    slow: Values

    @classmethod
    def empty(cls, height: int, width: int) -> Layers:
        """All mat, no metal."""
        return cls(
            np.zeros((height, width), np.uint8),
            np.full((height, width), NEUTRAL, np.uint8),
            np.full((height, width), NEUTRAL, np.uint8),
            np.ones((-(-height // SLOW), -(-width // SLOW)), np.float32),
        )


@dataclass
class Pen:
    """Draws lines, areas and circles with smooth edges, at the pose of the part.

    Attributes:
        place: from n x 2 points x, y in pixels of the part to those of the image.
    """

    place: Callable[[Points], Points]

    def circle(self, layer: Gray, center: tuple[float, float], radius: float, value: int) -> None:
        """A filled circle."""
        at = _fixed(self.place(np.array([center], float)))[0]
        cv2.circle(layer, at.tolist(), round(radius * 2**_FRACTION), value, -1, cv2.LINE_AA, _FRACTION)

    def area(self, layer: Gray, outline: Points, value: int) -> None:
        """A filled polygon, n x 2."""
        cv2.fillPoly(layer, [_fixed(self.place(outline))], value, cv2.LINE_AA, _FRACTION)

    def lines(self, layer: Gray, strokes: Iterable[Points], value: int, width: int = 1) -> None:
        """Open lines, each n x 2, of a whole number of pixels in width."""
        strokes = list(strokes)
        ends = np.cumsum([len(stroke) for stroke in strokes])[:-1]
        placed = np.split(_fixed(self.place(np.concatenate(strokes))), ends)
        cv2.polylines(layer, placed, False, value, width, cv2.LINE_AA, _FRACTION)

    def number(self, layer: Gray, digits: str, at: tuple[float, float], height: float, value: int) -> None:
        """Digits with their upper left corner at a point; each takes 0.75 of its height."""
        half = height / 2
        strokes = [
            segment * half + (at[0] + 1.5 * half * index, at[1])
            for index, digit in enumerate(digits)
            for segment in _DIGITS[int(digit)]
        ]
        self.lines(layer, strokes, value, max(1, round(height / 8)))


def rounded(x: float, y: float, width: float, height: float, radius: float) -> Points:
    """The outline of a rectangle with round corners, n x 2, with a point at least every ``_STEP`` pixels."""
    turn = np.linspace(0, np.pi / 2, 9)
    corners = [
        np.stack([cx + radius * np.cos(turn + start), cy + radius * np.sin(turn + start)], 1)
        for cx, cy, start in (
            (x + width - radius, y + height - radius, 0.0),
            (x + radius, y + height - radius, np.pi / 2),
            (x + radius, y + radius, np.pi),
            (x + width - radius, y + radius, 1.5 * np.pi),
        )
    ]
    points = np.concatenate([*corners, corners[0][:1]])
    pieces = [points[:1]]
    for a, b in itertools.pairwise(points):
        count = max(1, int(np.hypot(*(b - a)) // _STEP))
        pieces.append(a + (b - a) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(pieces)


def _fixed(points: Points) -> NDArray[np.int32]:
    """Points with the fraction that OpenCV draws with; a pixel's center is at a whole number."""
    return np.asarray(np.rint((points - 0.5) * 2**_FRACTION), np.int32)
