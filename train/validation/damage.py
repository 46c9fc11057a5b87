"""Damage for validation: eight kinds, all different from training's (a texture under a Perlin mask).

Each maker gets a normal image, uint8 S x S x 3 BGR, and the mask of the part, and returns the damaged image
and the region it changed, which is empty where the image has no place for it. Sizes are in units of a 256th
of the side, so that they scale with the image.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import is_gray
from dmdd_edge.train.synthesis.damage import displaced

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Alpha = NDArray[np.float32]
#: Damages an image within the part; the third argument is another normal image of the category.
Maker = Callable[[Image, Mask, Image, np.random.Generator], tuple[Image, Mask]]


def misplaced(image: Image, part: Mask, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """A piece of another part, turned, and blended in where it does not belong (cut and paste)."""
    unit = image.shape[0] / 256
    to, source = _spot(part, rng), _spot(part, rng)
    turn = cv2.getRotationMatrix2D(source, float(rng.uniform(20, 340)), float(rng.uniform(0.8, 1.25)))
    turn[:, 2] += np.subtract(to, source)
    moved = cv2.warpAffine(other, turn, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    region = _blob(part.shape, to, _size(rng, 6, 26) * unit, rng)
    return _blend(image, moved, _soft(region, rng.uniform(0.6, 1.6) * unit)), region


def scratch(image: Image, part: Mask, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """One or two fine curved scratches, brighter or darker than the part."""
    unit = image.shape[0] / 256
    drawn = np.zeros(part.shape, np.uint8)
    for _ in range(int(rng.integers(1, 3))):
        heading = rng.uniform(0, 2 * np.pi) + rng.normal(0, 1.2) * np.linspace(0, 1, 24)
        length = _size(rng, 18, 110) * unit / 24
        path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * length, 0) + _spot(part, rng)
        points = np.rint(path * 16).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(
            drawn, [points], False, 255, max(1, round(rng.uniform(0.8, 2.6) * unit)), cv2.LINE_AA, 4
        )
    alpha = np.asarray(drawn / 255 * part, np.float32)
    shift = float(rng.choice([-1, 1]) * rng.uniform(25, 90)) + rng.normal(0, 6, 3)
    return _blend(image, image + shift, alpha), alpha > 0.25


def spot(image: Image, part: Mask, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """A soft spot of another brightness or tint: a stain, a burn, a rubbed place."""
    unit = image.shape[0] / 256
    region = _blob(part.shape, _spot(part, rng), _size(rng, 4, 28) * unit, rng)
    gain = float(rng.choice([rng.uniform(0.45, 0.8), rng.uniform(1.25, 1.7)]))
    gray = is_gray(image)
    tint = np.zeros(3) if gray or rng.random() < 0.4 else rng.uniform(-45, 45, 3)
    return _blend(image, image * gain + tint, _soft(region, rng.uniform(0.8, 3.0) * unit)), region


def missing(image: Image, part: Mask, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """A missing piece: its place is filled from its surroundings, or from the background alone."""
    unit = image.shape[0] / 256
    center = _spot(part, rng)
    region = _blob(part.shape, center, _size(rng, 6, 24) * unit, rng)
    hole = region.copy()
    if rng.random() < 0.5 and not part.all():
        # With the surrounding part excluded, the filling is background: a broken edge, a lost tip.
        hole |= _disc_at(part.shape, center, 60 * unit) & _wider(part, 2)
    return _without(image, region, hole), region


def warp(image: Image, part: Mask, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """A place pushed aside, swollen or twisted: a dent, a bent thread."""
    unit = image.shape[0] / 256
    dx, dy = _from(_spot(part, rng), image.shape[0])
    radius = _size(rng, 8, 30) * unit
    fade = np.clip(1 - (dx * dx + dy * dy) / radius**2, 0, None) ** 2
    form = int(rng.integers(3))
    if form == 0:
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.5) * radius
        shift_x, shift_y = reach * np.cos(angle) * fade, reach * np.sin(angle) * fade
    elif form == 1:
        strength = rng.choice([-0.6, 0.45]) * rng.uniform(0.6, 1.0)
        shift_x, shift_y = strength * fade * dx, strength * fade * dy
    else:
        angle_at = rng.choice([-1, 1]) * rng.uniform(0.6, 1.6) * fade
        shift_x = (np.cos(angle_at) - 1) * dx - np.sin(angle_at) * dy
        shift_y = np.sin(angle_at) * dx + (np.cos(angle_at) - 1) * dy
    return displaced(image, shift_x, shift_y), fade > 0


def bent(image: Image, part: Mask, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """A piece at the part's rim rotated about its joint, its place filled: a bent tip, a lifted edge.

    The only kind that reaches far beyond the part. It needs an image that shows a whole part.
    """
    unit = image.shape[0] / 256
    rim = _rim(part, 6 * unit)
    if not rim.any():
        return image, rim
    disc = _disc_at(part.shape, _spot(rim, rng), _size(rng, 8, 24) * unit)
    piece = part & disc
    edge = np.argwhere(part & ~piece & _wider(disc, 1.5))
    if not len(edge):
        return image, np.zeros_like(part)
    joint_y, joint_x = (float(value) for value in edge.mean(0))
    angle = float(rng.choice([-1, 1]) * rng.uniform(12, 50))
    turn = cv2.getRotationMatrix2D((joint_x, joint_y), angle, 1.0)
    size = image.shape[1::-1]
    moved = cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_REFLECT)
    cover = cv2.warpAffine(_soft(piece, 0.7 * unit), turn, size)
    rest = _without(image, piece, _wider(piece, 2 * unit))
    return _blend(rest, moved, np.asarray(cover, np.float32)), piece | (cover > 0.5)


def worn(image: Image, part: Mask, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """A short, shallow piece of the part's rim gone: a worn thread, a chipped edge.

    It needs an image that shows a whole part.
    """
    unit = image.shape[0] / 256
    rim = _rim(part, rng.uniform(1.5, 5.0) * unit)
    if not rim.any():
        return image, rim
    center, radius = _spot(rim, rng), _size(rng, 4, 14) * unit
    gone = _wider(rim & _disc_at(part.shape, center, radius), unit)
    # The surrounding part is excluded, so that background fills the place.
    hole = gone | (_disc_at(part.shape, center, radius + 4 * unit) & _wider(part, 2))
    return _without(image, gone, hole), gone


def shifted(image: Image, part: Mask, other: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    """A small place shifted by a few pixels, the faintest kind: a flattened ridge, a print out of place."""
    unit = image.shape[0] / 256
    dx, dy = _from(_spot(part, rng), image.shape[0])
    radius = _size(rng, 5, 12) * unit
    inside = np.clip((1 - np.hypot(dx, dy) / radius) / 0.3, 0, 1)
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(1.5, 4.0) * unit
    return displaced(image, reach * np.cos(angle) * inside, reach * np.sin(angle) * inside), inside > 0


KINDS: dict[str, Maker] = {
    "misplaced": misplaced,
    "scratch": scratch,
    "spot": spot,
    "missing": missing,
    "warp": warp,
    "bent": bent,
    "worn": worn,
    "shifted": shifted,
}


def _size(rng: np.random.Generator, low: float, high: float) -> float:
    """A size between two bounds, small ones more often than large ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _spot(part: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """A random place on the part, x and y."""
    places = np.flatnonzero(part)
    y, x = divmod(int(places[int(rng.integers(len(places)))]), part.shape[1])
    return float(x), float(y)


def _from(place: tuple[float, float], size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distance of each pixel of a square image from a place, along x and along y."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    return x - place[0], y - place[1]


def _blob(
    shape: tuple[int, ...], center: tuple[float, float], radius: float, rng: np.random.Generator
) -> Mask:
    """An irregular patch around a place: an oval whose radius wavers."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    waver = 1 + sum(
        rng.normal(0, 0.22 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 7)
    )
    squeeze, turn = rng.uniform(0.4, 1.0), rng.uniform(0, np.pi)
    u, v = radius * waver * np.cos(angle), radius * squeeze * waver * np.sin(angle)
    x = center[0] + np.cos(turn) * u - np.sin(turn) * v
    y = center[1] + np.sin(turn) * u + np.cos(turn) * v
    drawn = np.zeros(shape, np.uint8)
    cv2.fillPoly(drawn, [np.rint(np.stack([x, y], 1) * 16).astype(np.int32)], 1, shift=4)
    return drawn > 0


def _disc_at(shape: tuple[int, ...], center: tuple[float, float], radius: float) -> Mask:
    """A disc around a place."""
    drawn = np.zeros(shape, np.uint8)
    cv2.circle(drawn, (round(center[0]), round(center[1])), round(radius), 1, cv2.FILLED)
    return drawn > 0


def _rim(part: Mask, depth: float) -> Mask:
    """The part's outermost pixels; empty where it fills the image, whose border is not a rim."""
    inner = cv2.erode(part.astype(np.uint8), _disc(depth), borderType=cv2.BORDER_REPLICATE) > 0
    return part & ~inner


def _wider(region: Mask, by: float) -> Mask:
    return cv2.dilate(region.astype(np.uint8), _disc(by)) > 0


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _soft(region: Mask, sigma: float) -> Alpha:
    return np.asarray(cv2.GaussianBlur(region.astype(np.float32), (0, 0), max(float(sigma), 0.3)), np.float32)


def _without(image: Image, region: Mask, hole: Mask) -> Image:
    """The image without a region, which is filled from the surroundings of a hole that contains it."""
    filled = cv2.inpaint(image, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return _blend(image, filled, _soft(region, 0.7 * (image.shape[0] / 256)))


def _blend(image: Image, over: NDArray[np.generic], alpha: Alpha) -> Image:
    mixed = image + alpha[..., None] * (over.astype(np.float32) - image)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
