"""Which frames an archive keeps, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmdd_edge.runtime.archive.record import Reason
from dmdd_edge.runtime.result import Result


@dataclass(frozen=True)
class Choice:
    """Why a frame is kept.

    Attributes:
        reason: see ``Reason``.
        sampled: whether the random sample chose it.
    """

    reason: Reason
    sampled: bool = False

    @property
    def budget(self) -> Reason:
        """Which share of the archive it takes room from: that of the sample if that chose it."""
        return "sample" if self.sampled else self.reason


class Chooser:
    """Chooses frames: those that are not good, those near the threshold, and a random sample of good ones.

    Each good frame is drawn with the same probability, whatever its score and whatever becomes of others,
    so that the sample speaks for all of them. One that is close to the threshold may be drawn too.

    Args:
        sample: the probability, 0..1.
        margin: how far below the threshold, which is 0.5, a normalized score is close to it.
        generator: of the draws.
    """

    def __init__(self, sample: float, margin: float, generator: np.random.Generator) -> None:
        self.sample = sample
        self._least, self._draw = 0.5 - margin, generator.random

    def choose(self, result: Result) -> Choice | None:
        """Why a frame is kept; None if it is not."""
        if result.status != "good":
            return Choice(result.status)
        sampled = self._draw() < self.sample
        if result.normalized_score >= self._least:
            return Choice("close", sampled)
        return Choice("sample", sampled) if sampled else None
