"""Selects what the scaled head's score is, by synthetic damage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmdd_edge.data.datasets import GOOD
from dmdd_edge.train.head import ScaledHead

#: Candidate shares of the prototypes in the score, the preferred first.
SHARES = (0.5, 0.25, 0.0)
#: The first share is selected whose error, the geometric mean over the kinds of damage, exceeds the least by
#: at most this share. Synthetic damage resembles what the student was trained on; a real defect may not, and
#: what a camera changes the student takes for a defect sooner, the more so with few images. So the prototypes
#: are preferred.
_NEAR = 0.2
#: Added to the error of a kind, so that one kind without any error does not decide alone.
_FLOOR = 0.01
#: Share of the error by which the joined score must be better than the mean of the peaks.
_BETTER = 0.05


@torch.no_grad()
def choose_score(head: ScaledHead, stacked: Sequence[Tensor], kinds: Sequence[str]) -> tuple[float, bool]:
    """Choose the prototypes' share of a head's score, and whether it joins the maps, and set both.

    Args:
        head: with its levels fitted; it is changed.
        stacked: the head's stacked maps, batch by batch.
        kinds: kind of damage of each image, or "good".

    Returns:
        the share, 0 without prototypes; whether the score joins the maps.
    """
    names = np.asarray(kinds)

    def error() -> float:
        return image_error(np.concatenate([head.score(part).cpu().numpy() for part in stacked]), names)

    share, errors = 0.0, {}
    if head.prototype_maps:
        for candidate in SHARES:
            head.weigh_score(candidate)
            errors[candidate] = error()
        least = (1 + _NEAR) * min(errors.values())
        share = next(each for each, found in errors.items() if found <= least)
        head.weigh_score(share)
    if head.chooses_joined:
        by_peaks = errors[share] if errors else error()
        head.join_score()
        head.join_score(error() <= (1 - _BETTER) * by_peaks)
    return share, head.joined_score


def image_error(scores: NDArray[np.float32], kinds: NDArray[np.str_]) -> float:
    """Geometric mean over the kinds of what the image AUROC lacks of 1, 0..1.

    Args:
        scores: of n images.
        kinds: kind of damage of each, or "good".
    """
    good = scores[kinds == GOOD]
    lacks = [
        float(
            (good[:, None] > scores[kinds == kind]).mean()
            + 0.5 * (good[:, None] == scores[kinds == kind]).mean()
        )
        for kind in dict.fromkeys(kinds.tolist())
        if kind != GOOD
    ]
    return float(np.exp(np.mean(np.log(np.array(lacks) + _FLOOR))))
