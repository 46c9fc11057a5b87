"""Draws results: heat overlay, score histogram, sheet of the hardest cases.

The colors of a heat map are fixed to the threshold and never scaled to an image, so a good part looks good
and two images can be compared:

==============================  =============================================================
map value                       color
==============================  =============================================================
0                               transparent; up to half the threshold a faint blue at most
threshold                       yellow, half covering
2 x threshold, or 1 if smaller  red, and so is everything above
==============================  =============================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from dmdd_edge.data.images import fit_mask, resize, stretch
from dmdd_edge.data.maps import fit_map

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK: Color = (50, 50, 50)
_PALE: Color = (225, 225, 225)
_GOOD: Color = (150, 160, 60)
_BAD: Color = (60, 80, 220)
_TRUTH: Color = (255, 60, 255)
# Position on the scale (0.5 = threshold), color in BGR, how much it covers.
_STOPS = (
    (0.00, (255, 60, 0), 0.00),
    (0.25, (255, 150, 0), 0.12),
    (0.40, (120, 220, 60), 0.32),
    (0.50, (0, 230, 255), 0.50),
    (0.75, (0, 120, 255), 0.60),
    (1.00, (0, 0, 230), 0.70),
)


def heat_scale(values: ArrayLike, threshold: float) -> NDArray[np.float64]:
    """Place map values on the color scale: 0 -> 0, threshold -> 0.5, twice the threshold or 1 -> 1.

    Args:
        values: map values in 0..1, of any shape.
        threshold: the pixel threshold, in 0..1.
    """
    threshold, top = _bounds(threshold)
    place: NDArray[np.float64] = np.interp(np.asarray(values), (0.0, threshold, top), (0.0, 0.5, 1.0))
    return place


def _bytes_of_scale(values: NDArray[np.float32], threshold: float) -> Image:
    """``heat_scale`` in 0..255, several times faster; not-a-number becomes 0."""
    threshold, top = _bounds(threshold)
    # The part above the threshold is never less steep, so that the higher of the two lines is the scale.
    place = values * np.float32(127.5 / threshold)
    if top < 2 * threshold:
        steep = (values - np.float32(threshold)) * np.float32(127.5 / (top - threshold)) + np.float32(127.5)
        np.maximum(place, steep, out=place)
    return np.asarray(cv2.convertScaleAbs(np.nan_to_num(place, copy=False, nan=0.0)), np.uint8)


def _bounds(threshold: float) -> tuple[float, float]:
    """The map values at the middle and at the end of the scale."""
    threshold = min(max(threshold, 1e-6), 1.0)
    return threshold, max(min(2 * threshold, 1.0), threshold + 1e-6)


def heat_overlay(image: Image, anomaly_map: NDArray[np.float32], threshold: float) -> Image:
    """Lay an anomaly map over an image in colors fixed to the threshold (see the module's table).

    Args:
        image: uint8 H x W x 3, BGR.
        anomaly_map: float32, 0..1, of any size; fitted to the image's by ``fit_map`` where it is larger.
        threshold: the pixel threshold, in 0..1.

    Returns:
        a new uint8 H x W x 3, BGR.
    """
    height, width = image.shape[:2]
    rows, columns = anomaly_map.shape
    if rows > height or columns > width:
        anomaly_map = fit_map(anomaly_map, min(columns, width), min(rows, height))
    # 0..255 on the scale before stretching: the map is the smaller of the two, and uint8 is quick to stretch.
    place = _bytes_of_scale(anomaly_map, threshold)
    if place.shape != (height, width):
        place = cv2.resize(place, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    three = cv2.merge([place, place, place])
    dimmed = cv2.multiply(image, cv2.LUT(three, _KEEP), scale=1 / 255)
    return cv2.add(dimmed, cv2.LUT(three, _PAINT))  # type: ignore[return-value]


def _tables() -> tuple[Image, Image]:
    """For each of 256 places on the scale: how much of the image is kept, and the paint that is added."""
    at = np.linspace(0, 1, 256)
    stops = [stop for stop, _, _ in _STOPS]
    cover = np.interp(at, stops, [share for _, _, share in _STOPS])
    paint = [np.interp(at, stops, [color[k] for _, color, _ in _STOPS]) * cover for k in range(3)]
    keep = np.repeat(255 * (1 - cover)[:, None], 3, axis=1)
    return np.rint(keep).astype(np.uint8)[None], np.rint(np.stack(paint, 1)).astype(np.uint8)[None]


_KEEP, _PAINT = _tables()


def score_histogram(scores: ArrayLike, labels: ArrayLike, threshold: float) -> Image:
    """Draw how the scores of good and defective images are distributed, with the threshold.

    Args:
        scores: image scores, (N,).
        labels: (N,) bool, True = defective.
        threshold: the image threshold.

    Returns:
        uint8 480 x 900 x 3, BGR.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels, np.bool_)
    width, height, left, right, top, bottom = 900, 480, 60, 24, 64, 48
    sheet = np.full((height, width, 3), 255, np.uint8)
    end = float(max(scores.max(initial=0.0), threshold, 1e-6)) * 1.04
    edges = np.linspace(0, end, 41)
    counts = [np.histogram(scores[chosen], edges)[0] for chosen in (~labels, labels)]
    highest = max(int(max(count.max() for count in counts)), 1)

    def place(x: float, y: float) -> tuple[int, int]:
        across, up = width - left - right, height - top - bottom
        return round(left + x / end * across), round(height - bottom - y / highest * up)

    for y in sorted({0, highest // 4, highest // 2, 3 * highest // 4, highest}):
        cv2.line(sheet, place(0, y), place(end, y), _PALE, 1)
        _write(sheet, str(y), (10, place(0, y)[1] + 5))
    for count, color in zip(counts, (_GOOD, _BAD), strict=True):
        bars = sheet.copy()
        for low, high, number in zip(edges[:-1], edges[1:], count, strict=True):
            if number:
                (x0, y0), (x1, y1) = place(low, number), place(high, 0)
                cv2.rectangle(bars, (x0 + 1, y0), (x1 - 1, y1), color, cv2.FILLED)
        sheet = cv2.addWeighted(bars, 0.7, sheet, 0.3, 0)  # type: ignore[assignment]
    rough = end / 5
    unit = 10.0 ** np.floor(np.log10(rough))
    step = unit * next(factor for factor in (1, 2, 5, 10) if factor * unit >= rough)
    for x in np.arange(0, end, step):
        _write(sheet, f"{x:.3g}", (place(x, 0)[0] - 16, height - bottom + 20))
    cv2.line(sheet, place(threshold, 0), place(threshold, highest), _INK, 2)
    _write(sheet, "score", (width // 2 - 20, height - 8))
    alarms, missed = int((scores[~labels] > threshold).sum()), int((scores[labels] <= threshold).sum())
    _write(sheet, f"good: {(~labels).sum()}, {alarms} above the threshold", (left, 24), _GOOD)
    _write(sheet, f"defective: {labels.sum()}, {missed} not above it", (left, 46), _BAD)
    _write(sheet, f"threshold {threshold:.4g}", (width - 220, 24))
    return sheet


@dataclass(frozen=True)
class Case:
    """One image of a sheet.

    Attributes:
        image: uint8 H x W x 3, BGR.
        anomaly_map: float32, 0..1.
        mask: ground truth, bool H x W, or None when unknown.
        score: the image's score.
        is_defective: the truth.
        title: what to write under it, such as "thread_top/003".
    """

    image: Image
    anomaly_map: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    score: float
    is_defective: bool
    title: str


def reduced(image: Image, longest: int) -> Image:
    """An image with its shape kept and its longer side reduced to a length; the image itself if shorter.

    Args:
        image: uint8 H x W x 3.
        longest: in pixels.
    """
    height, width = image.shape[:2]
    scale = min(longest / max(height, width), 1.0)
    return stretch(image, max(round(width * scale), 1), max(round(height * scale), 1))


def truth_shown(mask: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    """A ground truth at the size of a drawing: a region stays visible however small it becomes.

    Args:
        mask: bool H x W.
        width, height: wanted columns and rows.
    """
    shown = fit_map(mask.astype(np.float32), width, height) >= 0.5
    return shown if shown.any() else fit_mask(mask, (height, width))


def hardest(scores: ArrayLike, labels: ArrayLike, threshold: float, count: int = 12) -> list[int]:
    """Choose the images that are judged worst: deepest on the wrong side of the threshold first.

    Args:
        scores: image scores, (N,).
        labels: (N,) bool, True = defective.
        threshold: the image threshold.
        count: how many to choose at most.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels, np.bool_)
    # On the color scale, so that depth below the threshold and height above it weigh alike.
    margin = heat_scale(scores, threshold) - 0.5
    wrong = np.where(labels, -margin, margin)
    return np.argsort(-wrong, kind="stable")[:count].tolist()  # type: ignore[no-any-return]


def case_sheet(
    cases: Sequence[Case],
    threshold: float,
    columns: int = 3,
    tile: int = 200,
    pixel_threshold: float | None = None,
) -> Image:
    """Draw cases side by side: the image with its true defect outlined, and its heat overlay, with the score.

    Args:
        cases: what to show, in order.
        threshold: the image threshold, for the verdicts.
        columns: cases in a row.
        tile: the side of each image in pixels.
        pixel_threshold: for the colors; the image threshold when None.

    Returns:
        uint8 BGR; a single blank row when there are no cases.
    """
    pixel = threshold if pixel_threshold is None else pixel_threshold
    gap, caption = 10, 44
    columns = max(1, min(columns, len(cases)))
    rows = max(1, -(-len(cases) // columns))
    wide, tall = 2 * tile + 4 + gap, tile + caption + gap
    sheet = np.full((rows * tall + gap + 20, columns * wide + gap, 3), 255, np.uint8)
    for number, case in enumerate(cases):
        y, x = gap + number // columns * tall, gap + number % columns * wide
        square = case.image.shape[0] == case.image.shape[1]
        plain = (resize(case.image, tile) if square else reduced(case.image, tile)).copy()
        height, width = plain.shape[:2]
        heat = heat_overlay(plain, case.anomaly_map, pixel)
        sheet[y : y + height, x + tile + 4 : x + tile + 4 + width] = heat
        if case.mask is not None and case.mask.any():
            mask = truth_shown(case.mask, width, height).astype(np.uint8)
            outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(plain, outlines, -1, _TRUTH, 1)
        sheet[y : y + height, x : x + width] = plain
        flagged = case.score > threshold
        verdict = (
            "right" if flagged == case.is_defective else "missed" if case.is_defective else "false alarm"
        )
        _write(sheet, case.title[:44], (x, y + tile + 17))
        color = _INK if verdict == "right" else _BAD
        _write(sheet, f"score {case.score:.4f}   {verdict}", (x, y + tile + 36), color)
    legend = f"map threshold {pixel:.4g}: yellow; red from {min(2 * pixel, 1):.4g}; outline: true defect"
    _write(sheet, legend, (gap, sheet.shape[0] - 10))
    return sheet


def _write(sheet: Image, text: str, at: tuple[int, int], color: Color = _INK) -> None:
    cv2.putText(sheet, text, at, _FONT, 0.45, color, 1, cv2.LINE_AA)
