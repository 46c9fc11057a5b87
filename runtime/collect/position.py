"""Where the part is against a reference image: shift and turn, at a bounded cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dmdd_edge.runtime.collect.sketch import Gray, Sketch

#: Steps of the refinement, and the change that ends it.
_STEPS, _ENOUGH = 40, 1e-4
#: Pixels of the sketch over which it is smoothed before it is compared.
_SMOOTH = 5


@dataclass(frozen=True)
class Position:
    """The place of a part against the reference.

    Attributes:
        x: shift to the right, in pixels of the image.
        y: shift downwards, likewise.
        turn: clockwise, in degrees.
        match: correlation of the two images in that place, -1..1; where it is low the others mean little.
    """

    x: float
    y: float
    turn: float
    match: float


def position_of(sketch: Sketch, reference: Sketch) -> Position | None:
    """Where an image's part is against the reference; None where the two cannot be compared."""
    if sketch.gray.shape != reference.gray.shape:
        return None
    one, two = _smooth(reference.gray), _smooth(sketch.gray)
    if one.std() < 1e-3 or two.std() < 1e-3:
        return None
    (x, y), _ = cv2.phaseCorrelate(_edges(one), _edges(two), _window(one.shape))
    best: Position | None = None
    # A repeated pattern misleads the phase correlation: no shift at all is tried too.
    for start in ((x, y), (0.0, 0.0)):
        found = _refined(one, two, start, sketch.scale)
        if found is not None and (best is None or found.match > best.match):
            best = found
    return best


def _refined(one: Gray, two: Gray, start: tuple[float, float], scale: float) -> Position | None:
    """The shift and turn that maximize the correlation (ECC, Evangelidis 2008), from a first guess."""
    warp = np.array([[1, 0, start[0]], [0, 1, start[1]]], np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _STEPS, _ENOUGH)
    try:
        match, warp = cv2.findTransformECC(one, two, warp, cv2.MOTION_EUCLIDEAN, criteria, None, 1)  # type: ignore[call-overload]
    except cv2.error:  # it does not converge: the images have nothing in common there
        return None
    # The warp turns about the corner: what counts is where the middle goes.
    height, width = one.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2, 1.0])
    moved = warp.astype(np.float64) @ middle - middle[:2]
    turn = math.degrees(math.atan2(float(warp[1, 0]), float(warp[0, 0])))
    return Position(float(moved[0]) * scale, float(moved[1]) * scale, turn, float(match))


def _smooth(gray: Gray) -> Gray:
    return np.asarray(cv2.GaussianBlur(gray, (_SMOOTH, _SMOOTH), 0), np.float32)


def _edges(gray: Gray) -> Gray:
    """Strength of the edges, which the light changes less than the levels."""
    return np.asarray(
        cv2.magnitude(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)), np.float32
    )


@lru_cache(maxsize=4)
def _window(shape: tuple[int, int]) -> Gray:
    return np.asarray(cv2.createHanningWindow((shape[1], shape[0]), cv2.CV_32F), np.float32)
