"""Draws the sample category's part: a brushed metal flange plate with a turned boss, holes and two screws.

The part is a height field in its own frame, x to the right and y down, both -1..1 over the canvas. Its slopes
give the shading under a light that moves a little from image to image, as do pose, grain, tint and exposure.
It is drawn at twice the image's size and shrunk, which smooths every edge.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import resize_mask

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

HALF_WIDTH, HALF_HEIGHT, CORNER = 0.80, 0.66, 0.16
BORE, BOSS, GROOVE = 0.19, 0.35, 0.42
#: Center x, y and radius of what is drilled: two corner holes, then six on a circle.
HOLES = (
    (0.63, -0.49, 0.075),
    (-0.63, 0.49, 0.075),
    *((0.515 * np.cos(a), 0.515 * np.sin(a), 0.036) for a in np.deg2rad((15, 75, 135, 195, 255, 315))),
)
SCREWS = ((-0.63, -0.49, 0.105), (0.63, 0.49, 0.105))
_BEVEL = 0.022


@dataclass
class Surface:
    """A part being made, in its own frame; a defect changes it before it is lit.

    Attributes:
        x, y: coordinates, float32 C x C, -1..1.
        height: of the surface, in the same units, float32 C x C.
        solid: how much of a pixel is metal, 0..1, float32 C x C.
        albedo: share of light sent back, 0..1, float32 C x C x 3, BGR.
        skipped_hole: the index of a hole that was not drilled, or None.
    """

    x: Field
    y: Field
    height: Field
    solid: Field
    albedo: Field
    skipped_hole: int | None = None

    @property
    def pixel(self) -> float:
        """The side of a pixel in the part's units."""
        return 2.0 / len(self.x)

    def window(self, x: float, y: float, radius: float) -> tuple[slice, slice]:
        """Rows and columns of the square around a point, cut at the canvas."""
        side, reach = len(self.x), radius / self.pixel
        column, row = (x + 1) / self.pixel, (y + 1) / self.pixel
        return (
            slice(max(0, int(row - reach)), min(side, int(row + reach) + 2)),
            slice(max(0, int(column - reach)), min(side, int(column + reach) + 2)),
        )


