"""The measures of the paper and its peers, exact on full-resolution maps.

PRO is the per-region overlap of the MVTec AD paper: every connected region (8-neighborhood) of a ground
truth counts the same, whatever its size; the share of each that is found, averaged over the regions of all
images, is drawn over the false positive rate of all normal pixels of all images and integrated up to 0.3,
divided by 0.3. ``pro_per_image`` draws a curve for every defective image by itself, over the false positive
rate of that image's own normal pixels, integrates it the same way, and averages over the defective images
(the habit of RD4AD's line of work; it is the gentler one, as each image gets its own thresholds).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dmdd_edge.cores import usable_cores
from dmdd_edge.evaluation.pixel_counts import PixelCounts, require_finite
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.evaluation.regions import region_weights

#: The false positive rate up to which region overlap is integrated.
PRO_LIMIT = 0.3
#: The measures of a category as tables show them: heading and field of ``Metrics``, the paper's three first.
FIGURES = (
    ("I-AUROC", "image_auroc"),
    ("P-AUROC", "pixel_auroc"),
    ("PRO", "pro"),
    ("PRO per image", "pro_per_image"),
    ("I-AP", "image_ap"),
    ("P-AP", "pixel_ap"),
    ("I-F1max", "image_f1_max"),
)
#: Those that the paper publishes, and their fields.
PAPER_FIGURES = FIGURES[:3]
PAPER_FIELDS = tuple(name for _, name in PAPER_FIGURES)


@dataclass(frozen=True)
class DefectMetrics:
    """Measures of one defect type against all good test images; ratios 0..1, None where undefined."""

    images: int
    image_auroc: float | None
    pixel_auroc: float | None
    pro: float | None


@dataclass(frozen=True)
class Metrics:
    """Measures of a category; ratios 0..1, None where undefined (only one kind of image, no masks).

    Attributes:
        image_auroc: area under the ROC curve of the image scores.
        pixel_auroc: the same over all pixels of all images.
        pro: per-region overlap pooled over the test set (MVTec AD's definition), limit 0.3.
        pro_per_image: per-region overlap by image, averaged over defective images, limit 0.3.
        image_ap, pixel_ap: average precision.
        image_f1_max: the largest F1 over all thresholds on the image score.
        per_defect: by defect type, in the order of the test set.
    """

    image_auroc: float | None
    pixel_auroc: float | None
    pro: float | None
    pro_per_image: float | None
    image_ap: float | None
    pixel_ap: float | None
    image_f1_max: float | None
    per_defect: dict[str, DefectMetrics] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields as in metrics.json."""
        return asdict(self)


def evaluate(
    scores: ArrayLike,
    labels: ArrayLike,
    maps: NDArray[np.float32],
    masks: NDArray[np.bool_],
    defects: Sequence[str],
    has_mask: ArrayLike | None = None,
) -> Metrics:
    """Measure a model on the test images of a category.

    Args:
        scores: image scores, (N,).
        labels: (N,) bool, True = defective.
        maps: anomaly maps, (N, H, W) float32.
        masks: ground truth, (N, H, W) bool, True = anomalous; all False for a good image.
        defects: N names; "good" or the defect type.
        has_mask: (N,) bool, False for an image whose ground truth is missing: it counts for image-level
            measures only. None means all have one.

    Raises:
        DmddError: scores or maps contain NaN or infinity.
        ValueError: the arguments do not match each other.
    """
    scores = np.asarray(scores, np.float64)
    labels = np.asarray(labels, np.bool_)
    known = np.ones(len(scores), np.bool_) if has_mask is None else np.asarray(has_mask, np.bool_)
    count = len(scores)
    if maps.shape != masks.shape or not (count == len(labels) == len(maps) == len(defects) == len(known)):
        raise ValueError(
            f"{count} scores, {len(labels)} labels, maps {maps.shape}, masks {masks.shape}, "
            f"{len(defects)} defects and {len(known)} has_mask do not fit each other"
        )
    require_finite(maps)
    names = np.asarray(defects, dtype=object)
    pixels = {
        name: _Pixels.of(maps, masks, np.flatnonzero((names == name) & known))
        for name in dict.fromkeys(defects)
    }
    good = [pixels[name] for name in dict.fromkeys(names[~labels])]
    ranked, weights = _rank(list(pixels.values()))
    single = [
        alone[1]
        for index in np.flatnonzero(known)
        if masks[index].any() and (alone := alone_figures(maps[index], masks[index])) is not None
    ]
    return with_image_figures(
        scores,
        labels,
        defects,
        lambda name: _pixel_figures(*_rank([*good, pixels[name]])),
        (*_pixel_figures(ranked, weights), ranked.average_precision() if ranked else None),
        single,
    )


def evaluate_counts(
    scores: ArrayLike,
    labels: ArrayLike,
    counts: Mapping[str, PixelCounts],
    defects: Sequence[str],
    alone: Sequence[float],
) -> Metrics:
    """The same from counts of pixels, where the maps are not kept; within 1e-4 of ``evaluate``.

    Args:
        scores, labels, defects: as for ``evaluate``.
        counts: of the pixels with a known truth, by the names in ``defects``.
        alone: PRO of each defective image by itself.
    """
    labels = np.asarray(labels, np.bool_)
    names = np.asarray(defects, dtype=object)
    good = [counts[name] for name in dict.fromkeys(names[~labels])]
    everything = PixelCounts.sum(counts.values())

    def figures(pixels: PixelCounts) -> tuple[float | None, float | None]:
        ranked, regions = pixels.rankings()
        return (None, None) if not ranked or not regions else (ranked.auroc(), regions.area_up_to(PRO_LIMIT))

    return with_image_figures(
        np.asarray(scores, np.float64),
        labels,
        defects,
        lambda name: figures(PixelCounts.sum([*good, counts[name]])),
        (*figures(everything), everything.average_precision()),
        alone,
    )


def with_image_figures(
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    defects: Sequence[str],
    of_defect: Callable[[str], tuple[float | None, float | None]],
    of_pixels: tuple[float | None, float | None, float | None],
    alone: Sequence[float],
) -> Metrics:
    """Measures of images and of pixels together.

    Args:
        scores, labels, defects: as for ``evaluate``.
        of_defect: P-AUROC and PRO of a defect type against the good images.
        of_pixels: P-AUROC, PRO and average precision of all pixels.
        alone: PRO of each defective image by itself.

    Raises:
        DmddError: a score is NaN or infinity.
    """
    require_finite(scores)
    images = Ranking.of(scores[labels], [np.sort(scores[~labels])])
    names = np.asarray(defects, dtype=object)
    per_defect = {}
    for name in dict.fromkeys(names[labels]):
        chosen = names == name
        ranked = Ranking.of(scores[chosen & labels], [np.sort(scores[~labels])])
        pixel_auroc, pro = of_defect(name)
        per_defect[name] = DefectMetrics(
            images=int(chosen.sum()),
            image_auroc=ranked.auroc() if ranked else None,
            pixel_auroc=pixel_auroc,
            pro=pro,
        )
    pixel_auroc, pro, pixel_ap = of_pixels
    return Metrics(
        image_auroc=images.auroc() if images else None,
        pixel_auroc=pixel_auroc,
        pro=pro,
        pro_per_image=float(np.mean(alone)) if alone else None,
        image_ap=images.average_precision() if images else None,
        pixel_ap=pixel_ap,
        image_f1_max=images.best_f1() if images else None,
        per_defect=per_defect,
    )


def defect_pixel_figures(
    maps: NDArray[np.float32], masks: NDArray[np.bool_], defects: Sequence[str], good: str
) -> dict[str, tuple[float | None, float | None]]:
    """P-AUROC and PRO of each defect type, equal to those of ``evaluate``, without its other measures.

    Args:
        maps, masks, defects: as for ``evaluate``, with the truth of every image known.
        good: the name in ``defects`` of the images without a defect.

    Returns:
        by defect type, in the order of the images; None where undefined.
    """
    names = np.asarray(defects, dtype=object)
    kinds = list(dict.fromkeys(defects))
    # NumPy sorts outside the interpreter lock.
    with ThreadPoolExecutor(min(usable_cores(), len(kinds))) as pool:
        found = pool.map(lambda name: _Pixels.of(maps, masks, np.flatnonzero(names == name)), kinds)
        pixels = dict(zip(kinds, found, strict=True))
        rest = [name for name in kinds if name != good]
        normal = [pixels[good]] if good in pixels else []
        figures = pool.map(lambda name: _pixel_figures(*_rank([*normal, pixels[name]])), rest)
        return dict(zip(rest, figures, strict=True))


@dataclass(frozen=True)
class _Pixels:
    """The pixels of some images, gathered for ranking.

    Attributes:
        normals: values of normal pixels, sorted ascending.
        anomalous: values of anomalous pixels.
        weights: of each anomalous pixel, one over the size of its region.
    """

    normals: NDArray[np.float32]
    anomalous: NDArray[np.float32]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, maps: NDArray[np.float32], masks: NDArray[np.bool_], chosen: NDArray[np.intp]) -> _Pixels:
        normals: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
        anomalous: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
        weights: list[NDArray[np.float64]] = [np.empty(0)]
        for index in chosen:
            values, mask = np.asarray(maps[index], np.float32), np.asarray(masks[index], np.bool_)
            normals.append(values[~mask])
            anomalous.append(values[mask])
            weights.append(region_weights(mask))
        return cls(np.sort(np.concatenate(normals)), np.concatenate(anomalous), np.concatenate(weights))


def alone_figures(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> tuple[float, float] | None:
    """P-AUROC and PRO of one image by itself; None when it has one kind of pixels only.

    Args:
        values: its map, float32 H x W.
        mask: its ground truth, bool H x W.
    """
    values, mask = np.asarray(values, np.float32), np.asarray(mask, np.bool_)
    ranked = Ranking.of(values[mask], [np.sort(values[~mask])])
    if ranked is None:
        return None
    return ranked.auroc(), ranked.weighted(region_weights(mask)).area_up_to(PRO_LIMIT)


def _rank(groups: Sequence[_Pixels]) -> tuple[Ranking | None, NDArray[np.float64]]:
    """All pixels of some groups ranked with equal weights, and the weights by region."""
    ranked = Ranking.of(
        np.concatenate([group.anomalous for group in groups]), [group.normals for group in groups]
    )
    return ranked, np.concatenate([group.weights for group in groups])


def _pixel_figures(ranked: Ranking | None, weights: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """P-AUROC and PRO."""
    if ranked is None:
        return None, None
    return ranked.auroc(), ranked.weighted(weights).area_up_to(PRO_LIMIT)
