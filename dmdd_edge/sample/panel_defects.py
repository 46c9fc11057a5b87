"""Defects of a drawn panel: small ones of a stated size in pixels, and large ones over a quarter of the part.

Each changes the part where it is marked, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.sample.panel_layers import NEUTRAL, SLOW, Layers, Mask, Points, Values

#: Large defects: a piece broken off, a piece bent out of the plane, a pale stain.
LARGE = ("bent", "missing", "stain")

#: Share of the part that a large defect covers.
SHARE = 0.25

#: A small defect is drawn at this many times its size and shrunk.
_FINE = 8

#: How far a bent piece is displaced, as a share of the image's smaller side.
_BOW = 0.02


def draw_stated(layers: Layers, size: int, rng: np.random.Generator) -> Mask:
    """Draw a small defect on bare metal: a pit, a chip of bright metal, a scratch or a drop.

    Args:
        layers: of the part; changed.
        size: longest side of the defect, in pixels.
        rng: draws kind, place and shape.

    Returns:
        bool H x W, True where the part is changed.
    """
    shape, value, depth = _KINDS[rng.integers(len(_KINDS))]
    cover = _stretched_to(shape(rng), size)
    rows, columns = _bare_place(layers, cover.shape, rng)
    for layer, target in ((layers.ink, value), (layers.relief, NEUTRAL + depth)):
        mixed = layer[rows, columns] * (1 - cover) + target * cover
        layer[rows, columns] = np.rint(mixed)
    mask = np.zeros(layers.solid.shape, np.bool_)
    mask[rows, columns] = cover > 0.2
    return mask


def _blot(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A round spot whose radius wavers, uint8, 255 inside."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = np.full(64, 80.0)
    for waves in (2, 3, 4):
        radius += 80 * rng.normal(0, 0.18 / waves) * np.cos(waves * angle + rng.uniform(0, 6.3))
    drawn = np.zeros((320, 320), np.uint8)
    outline = 160 + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    cv2.fillPoly(drawn, [np.rint(outline).astype(np.int32)], 255)
    return drawn


def _scratch(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A slightly bent line, a quarter as wide as it is long, uint8, 255 inside."""
    heading = rng.uniform(0, np.pi) + rng.normal(0, 0.5) * np.linspace(0, 1, 16)
    path = 300 + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * 14, 0)
    path += 300 - path.mean(0)
    drawn = np.zeros((600, 600), np.uint8)
    cv2.polylines(drawn, [np.rint(path).astype(np.int32)], False, 255, 56)
    return drawn


#: Shape, lightness of the ink and depth of the relief.
_KINDS: tuple[tuple[Callable[[np.random.Generator], NDArray[np.uint8]], int, int], ...] = (
    (_blot, 40, -20),  # a pit
    (_blot, 205, 20),  # a chip of bright metal
    (_scratch, 48, -20),
    (_blot, 84, 0),  # a drop
)


def _stretched_to(drawn: NDArray[np.uint8], size: int) -> Values:
    """Cut a drawing to its content and shrink it: float32 cover, 0..1, its longest side ``size`` pixels."""
    x, y, width, height = cv2.boundingRect(drawn)
    longest = max(width, height)
    wide, high = max(round(size * width / longest), 1), max(round(size * height / longest), 1)
    cut = drawn[y : y + height, x : x + width].astype(np.float32) / 255
    # First to a whole multiple, so that the average over each pixel is exact.
    fine = cv2.resize(cut, (wide * _FINE, high * _FINE), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(fine, (wide, high), interpolation=cv2.INTER_AREA), np.float32)


def _bare_place(
    layers: Layers, shape: tuple[int, ...], rng: np.random.Generator, clear: int = 3
) -> tuple[slice, slice]:
    """A window on metal that is neither printed nor near an edge, anywhere on the part."""
    height, width = layers.solid.shape
    while True:
        row = int(rng.integers(clear, height - shape[0] - clear))
        column = int(rng.integers(clear, width - shape[1] - clear))
        around = (
            slice(row - clear, row + shape[0] + clear),
            slice(column - clear, column + shape[1] + clear),
        )
        bare = layers.ink[around] == NEUTRAL
        if layers.solid[around].min() == 255 and bare.all():
            return slice(row, row + shape[0]), slice(column, column + shape[1])


@dataclass(frozen=True)
class Region:
    """A quarter of the part, beyond a wavy line; at one cell for each ``SLOW`` pixels.

    Attributes:
        field: float32, above 0 inside; its unit is the image's width and height.
        direction: unit vector x, y away from the line, in pixels.
    """

    field: Values
    direction: NDArray[np.float64]

    @classmethod
    def draw(cls, part: Mask, rng: np.random.Generator) -> Region:
        """Draw a region that covers ``SHARE`` of the cells where ``part`` is True."""
        rows, columns = part.shape
        down, across = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)
        angle = rng.uniform(0, 2 * np.pi)
        away = np.cos(angle) * across + np.sin(angle) * down
        along = np.cos(angle) * down - np.sin(angle) * across
        for waves in (1.5, 3.0, 6.0):
            away = away + 0.06 / waves * np.sin(np.pi * waves * along + rng.uniform(0, 6.3))
        away -= np.quantile(away[part], 1 - SHARE)
        direction = np.array([np.cos(angle) / columns, np.sin(angle) / rows])
        return cls(away.astype(np.float32), direction / np.hypot(*direction))

    @property
    def weight(self) -> Values:
        """0 outside, rising from the line to 1 inside, float32."""
        t = np.clip(self.field / np.float32(0.6), 0, 1)
        return np.asarray(t * t * (3 - 2 * t), np.float32)

    def full(self, height: int, width: int) -> Mask:
        """The region at the image's size: bool H x W."""
        # The cells at the lower and right edges may reach beyond the image.
        rows, columns = self.field.shape
        large = cv2.resize(self.field, (columns * SLOW, rows * SLOW), interpolation=cv2.INTER_LINEAR)
        inside: Mask = large[:height, :width] > 0
        return inside

    def bow(self, points: Points) -> Points:
        """How far the bent piece moves points of the image, n x 2 pixels; 0 outside."""
        at = np.asarray(points / SLOW - 0.5, np.float32)
        weight = cv2.remap(
            self.weight, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        reach = _BOW * min(self.field.shape) * SLOW
        return np.asarray(-reach * weight * self.direction)
