"""What a finished run tolerates: its held-out good images under mild nuisances, at its own threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.evaluation.test_set import Predictor, scores_of
from dmdd_edge.evaluation.views import Images, Views
from dmdd_edge.train.synthesis import nuisances
from dmdd_edge.train.synthesis.nuisances import Nuisance

#: Name, kind and amount of each nuisance that is tried.
_TRIED: tuple[tuple[str, Nuisance, float], ...] = (
    ("JPEG 85", nuisances.jpeg, 85),
    ("light -10 %", nuisances.light, 0.9),
    ("light +10 %", nuisances.light, 1.1),
    ("blur of half a pixel", nuisances.blur, 0.5),
    ("zoom of 1 %", nuisances.zoom, 1.01),
)
#: The names that need more words for a person.
_IN_WORDS = {"JPEG 85": "JPEG quality 85"}
#: Most held-out images that are tried: their number times that of the nuisances is evaluated.
_MOST = 32
#: Shares above the threshold that are worth a warning.
_MANY = 0.1


def images_tried(held_out: int) -> int:
    """Number of images that are evaluated when this number is held out."""
    return len(_TRIED) * min(held_out, _MOST)


def shares_above(
    predict: Predictor,
    good: Images,
    threshold: Threshold,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Shares of good images above the threshold, by nuisance.

    Args:
        predict: of the finished run.
        good: the held-out images, uint8 n x S x S x 3 BGR, or their views, which are changed at the scale of
            the tiles; n at least 1. At most 32 of them, evenly spread, are used.
        threshold: of the run.
        progress: receives the numbers of evaluated images and of all.
    """
    if len(good) > _MOST:
        chosen = np.linspace(0, len(good) - 1, _MOST).round().astype(int)
        good = good.taken(chosen.tolist()) if isinstance(good, Views) else good[chosen]
    shares: dict[str, float] = {}

    def tell(done: int) -> None:
        if progress is not None:
            progress(len(shares) * len(good) + done, images_tried(len(good)))

    for name, change, amount in _TRIED:
        scores = scores_of(predict, _changed(good, change, amount), tell)
        shares[name] = round(float((scores > threshold.image).mean()), 4)
    return shares


def _changed(good: Images, change: Nuisance, amount: float) -> Images:
    if isinstance(good, Views):
        return good.changed(lambda view, index: nuisances.changed_one(view, change, amount, 0, index))
    return nuisances.changed(good, change, amount, 0)


def describe_shares(shares: Mapping[str, float], images: int, trained_for: float) -> str:
    """One line on the shares, for a person.

    Args:
        shares: as ``shares_above`` gives them.
        images: number of held-out images.
        trained_for: share of the images that training changed, ``--nuisances``.
    """
    tried = f"{_MOST} of {images}" if images > _MOST else f"{images}"
    each = "; ".join(f"{_IN_WORDS.get(name, name)}: {100 * share:.0f} %" for name, share in shares.items())
    line = f"Good parts rejected after a change ({tried} held-out images): {each}."
    worst = max(shares, key=lambda name: shares[name])
    if shares[worst] <= _MANY:
        return line
    fix = "Calibrate" if trained_for else "Train with --nuisances 0.5, or calibrate"
    return f"{line} {fix} with images from the production line."
