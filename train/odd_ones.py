"""Held-out good images that alone set the threshold: a misplaced part among them hides defects.

The threshold of few images is their highest score, so one odd part decides it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dmdd_edge.bundle.threshold import Threshold

#: Of fewer images none is odd; and at most this share of them.
_FEWEST, _SHARE = 8, 0.1
#: A score stands out above the median plus this number of spreads, both of score / (1 - score): scores near 1
#: are close together however far apart the images are.
_SPREADS = 6.0


def odd_ones(files: Sequence[str], scores: Sequence[float], threshold: Threshold) -> list[str]:
    """A line that names the images which alone set the threshold; empty without such images.

    Args:
        files: the held-out good images.
        scores: of them, 0..1, in the same order.
        threshold: from these scores.
    """
    odds = np.asarray(scores, np.float64)
    odds = odds / np.maximum(1.0 - odds, 1e-9)
    middle = float(np.median(odds))
    spread = 1.4826 * float(np.median(np.abs(odds - middle)))
    order = np.argsort(-odds, kind="stable")
    odd = [int(i) for i in order if odds[i] > middle + _SPREADS * spread and scores[i] >= 0.5]
    few = len(odds) < _FEWEST or not odd or len(odd) > max(1, int(_SHARE * len(odds)))
    if few or max(scores[i] for i in odd) < threshold.image:
        return []
    rest = max(score for index, score in enumerate(scores) if index not in odd)
    named = ", ".join(f"{Path(files[i]).name} ({scores[i]:.4f})" for i in odd)
    one = len(odd) == 1
    return [
        f"{len(odd)} of {len(odds)} held-out images set{'s' if one else ''} the threshold far above the "
        f"others, whose scores reach {rest:.4f}: {named}. Look at {'it' if one else 'them'}: if the part "
        "is defective or misplaced, remove the image and train again; if it is good, calibrate with more "
        "good parts"
    ]
