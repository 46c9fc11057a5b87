"""The decision threshold, from scores of normal images alone, at a given false-alarm rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dmdd_edge.arguments import checked_number
from dmdd_edge.errors import BundleError, DataError, OptionError
from dmdd_edge.fields import Share

#: The default false-alarm rate: one good part in a hundred.
DEFAULT_ALPHA = 0.01

#: Number of a map's largest values whose mean is its peak.
PEAK_PIXELS = 100


class Threshold(BaseModel):
    """The threshold and the facts that it was computed from; the manifest's ``threshold``.

    A part is anomalous when its score is greater than ``image``.

    Attributes:
        image: threshold of the score, 0..1.
        pixel: threshold of the anomaly map, 0..1; the image threshold unless it was set, or computed from the
            peaks of normal images' maps.
        alpha: the requested false-alarm rate, 0..1.
        normals: number of normal images whose scores it was computed from.
        attainable: the smallest false-alarm rate that this number supports, 1 / (normals + 1).
        needed: number of normal images that ``alpha`` needs.
        scores: the scores themselves, ascending.
    """

    model_config = ConfigDict(frozen=True)

    image: Share
    pixel: Share
    alpha: float = Field(gt=0, lt=1)
    normals: int = Field(ge=1, le=10**9)
    attainable: float = Field(gt=0, lt=1)
    needed: int = Field(ge=1, le=10**15)
    scores: tuple[Share, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether there were enough normal images for ``alpha``."""
        return self.normals >= self.needed

    def describe(self) -> str:
        """One sentence for a person: the threshold, its false-alarm rate, and the images it lacks."""
        head = f"threshold {self.image:.4f} from {self.normals} good image{'s' * (self.normals != 1)}"
        if self.holds:
            return f"{head}: at most {percent(self.alpha)} of good parts are expected above it."
        support = "supports" if self.normals == 1 else "support"
        return (
            f"{head}: their highest score, since a false-alarm rate of {percent(self.alpha)} needs "
            f"{self.needed} good images; {self.normals} {support} {percent(self.attainable)}."
        )


def check_alpha(alpha: float) -> None:
    """Check that a false-alarm rate is between 0 and 1, both excluded.

    Raises:
        DmddError: it does not.
    """
    if not 0 < alpha < 1:
        raise OptionError(
            f"The false-alarm rate is {alpha}; it must be between 0 and 1.", "For 1 % give 0.01."
        )


def threshold_from_normals(
    scores: Sequence[float],
    alpha: float = DEFAULT_ALPHA,
    pixel: float | None = None,
    peaks: Sequence[float] | None = None,
) -> Threshold:
    """The threshold that a further good part exceeds with probability at most ``alpha``.

    It is the order statistic of rank ceil((n + 1)(1 - alpha)) of the n scores (split conformal
    prediction); where that rank is above n, the largest score.

    Args:
        scores: scores of normal images that were not trained on, each 0..1.
        alpha: false-alarm rate to keep, between 0 and 1, both excluded.
        pixel: threshold of the map, 0..1; when None that of ``peaks``, without those the image threshold.
        peaks: peak of each normal image's map, see ``map_peak``; the pixel threshold is their order statistic
            of the same rank. For a head whose score is not computed from the map.

    Raises:
        DmddError: no score, a score or a rate outside its range.
    """
    check_alpha(alpha)
    ordered = tuple(sorted(float(score) for score in scores))
    if not ordered:
        raise DataError(
            "There is no good image to compute a threshold from.",
            "Give images of good parts that were not trained on.",
        )
    if any(math.isnan(peak) for peak in peaks or ()):
        raise BundleError("The map of a good image contains NaN.", "The model is broken: train it again.")
    if not all(0 <= score <= 1 for score in ordered):  # also false for not-a-number
        raise BundleError("A score is outside 0..1.", "The model is broken: train or export it again.")
    count = len(ordered)
    # Exact arithmetic: in floating point 1 - alpha can push a whole number over the next rank.
    rate = Fraction(str(alpha))
    place = min(math.ceil((count + 1) * (1 - rate)), count) - 1
    image = ordered[place]
    if pixel is None:
        pixel = image if peaks is None else min(max(sorted(float(peak) for peak in peaks)[place], 0.0), 1.0)
    return Threshold(
        image=image,
        pixel=pixel,
        alpha=alpha,
        normals=count,
        attainable=1 / (count + 1),
        needed=math.ceil(1 / rate) - 1,
        scores=ordered,
    )


def map_peak(anomaly_map: NDArray[np.float32]) -> float:
    """The peak of an anomaly map: the mean of its 100 largest values, as in the paper's score.

    Args:
        anomaly_map: float32 S x S, 0..1.
    """
    values = anomaly_map.ravel()
    count = min(PEAK_PIXELS, values.size)
    return float(np.partition(values, values.size - count)[-count:].mean())


def normalized_score(score: float, threshold: float) -> float:
    """A score on a scale on which the threshold is always 0.5: 0 -> 0, threshold -> 0.5, 1 -> 1.

    Linear between those points. At the edges the decision stays readable from it: above 0.5 exactly
    when ``score > threshold``, also for a threshold of 0 (every score above 0 is above 0.5) or
    1 (none does).

    Args:
        score: 0..1; values outside are clipped.
        threshold: 0..1.
    """
    score = min(max(score, 0.0), 1.0)
    if score <= threshold:
        return 0.5 * score / threshold if threshold > 0 else 0.0
    # Rounding must not turn the smallest step over the threshold into 0.5 itself.
    return max(0.5 + 0.5 * (score - threshold) / (1 - threshold), math.nextafter(0.5, 1.0))


def checked_threshold(value: float, name: str = "--threshold") -> float:
    """Return ``value`` if it is in 0..1.

    Raises:
        DmddError: it does not.
    """
    return checked_number(name, value, 0, 1, "Scores are in 0..1; try 0.5.")


def percent(rate: float) -> str:
    """A rate in words: ``4.8 %``."""
    return f"{100 * rate:.2g} %"
