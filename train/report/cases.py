"""Which test images the report shows, and how: the image with its true defect, and its anomaly map."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.evaluation.pictures import hardest, heat_overlay, heat_scale, reduced, truth_shown
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.evaluation.test_set import Evaluation, TestSet
from dmdd_edge.train.report.words import percent

Image = NDArray[np.uint8]
_TRUTH = (255, 60, 255)
_QUALITY = 88
#: Longest side of an image in the page, in pixels.
_TILE = 256
_GAP = 4


@dataclass(frozen=True)
class Choice:
    """The images of a report, by index: worst and best scored, defect found in the wrong place."""

    worst: list[int]
    best: list[int]
    misplaced: list[int]


@dataclass(frozen=True)
class Figure:
    """An image of the page with its caption.

    Attributes:
        source: data URI; empty without an image.
        alt: for who cannot see it.
        name: first line of the caption.
        caption: second line.
        wrong: whether the verdict is wrong, or the image suspicious; it stands out.
    """

    source: str
    alt: str
    name: str
    caption: str
    wrong: bool


def choose(test: TestSet, evaluation: Evaluation, threshold: float, count: int = 12) -> Choice:
    """Choose the images to show.

    Args:
        test: the test images.
        evaluation: their scores and maps.
        threshold: the image threshold.
        count: images of each sort, at most.

    Returns:
        worst: furthest on the wrong side of the threshold first. best: of each defect type, and of the good
        ones, the image that is furthest on the right side. misplaced: defective images whose map ranks the
        pixels of the true defect lowest, by their own pixel AUROC.
    """
    scores, labels = evaluation.scores, test.labels
    worst = hardest(scores, labels, threshold, count)
    # Positive on the right side.
    position = heat_scale(scores, threshold) - 0.5
    margin = np.where(labels, position, -position)
    best = []
    for defect in dict.fromkeys(test.defects):
        group = [i for i, name in enumerate(test.defects) if name == defect]
        # Scores far above the threshold share the end of the color scale: the score itself decides there.
        best.append(max(group, key=lambda i: (margin[i], scores[i] if labels[i] else -scores[i])))
    defective = np.flatnonzero(labels & test.has_mask).tolist()
    aurocs = {i: _located(test, evaluation, i) for i in defective}
    defined = {i: value for i, value in aurocs.items() if value is not None}
    misplaced = sorted(defined, key=lambda i: defined[i])[: count // 2]
    return Choice(worst, best[:count], misplaced)


def _located(test: TestSet, evaluation: Evaluation, index: int) -> float | None:
    if evaluation.pixels is not None:  # a map that is not kept was measured while it was there
        return evaluation.pixels.aurocs.get(index)
    return located(test.masks[index], evaluation.maps[index])


def located(mask: NDArray[np.bool_], anomaly_map: NDArray[np.float32]) -> float | None:
    """The pixel AUROC of one image; None when all or none of it is defective."""
    ranking = Ranking.of(anomaly_map[mask], [np.sort(anomaly_map[~mask])])
    return None if ranking is None else ranking.auroc()


def figure(
    test: TestSet, evaluation: Evaluation, index: int, threshold: float | None, pixel_threshold: float
) -> Figure:
    """A test image as a figure of the page: image and map, name, score and verdict."""
    item, score = test.items[index], float(evaluation.scores[index])
    anomaly_map = evaluation.maps[index]
    caption, verdict = f"score {score:.4f}", ""
    if threshold is not None:
        flagged = score > threshold
        verdict = "right" if flagged != item.is_good else "false alarm" if flagged else "missed"
        caption += f", {verdict}"
    mask = test.masks[index] if test.has_mask[index] else None
    if mask is not None and mask.any():
        caption += f", pixel AUROC {percent(_located(test, evaluation, index))} %"
    name = f"{item.defect}/{item.path.name}"
    return Figure(
        source=data_uri(side_by_side(test.images[index], mask, anomaly_map, pixel_threshold)),
        alt=f"{name}: the image, and its heat map",
        name=name,
        caption=caption,
        wrong=verdict in ("missed", "false alarm"),
    )


def side_by_side(
    image: Image, mask: NDArray[np.bool_] | None, anomaly_map: NDArray[np.float32], pixel_threshold: float
) -> Image:
    """An image with the true defect outlined, and beside it its heat map.

    Of an image with more than 512 pixels, the same two at full resolution are beside them: what is around the
    highest value of the map.

    Returns:
        uint8 T x (2 T + 4) x 3 BGR, or the size of two views whose longer side is reduced to T, and
        twice as wide with the two at full resolution.
    """
    parts = _outlined_and_heated(image, mask, anomaly_map, pixel_threshold)
    if max(image.shape[:2]) > 2 * _TILE:
        row, column = divmod(int(anomaly_map.argmax()), anomaly_map.shape[1])
        near = (_around(row, image.shape[0]), _around(column, image.shape[1]))
        true = None if mask is None else mask[near]
        parts += _outlined_and_heated(image[near], true, anomaly_map[near], pixel_threshold)
    height = max(part.shape[0] for part in parts)
    sheet = np.full((height, sum(part.shape[1] + _GAP for part in parts) - _GAP, 3), 128, np.uint8)
    x = 0
    for part in parts:
        sheet[: part.shape[0], x : x + part.shape[1]] = part
        x += part.shape[1] + _GAP
    return sheet


def _outlined_and_heated(
    image: Image, mask: NDArray[np.bool_] | None, anomaly_map: NDArray[np.float32], pixel_threshold: float
) -> list[Image]:
    """An image with its true defect outlined, and under its map; no side is longer than ``_TILE``."""
    plain = reduced(image, _TILE).copy()
    height, width = plain.shape[:2]
    heat = heat_overlay(plain, anomaly_map, pixel_threshold)
    if mask is not None and mask.any():
        small = truth_shown(mask, width, height).astype(np.uint8)
        outlines, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(plain, outlines, -1, _TRUTH, 1)
    return [plain, heat]


def _around(place: int, length: int) -> slice:
    """The pixels of a close-up along one axis: centered, moved inwards at an edge."""
    first = min(max(place - _TILE // 2, 0), max(length - _TILE, 0))
    return slice(first, first + _TILE)


def data_uri(image: Image) -> str:
    """An image as a data URI (JPEG), to be embedded in the page."""
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert encoded
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