@dataclass
class Plate:
    """What all parts have in common, computed once for an image size.

    Attributes:
        size: the side of the finished image in pixels.
    """

    size: int
    _x: Field = field(init=False, repr=False)
    _y: Field = field(init=False, repr=False)
    _radius: Field = field(init=False, repr=False)
    _angle: Field = field(init=False, repr=False)
    _height: Field = field(init=False, repr=False)
    _solid: Field = field(init=False, repr=False)
    _boss: Field = field(init=False, repr=False)

    def __post_init__(self) -> None:
        side = 2 * self.size
        line = ((np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1).astype(np.float32)
        x, y = (np.ascontiguousarray(a) for a in np.meshgrid(line, line))
        self._x, self._y = x, y
        self._radius, self._angle = np.hypot(x, y), np.arctan2(y, x)
        inside = np.minimum(-_rounded_box(x, y), self._radius - BORE)  # distance to the nearest rim, in metal
        self._solid = np.clip(inside * self.size + 0.5, 0, 1)
        height = 0.6 * np.minimum(np.clip(inside, 0, _BEVEL), _BEVEL)
        height += 0.030 * _step((BOSS - self._radius) / 0.02)
        height -= 0.010 * _bump((self._radius - GROOVE) / 0.011)
        self._height = (height - 0.010 * self._engraving()).astype(np.float32)
        self._boss = _step((BOSS - self._radius) / 0.01)

    def blank(self, rng: np.random.Generator) -> Surface:
        """A plate with its grain, before anything is drilled."""
        tone = rng.uniform(0.60, 0.68) * np.array([1.03, 1.0, rng.uniform(0.95, 0.99)])
        grain = 1 + self._grain(rng)
        albedo = (grain[..., None] * tone).astype(np.float32)
        return Surface(self._x, self._y, self._height.copy(), self._solid.copy(), albedo)

    def drill(self, part: Surface, rng: np.random.Generator) -> None:
        """Drill the holes, within tolerance, except the one to be skipped."""
        for index, (cx, cy, radius) in enumerate(HOLES):
            cx, cy = cx + rng.normal(0, 0.002), cy + rng.normal(0, 0.002)
            if index == part.skipped_hole:
                continue
            w = part.window(cx, cy, radius + 0.03)
            rim = np.hypot(part.x[w] - cx, part.y[w] - cy) - radius
            part.height[w] -= np.float32(0.7) * np.clip(0.016 - rim, 0, 0.016)
            part.solid[w] *= np.clip(rim / part.pixel + 0.5, 0, 1)

    def fasten(self, part: Surface, rng: np.random.Generator) -> None:
        """Set the two screws: dark domed heads with a cross recess at any angle."""
        tone = rng.uniform(0.34, 0.42)
        for cx, cy, radius in SCREWS:
            turn = rng.uniform(0, np.pi / 2)
            w = part.window(cx, cy, radius + 0.02)
            dx, dy = part.x[w] - cx, part.y[w] - cy
            r = np.hypot(dx, dy)
            head = np.clip((radius - r) / part.pixel + 0.5, 0, 1)
            along = np.cos(turn) * dx + np.sin(turn) * dy
            across = np.cos(turn) * dy - np.sin(turn) * dx
            arm = radius * 0.15
            bars = [
                _bump(side / arm) * _step((0.66 * radius - abs(length)) / 0.012)
                for length, side in ((along, across), (across, along))
            ]
            cross = np.maximum(*bars)
            dome = 0.05 + 0.45 * np.sqrt(np.clip(radius**2 * 1.25 - r**2, 0, None)) - 0.045 * cross
            part.height[w] = (1 - head) * part.height[w] + head * dome
            color = np.array([0.86, 0.95, 1.0]) * tone * (1 - 0.55 * cross[..., None])
            part.albedo[w] = (1 - head[..., None]) * part.albedo[w] + head[..., None] * color
            ring = np.exp(-(((r - radius - 0.006) / 0.012) ** 2)) * (1 - head)  # the head's contact shadow
            part.albedo[w] *= (1 - 0.55 * ring)[..., None].astype(np.float32)

    def photograph(
        self, part: Surface, defect: Mask, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], Mask]:
        """Light the part, lay it on the mat, take the image.

        Args:
            part: the finished part.
            defect: bool C x C in the part's frame, True where a defect is.
            rng: draws pose, light, exposure and noise.

        Returns:
            the image, uint8 S x S x 3 BGR, and its mask, bool S x S.
        """
        turn = rng.normal(0, 3.0)
        light = np.deg2rad(rng.normal(-125, 9)), np.deg2rad(rng.normal(58, 3))
        side = len(part.x)
        pose = cv2.getRotationMatrix2D((side / 2, side / 2), turn, rng.normal(1.0, 0.008))
        pose = pose + np.array([[0, 0, move] for move in rng.normal(0, 0.012, 2) * side])
        lit = self._lit(part, light[0] + np.deg2rad(turn), light[1])
        mat = self._mat(rng)
        metal = cv2.warpAffine(lit, pose, (side, side), flags=cv2.INTER_LINEAR)
        solid = cv2.warpAffine(part.solid, pose, (side, side), flags=cv2.INTER_LINEAR)
        body = cv2.warpAffine(self._solid, pose, (side, side), flags=cv2.INTER_LINEAR)
        reach = 0.035 * side
        shift = np.array([[1, 0, -reach * np.cos(light[0])], [0, 1, -reach * np.sin(light[0])]])
        shadow = cv2.warpAffine(body, shift, (side, side))
        shadow = cv2.GaussianBlur(shadow, (0, 0), 0.018 * side)
        covered = cv2.GaussianBlur(body, (0, 0), 0.008 * side)
        mat *= (1 - 0.55 * np.maximum(shadow, covered))[..., None]
        picture = metal + (1 - solid)[..., None] * mat
        picture = cv2.GaussianBlur(picture, (0, 0), side / 512 * 0.7)
        small = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        small = small * (self._falloff(rng) * rng.normal(1.0, 0.025))[..., None]
        small = small * rng.normal(1.0, 0.008, 3)
        small = 255 * np.clip(small, 0, None) ** (1 / 1.25)
        small += rng.standard_normal(small.shape, dtype=np.float32) * 1.6
        image = np.clip(np.rint(small), 0, 255).astype(np.uint8)
        moved = cv2.warpAffine(defect.astype(np.float32), pose, (side, side), flags=cv2.INTER_LINEAR)
        return image, resize_mask(moved >= 0.5, self.size)

    def _lit(self, part: Surface, azimuth: float, elevation: float) -> Field:
        """Shade the height field; premultiplied with `solid`."""
        gain = 1 / (32 * part.pixel)  # Scharr's kernel sums to 32 times the step
        sx = cv2.Scharr(part.height, cv2.CV_32F, 1, 0, scale=gain)
        sy = cv2.Scharr(part.height, cv2.CV_32F, 0, 1, scale=gain)
        up = 1 / np.sqrt(1 + sx * sx + sy * sy)
        lx, ly, lz = (
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        )
        facing = np.clip((np.float32(lz) - sx * np.float32(lx) - sy * np.float32(ly)) * up, 0, None)
        hx, hy, hz = np.array([lx, ly, lz + 1]) / np.linalg.norm([lx, ly, lz + 1])
        mirror = np.clip((np.float32(hz) - sx * np.float32(hx) - sy * np.float32(hy)) * up, 0, None) ** 24
        # Turned faces throw the light back in two fans, square to their grooves.
        fan = np.cos(self._angle - np.float32(azimuth + 0.5)) ** 8
        gloss = 0.22 + self._boss * (0.55 * fan - 0.06)
        shade = 0.20 + 0.72 * facing + 0.55 * gloss * mirror
        lit: Field = part.albedo * (shade * part.solid)[..., None]
        lit += (0.16 * mirror * gloss * part.solid)[..., None]
        return lit

    def _grain(self, rng: np.random.Generator) -> Field:
        """Brushing along x on the plate, turning marks around the boss; a few per cent either way."""
        side = len(self._x)
        noise = rng.standard_normal((side, side), dtype=np.float32)
        long, short = side // 3 | 1, side // 24 | 1
        brushed = cv2.blur(noise, (long, 1)) * np.float32(0.022 * np.sqrt(long))
        brushed += cv2.blur(noise, (short, 1)) * np.float32(0.016 * np.sqrt(short))
        strip = rng.standard_normal((side // 2, side), dtype=np.float32)
        strip = cv2.blur(strip, (long, 1)) * np.float32(0.035 * np.sqrt(long))
        turned = cv2.remap(
            strip,
            (self._angle / np.float32(2 * np.pi) + np.float32(0.5)) * (side - 1),
            self._radius * np.float32(side / 2),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        grain: Field = brushed + self._boss * (turned - brushed) + np.float32(0.012) * _cloud(rng, 6, side)
        return grain

    def _mat(self, rng: np.random.Generator) -> Field:
        """The dark rubber mat under the part, float32 C x C x 3."""
        side = len(self._x)
        grain = cv2.GaussianBlur(rng.standard_normal((side, side), dtype=np.float32), (0, 0), 1.2) * 3
        cloud = _cloud(rng, 5, side)
        tone = rng.uniform(0.085, 0.105) * np.array([1.12, 1.05, 0.95], np.float32)
        return np.asarray((1 + 0.09 * grain + 0.10 * cloud)[..., None] * tone, np.float32)

    def _falloff(self, rng: np.random.Generator) -> Field:
        """Uneven light over the image, float32 S x S."""
        line = np.linspace(-1, 1, self.size, dtype=np.float32)
        tilt = rng.normal(0, 0.03, 2)
        across, down = line, line[:, None]
        return np.asarray(1 + tilt[0] * across + tilt[1] * down - 0.07 * (across**2 + down**2), np.float32)

    def _engraving(self) -> Field:
        """A scale along the lower edge and a mark along the upper one, 0..1."""
        side = len(self._x)
        drawn = np.zeros((side, side), np.uint8)
        strokes = [((k * 0.05, 0.615), (k * 0.05, 0.565 if k % 5 == 0 else 0.59)) for k in range(-5, 6)]
        strokes.append(((-0.28, 0.615), (0.28, 0.615)))
        glyphs = (  # D M 4 0, on a grid of 2 x 3
            ((0, 0), (0, 3), (1, 3), (2, 2), (2, 1), (1, 0), (0, 0)),
            ((0, 3), (0, 0), (1, 2), (2, 0), (2, 3)),
            ((2, 3), (2, 0), (0, 2), (2, 2)),
            ((0, 0), (2, 0), (2, 3), (0, 3), (0, 0)),
        )
        for k, glyph in enumerate(glyphs):
            points = [(-0.155 + 0.09 * k + 0.022 * gx, -0.615 + 0.018 * gy) for gx, gy in glyph]
            strokes += list(itertools.pairwise(points))
        for stroke in strokes:
            a, b = (tuple(round(float((v + 1) * side / 2 * 16)) for v in point) for point in stroke)
            cv2.line(drawn, a, b, 255, max(1, side // 200), cv2.LINE_AA, shift=4)
        return np.asarray(cv2.GaussianBlur(drawn.astype(np.float32) / 255, (0, 0), side / 640), np.float32)


def _cloud(rng: np.random.Generator, cells: int, side: int) -> Field:
    """Slow random variation about 0, float32 side x side."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def _rounded_box(x: Field, y: Field) -> Field:
    """Signed distance to the plate's outline, negative inside."""
    dx, dy = abs(x) - (HALF_WIDTH - CORNER), abs(y) - (HALF_HEIGHT - CORNER)
    outside = np.hypot(np.clip(dx, 0, None), np.clip(dy, 0, None))
    distance: Field = outside + np.minimum(np.maximum(dx, dy), 0) - np.float32(CORNER)
    return distance


def _step(t: Field) -> Field:
    """A smooth step from 0 at t <= 0 to 1 at t >= 1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _bump(t: Field) -> Field:
    """A smooth bump: 1 at 0, 0 from |t| = 1 on."""
    bump: Field = np.clip(1 - t * t, 0, None) ** 2
    return bump
