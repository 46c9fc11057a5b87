"""Which test images the report shows, and their pictures: the image with its true defect, and its map."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import resize, resize_mask
from dmdd_edge.evaluation.pictures import hardest, heat_overlay, heat_scale
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.evaluation.test_set import Evaluation, TestSet
from dmdd_edge.train.report.words import clean, percent

Image = NDArray[np.uint8]
_TRUTH = (255, 60, 255)
_QUALITY = 88
#: Side of a picture in pixels, at most.
_TILE = 256
_GAP = 4


@dataclass(frozen=True)
class Choice:
    """The images of a report, by index: judged worst, judged best, defect found in the wrong place."""

    worst: list[int]
    best: list[int]
    misplaced: list[int]


def choose(test: TestSet, found: Evaluation, threshold: float, count: int = 12) -> Choice:
    """Choose the images to show.

    Args:
        test: the test images.
        found: what was said of them.
        threshold: the image threshold.
        count: images of each sort, at most.

    Returns:
        worst: deepest on the wrong side of the threshold first. best: of each defect type, and of the good
        ones, the image that is furthest on the right side. misplaced: defective images whose map ranks the
        pixels of the true defect lowest, by their own pixel AUROC.
    """
    labels = test.labels
    worst = hardest(found.scores, labels, threshold, count)
    # Positive on the right side.
    place = heat_scale(found.scores, threshold) - 0.5
    margin = np.where(labels, place, -place)
    best = []
    for defect in dict.fromkeys(test.defects):
        group = [i for i, name in enumerate(test.defects) if name == defect]
        # Scores far above the threshold share the end of the colour scale: the score itself decides there.
        best.append(max(group, key=lambda i: (margin[i], found.scores[i] if labels[i] else -found.scores[i])))
    own = {i: located(test.masks[i], found.maps[i]) for i in np.flatnonzero(labels & test.has_mask).tolist()}
    known = [i for i, value in own.items() if value is not None]
    misplaced = sorted(known, key=lambda i: own[i] or 0.0)[: count // 2]
    return Choice(worst, best[:count], misplaced)


def located(mask: NDArray[np.bool_], anomaly_map: NDArray[np.float32]) -> float | None:
    """The pixel AUROC of one image; None when all or none of it is defective."""
    ranking = Ranking.of(anomaly_map[mask], [np.sort(anomaly_map[~mask])])
    return None if ranking is None else ranking.auroc()


def figure(
    test: TestSet, found: Evaluation, index: int, threshold: float | None, pixel_threshold: float
) -> str:
    """A test image as a figure of the page: picture, name, score and verdict."""
    item, score = test.items[index], float(found.scores[index])
    words = f"score {score:.4f}"
    verdict = ""
    if threshold is not None:
        flagged = score > threshold
        verdict = "right" if flagged != item.is_good else "missed" if flagged is False else "false alarm"
        words += f", {verdict}"
    if test.has_mask[index] and test.masks[index].any():
        words += f", pixel AUROC {percent(located(test.masks[index], found.maps[index]))} %"
    mask = test.masks[index] if test.has_mask[index] else None
    source = picture(side_by_side(test.images[index], mask, found.maps[index], pixel_threshold))
    name = f"{item.defect}/{item.path.name}"
    kind = ' class="wrong"' if verdict in ("missed", "false alarm") else ""
    return (
        f'<figure{kind}><img src="{source}" alt="{clean(name)}: the image, and its heat map">'
        f"<figcaption><b>{clean(name)}</b><span>{clean(words)}</span></figcaption></figure>"
    )


def side_by_side(
    image: Image, mask: NDArray[np.bool_] | None, anomaly_map: NDArray[np.float32], pixel_threshold: float
) -> Image:
    """An image with the true defect outlined, and beside it its heat map, uint8 T x (2 T + 4) x 3 BGR."""
    side = min(image.shape[0], _TILE)
    plain = resize(image, side).copy()
    heat = heat_overlay(plain, anomaly_map, pixel_threshold)
    if mask is not None and mask.any():
        small = resize_mask(mask, side).astype(np.uint8)
        outlines, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(plain, outlines, -1, _TRUTH, 1)
    gap = np.full((side, _GAP, 3), 128, np.uint8)
    return np.hstack([plain, gap, heat])


def picture(image: Image) -> str:
    """An image as a data URI (JPEG), to stand in the page itself."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
