"""Draws a large part: a metal panel or an endless web with detail of a few pixels at any size of image.

A larger image shows more of the part, not a larger drawing of it: holes, text, ticks and tool marks keep
their size in pixels. The part is a grid of cells; pose, light, grain, serial numbers, the turn of screws and
the place of each hole vary from image to image. It is lit in bands of rows, so that the memory beyond the
image and its layers stays small.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.sample.panel_cells import CELL, CELLS
from dmdd_edge.sample.panel_defects import LARGE, Region, draw_stated
from dmdd_edge.sample.panel_layers import NEUTRAL, SLOW, Gray, Layers, Mask, Pen, Points, Values, rounded

#: Defects of a stated size, in pixels, unless others are given.
SIZES = (6, 12, 24)

#: Rows that are lit at once.
_BAND = 256

#: After how many pixels the cells of a row are the same again.
_REPEAT = len(CELLS) * CELL

#: Standard normal noise for each of 256 equally likely bytes.
_NORMAL = np.array([NormalDist().inv_cdf((k + 0.5) / 256) for k in range(256)], np.float32)


@dataclass(frozen=True)
class Panel:
    """What all panels of a category have in common.

    Attributes:
        height, width: of the images, in pixels.
        sizes: longest side of the small defects, in pixels.
        endless: a web that runs through the image from left to right; else a panel with four corners.
    """

    height: int
    width: int
    sizes: tuple[int, ...] = SIZES
    endless: bool = False

    @property
    def defects(self) -> tuple[str, ...]:
        """Names of the types: one for each size, then those that cover a quarter of the part."""
        return (*(f"{size:03d}px" for size in self.sizes), *LARGE)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the part in its own frame, which is the image's before the pose."""
        edge = 32 + self.height // 64
        if self.endless:
            # So long that no end is seen wherever the web is stopped.
            return -_REPEAT - 64, edge, self.width + _REPEAT + 128, self.height - 2 * edge
        return edge, edge, self.width - 2 * edge, self.height - 2 * edge

    def draw(
        self, rng: np.random.Generator, defect_rng: np.random.Generator, defect: str | None
    ) -> tuple[NDArray[np.uint8], Mask]:
        """Draw one image; it differs from the good part's of the same ``rng`` only where it is marked.

        At the edge of a large defect the light changes slowly, and lines that cross it bend a few pixels
        before.

        Args:
            rng: draws the part, its pose and the light.
            defect_rng: draws the defect.
            defect: one of ``defects``, or None for a good part.

        Returns:
            the image, uint8 H x W x 3 BGR, and its mask, bool H x W.
        """
        region = Region.draw(self._on_part(), defect_rng) if defect in LARGE else None
        layers = Layers.empty(self.height, self.width)
        pose = self._pose(rng)
        body = layers.solid.copy()
        outline = rounded(*self.box, 48)
        Pen(pose).area(body, outline, 255)
        pen = Pen(replace(pose, bent=region) if defect == "bent" else pose)
        pen.area(layers.solid, outline, 255)
        self._cells(layers, pen, rng)
        layers.slow *= self._light(rng)
        if region is not None:
            inside = region.full(self.height, self.width)
            mask = inside & ((body | layers.solid) > 0)
            if defect == "missing":
                layers.solid[inside] = 0
            elif defect == "bent":
                layers.slow *= 1 - np.float32(0.30) * region.weight
            else:
                layers.slow *= 1 - np.float32(0.16) * np.minimum(4 * region.weight, 1)
        elif defect is not None:
            mask = draw_stated(layers, self.sizes[self.defects.index(defect)], defect_rng)
        else:
            mask = np.zeros((self.height, self.width), np.bool_)
        return self._lit(layers, body, rng), mask

    def _on_part(self) -> Mask:
        """Which cells of ``Layers.slow`` are on the part."""
        x, y, width, height = self.box
        rows, columns = (np.arange(-(-side // SLOW)) * SLOW + SLOW / 2 for side in (self.height, self.width))
        inside: Mask = ((rows > y) & (rows < y + height))[:, None] & ((columns > x) & (columns < x + width))
        return inside

    def _pose(self, rng: np.random.Generator) -> _Pose:
        turn = np.deg2rad(rng.normal(0, 0.03 if self.endless else 0.25))
        shift = rng.normal(0, 4.0, 2)
        if self.endless:
            shift[0] = rng.uniform(0, _REPEAT)
        return _Pose(turn, shift, np.array([self.width, self.height]) / 2)

    def _cells(self, layers: Layers, pen: Pen, rng: np.random.Generator) -> None:
        x, y, width, height = self.box
        across, down = width // CELL, height // CELL
        left, top = x + (width - across * CELL) / 2, y + (height - down * CELL) / 2
        for row in range(down):
            for column in range(across):
                # Each row begins two later, so that neighbors differ.
                cell = CELLS[(2 * row + column) % len(CELLS)]
                cell(layers, pen, (left + column * CELL, top + row * CELL), row * across + column, rng)

    def _light(self, rng: np.random.Generator) -> Values:
        """Exposure, fall-off and slow variation, one value for each cell of ``Layers.slow``."""
        rows, columns = -(-self.height // SLOW), -(-self.width // SLOW)
        down, across = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)
        tilt = rng.normal(0, 0.03, 2)
        light = 1 + tilt[0] * across + tilt[1] * down - 0.06 * (across**2 + down**2)
        cloud = rng.standard_normal((5, 5 * max(1, round(self.width / self.height))), dtype=np.float32)
        light += 0.015 * cv2.resize(cloud, (columns, rows), interpolation=cv2.INTER_CUBIC)
        return np.asarray(light * rng.normal(1, 0.025), np.float32)

    def _lit(self, layers: Layers, body: Gray, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Light the part on its mat, on which the whole body casts its shadow: uint8 H x W x 3 BGR."""
        image = np.empty((self.height, self.width, 3), np.uint8)
        azimuth = np.deg2rad(rng.normal(-125, 9))
        toward = np.float32(np.cos(azimuth) * 0.045), np.float32(np.sin(azimuth) * 0.045)
        tint = np.array([1.03, 1.0, rng.uniform(0.95, 0.99)]) * rng.normal(1, 0.008, 3)
        metal, mat = rng.uniform(0.52, 0.58), rng.uniform(0.085, 0.105)
        long, short = int(rng.integers(60, 90)) | 1, 9
        shadow = cv2.GaussianBlur(cv2.resize(body, layers.slow.shape[::-1]), (0, 0), 1.2)
        for top in range(0, self.height, _BAND):
            rows = slice(top, min(top + _BAND, self.height))
            shape = rows.stop - rows.start, self.width
            slow = _widened(layers.slow, top, shape)
            dark = _widened(np.asarray(shadow / np.float32(255), np.float32), top, shape)
            above, below = min(top, 1), min(self.height - rows.stop, 1)
            relief = layers.relief[top - above : rows.stop + below]
            slopes = [
                cv2.Scharr(relief, cv2.CV_32F, *axis, scale=1 / 32)[above : above + shape[0]]
                for axis in ((1, 0), (0, 1))
            ]
            fine, coarse, rubber = (_noise(rng, shape) for _ in range(3))
            grain = cv2.blur(coarse, (long, 1)) * np.float32(0.03 * np.sqrt(long))
            grain += cv2.blur(fine, (short, 1)) * np.float32(0.03 * np.sqrt(short))
            light = (1 + grain) * (layers.ink[rows] * np.float32(metal / NEUTRAL))
            light *= 1 + toward[0] * slopes[0] + toward[1] * slopes[1]
            solid = layers.solid[rows] * np.float32(1 / 255)
            light *= solid
            below_part = np.float32(mat) * (1 - np.float32(0.5) * dark) * (1 + np.float32(0.15) * rubber)
            light += (1 - solid) * below_part
            light *= slow
            np.power(np.clip(light, 0, None), np.float32(1 / 1.25), out=light)
            for channel in range(3):
                values = light * np.float32(255 * tint[channel]) + _noise(rng, shape) * np.float32(1.6)
                image[rows, :, channel] = np.clip(np.rint(values), 0, 255)
        return image


@dataclass(frozen=True)
class _Pose:
    """From the part's frame to the image: a turn about the middle, a shift, and where it is bent a bow."""

    turn: float
    shift: NDArray[np.float64]
    middle: NDArray[np.float64]
    bent: Region | None = None

    def __call__(self, points: Points) -> Points:
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        placed = (points - self.middle) @ np.array([[cos, sin], [-sin, cos]]) + self.middle + self.shift
        if self.bent is not None:
            placed = placed + self.bent.bow(placed)
        return np.asarray(placed)


def _noise(rng: np.random.Generator, shape: tuple[int, int]) -> Values:
    """Standard normal noise, float32; bytes are several times faster to draw than normal numbers."""
    drawn = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape)
    return np.asarray(cv2.LUT(drawn, _NORMAL), np.float32)


def _widened(slow: Values, top: int, shape: tuple[int, int]) -> Values:
    """A band of ``Layers.slow`` at the image's size: float32, rows from ``top``."""
    offset = (1 - SLOW) / (2 * SLOW)  # the center of the first pixel, in cells
    back = np.array([[1 / SLOW, 0, offset], [0, 1 / SLOW, offset + top / SLOW]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(slow, back, shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
