"""The sample category's defects. Each changes the part where it marks it, and nowhere else.

They are made on the finished part, after drilling and fastening.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dmdd_edge.sample.plate import BOSS, HALF_HEIGHT, HALF_WIDTH, HOLES, SCREWS, Field, Mask, Surface


def scratch(part: Surface, rng: np.random.Generator) -> Mask:
    """One to three fine curved scratches, with a bright raised edge, over the metal."""
    side = len(part.x)
    depth = np.zeros((side, side), np.float32)
    for _ in range(rng.choice([1, 1, 2, 3])):
        x, y = _spot(rng)
        heading, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 1.5)
        length, width = rng.uniform(0.18, 0.5), rng.uniform(0.004, 0.009)
        t = np.linspace(0, 1, 24)
        angle = heading + bend * t
        path = np.stack(
            [x + np.cumsum(np.cos(angle)) * length / 24, y + np.cumsum(np.sin(angle)) * length / 24], 1
        )
        stroke = np.zeros((side, side), np.uint8)
        points = np.rint((path + 1) * side / 2 * 16).astype(np.int32)
        thickness = max(1, round(2 * width / part.pixel))
        cv2.polylines(stroke, [points.reshape(-1, 1, 2)], False, 255, thickness, cv2.LINE_AA, shift=4)
        depth = np.maximum(depth, stroke.astype(np.float32) / 255)
    metal = (part.solid > 0.99) & ~_near_screws(part)
    depth *= metal
    strength = rng.uniform(0.6, 1.0)
    part.height -= np.float32(0.006 * strength) * depth
    part.albedo *= (1 + np.float32(rng.choice([-0.45, 0.40]) * strength) * depth)[..., None]
    return depth > 0.3


def dent(part: Surface, rng: np.random.Generator) -> Mask:
    """One or two shallow oval dents."""
    marked = np.zeros(part.x.shape, bool)
    for _ in range(rng.choice([1, 1, 2])):
        x, y = _spot(rng, clear=0.04)
        a, b, turn = rng.uniform(0.045, 0.09), rng.uniform(0.7, 1.0), rng.uniform(0, np.pi)
        w = part.window(x, y, a)
        dx, dy = part.x[w] - x, part.y[w] - y
        u, v = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
        r = np.hypot(u / a, v / (a * b))
        hollow = np.clip(1 - r * r, 0, None) ** 1.5
        part.height[w] -= (rng.uniform(0.35, 0.6) * a * hollow).astype(np.float32)
        marked[w] |= (r < 0.95) & (part.solid[w] > 0.5)
    return marked


def stain(part: Surface, rng: np.random.Generator) -> Mask:
    """A spill of oil, or rust: a soft blot that tints the metal and leaves its shape."""
    x, y = _spot(rng)
    radius = rng.uniform(0.08, 0.17)
    blot = _blob(part, x, y, radius, rng, roughness=0.35, softness=0.25)
    blot *= part.solid
    speckle = cv2.GaussianBlur(rng.standard_normal(part.x.shape, dtype=np.float32), (0, 0), 2.5) * 3
    blot *= np.clip(1 + 0.25 * speckle, 0, 1.4)
    kinds = ((0.45, 0.62, 0.80), (0.62, 0.60, 0.58), (0.95, 0.80, 0.66))  # rust, oil, heat tint; BGR
    color = np.array(kinds[rng.integers(len(kinds))], np.float32)
    strength = rng.uniform(0.55, 0.9)
    part.albedo *= 1 - strength * np.minimum(blot, 1)[..., None] * (1 - color)
    return blot > 0.15


def chip(part: Surface, rng: np.random.Generator) -> Mask:
    """A piece broken out of the rim, with a rough slope around it."""
    x, y = _rim(rng)
    radius = rng.uniform(0.045, 0.085)
    state = rng.integers(2**32)
    hole = _blob(part, x, y, radius, np.random.default_rng(state), roughness=0.30, softness=0.05)
    slope = _blob(part, x, y, radius * 1.45, np.random.default_rng(state), roughness=0.30, softness=0.45)
    rough = cv2.GaussianBlur(rng.standard_normal(part.x.shape, dtype=np.float32), (0, 0), 1.5) * 3
    marked = (part.solid > 0.5) & ((hole > 0.5) | (slope > 0.1))
    part.height -= np.float32(0.030) * slope * (1 + np.float32(0.35) * rough)
    part.albedo *= (1 - np.float32(0.25) * slope)[..., None]
    part.solid *= 1 - hole
    return marked


def missing_hole(part: Surface, rng: np.random.Generator) -> Mask:
    """The hole that the part skipped was welded shut: a rough bead in its place, heat tint around it."""
    if part.skipped_hole is None:
        raise ValueError("the part has all its holes: set skipped_hole before drilling")
    x, y, radius = HOLES[part.skipped_hole]
    size = radius + 0.012
    bead = _blob(part, x, y, size, rng, roughness=0.15, softness=0.30) * part.solid
    rough = cv2.GaussianBlur(rng.standard_normal(part.x.shape, dtype=np.float32), (0, 0), 1.5) * 3
    part.height += np.float32(0.35 * size) * bead * (1 + np.float32(0.35) * rough)
    part.albedo *= (1 - np.float32(0.35) * bead)[..., None]
    reach = np.hypot(part.x - x, part.y - y) / size
    marked: Mask = (part.solid > 0.5) & ~_near_screws(part) & (reach < 2.4)
    # Straw near the bead, blue further out; BGR.
    for far, kept in ((1.3, (0.55, 0.78, 0.95)), (1.9, (0.98, 0.72, 0.66))):
        tint = np.exp(-(((reach - far) / 0.3) ** 2)) * marked * rng.uniform(0.6, 0.9)
        part.albedo *= (1 - tint[..., None] * (1 - np.array(kept))).astype(np.float32)
    return marked


DEFECTS: dict[str, Callable[[Surface, np.random.Generator], Mask]] = {
    "chip": chip,
    "dent": dent,
    "missing_hole": missing_hole,
    "scratch": scratch,
    "stain": stain,
}


def _spot(rng: np.random.Generator, clear: float = 0.0) -> tuple[float, float]:
    """A point on the metal, away from the rim, the bore, the screws and the holes by at least `clear`."""
    while True:
        x, y = rng.uniform(-0.70, 0.70), rng.uniform(-0.56, 0.56)
        if np.hypot(x, y) < 0.23 + clear or abs(np.hypot(x, y) - BOSS) < clear:
            continue
        if all(np.hypot(x - cx, y - cy) > r + 0.02 + clear for cx, cy, r in (*HOLES, *SCREWS)):
            return x, y


def _rim(rng: np.random.Generator) -> tuple[float, float]:
    """A point on the outline, clear of the screws."""
    along, end = rng.uniform(-1, 1), rng.choice([-1, 1])
    if rng.random() < HALF_WIDTH / (HALF_WIDTH + HALF_HEIGHT):
        return along * 0.38, end * HALF_HEIGHT
    return end * HALF_WIDTH, along * 0.25


def _blob(
    part: Surface,
    x: float,
    y: float,
    radius: float,
    rng: np.random.Generator,
    roughness: float,
    softness: float,
) -> Field:
    """An irregular blot, 1 inside, 0 outside; its radius wavers with the angle."""
    dx, dy = part.x - np.float32(x), part.y - np.float32(y)
    angle = np.arctan2(dy, dx)
    reach = np.ones_like(angle)
    for k in range(2, 9):
        reach += np.float32(roughness * rng.normal() / k) * np.cos(
            k * angle + np.float32(rng.uniform(0, 6.3))
        )
    inside = 1 - np.hypot(dx, dy) / (radius * np.clip(reach, 0.3, None))
    blot: Field = np.clip(inside / np.float32(softness) + np.float32(0.5), 0, 1)
    return blot


def _near_screws(part: Surface) -> Mask:
    near = np.zeros(part.x.shape, bool)
    for x, y, radius in SCREWS:
        near |= np.hypot(part.x - x, part.y - y) < radius + 0.02
    return near
