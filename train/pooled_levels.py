"""Levels of a head's maps from trained and held-out images, and scores of the latter without their own.

A student reproduces the images that it was trained on better than any others, and some of its maps more so
than the rest: on screw, after 150 steps, the peaks of the normality branch at 1/16 of the image's side spread
twice as far over held-out images. Levels from trained images alone trust such a map too much. Held-out images
show what a new one will do, but there are few of them, so both are pooled.

A held-out image that helps to set the levels is then a little nearer to them than a new image is, and the
threshold must not profit from that. So its score counts as it is with the levels that the others give (a
jackknife).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dmdd_edge.train.head import ScaledHead

#: Held-out images that the trained ones together count as.
_WEIGHT = 20


@dataclass(frozen=True)
class Peaks:
    """Peaks of the maps of normal images.

    Attributes:
        trained: of images that the student was trained on, n x K.
        held_out: of others, m x K; None for none.
    """

    trained: Tensor
    held_out: Tensor | None = None

    def levels(self, without: int | None = None) -> tuple[Tensor, Tensor]:
        """Level and standard deviation of each map's peak, K each.

        Args:
            without: index of a held-out image that is left out; None for none.
        """
        own = self.held_out
        if own is not None and without is not None:
            own = torch.cat([own[:without], own[without + 1 :]])
        level, variance = self.trained.mean(0), _variance(self.trained)
        if own is None or not len(own):
            return level, variance.sqrt()
        count, free = len(own), len(own) - 1
        level = (count * own.mean(0) + _WEIGHT * level) / (count + _WEIGHT)
        return level, ((free * _variance(own) + _WEIGHT * variance) / (free + _WEIGHT)).sqrt()


def _variance(peaks: Tensor) -> Tensor:
    return peaks.var(0) if len(peaks) > 1 else torch.zeros_like(peaks[0])


@torch.no_grad()
def gains_without_own(head: ScaledHead, stacked: Iterable[Tensor], peaks: Peaks) -> list[float]:
    """What is to be added to the score of each held-out image, so that it did not help to set the levels.

    Args:
        head: with the levels of all peaks; it is the same afterwards.
        stacked: the head's stacked maps of the held-out images, batch by batch, in the order of their peaks.
        peaks: of the images.
    """
    gains: list[float] = []
    for batch in stacked:
        scores = head.score(batch)
        for image, score in zip(batch, scores, strict=True):
            head.set_levels(*peaks.levels(without=len(gains)))
            gains.append(float(head.score(image[None])[0] - score))
        head.set_levels(*peaks.levels())
    return gains
