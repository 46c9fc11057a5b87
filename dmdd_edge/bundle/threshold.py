"""The decision threshold, from scores of normal images alone, at a given false-alarm rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from dmdd_edge.arguments import checked_number
from dmdd_edge.data.tiles import top_mean
from dmdd_edge.errors import BundleError, DataError, OptionError
from dmdd_edge.fields import Share, Sparse

#: The default false-alarm rate: one good part in a hundred.
DEFAULT_ALPHA = 0.01

#: Rates that need more images than this to differ are as good as equal.
_LONG_SEARCH = 10**6


class Threshold(Sparse):
    """The threshold and the facts that it was computed from; the manifest's ``threshold``.

    A part is anomalous when its score is greater than ``image``. With a band it is suspect when its score is
    greater than ``suspect`` and not greater than ``image``.

    Attributes:
        image: threshold of the score, 0..1.
        pixel: threshold of the anomaly map, 0..1; the image threshold unless it was set, or computed from the
            peaks of normal images' maps.
        alpha: the requested false-alarm rate, 0..1.
        normals: number of normal images whose scores it was computed from.
        attainable: the smallest false-alarm rate that this number supports, 1 / (normals + 1).
        needed: number of normal images that ``alpha`` needs.
        scores: the scores themselves, ascending.
        suspect: lower threshold of the score, 0..1; None without a band.
        suspect_rate: the share of good parts that may be above it, 0..1.
        suspect_pixel: lower threshold of the anomaly map, 0..1; None when it is ``suspect``.
    """

    SPARSE = ("suspect", "suspect_rate", "suspect_pixel")

    model_config = ConfigDict(frozen=True)

    image: Share
    pixel: Share
    alpha: float = Field(gt=0, lt=1)
    normals: int = Field(ge=1, le=10**9)
    attainable: float = Field(gt=0, lt=1)
    needed: int = Field(ge=1, le=10**15)
    scores: tuple[Share, ...] = ()
    suspect: Share | None = None
    suspect_rate: float | None = Field(default=None, gt=0, lt=1)
    suspect_pixel: Share | None = None

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
            f"{self.needed} good images that were not trained on; {self.normals} {support} "
            f"{percent(self.attainable)}."
        )

    def describe_band(self) -> str:
        """One sentence about the band; empty without one."""
        if self.suspect is None or self.suspect_rate is None:
            return ""
        return (
            f"suspect above {self.suspect:.4f}: at most {percent(self.suspect_rate)} of good parts are "
            "expected to be suspect or anomalous."
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


def require_exceedable(threshold: float, what: str) -> None:
    """Refuse a threshold that no score exceeds, before it is stored: every part would pass.

    Args:
        threshold: of the score, 0..1.
        what: begins the message: what does not happen, and the subject that would be 1.

    Raises:
        DataError: it is 1.
    """
    if threshold >= 1:
        raise DataError(
            f"{what} would be 1, which no score exceeds, so every part would pass.",
            "Leave out images that score 1 unless they are good; if they are, train with such images.",
        )


def threshold_from_normals(
    scores: Sequence[float],
    alpha: float = DEFAULT_ALPHA,
    pixel: float | None = None,
    peaks: Sequence[float] | None = None,
    suspect_rate: float | None = None,
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
        suspect_rate: the share of good parts that may be above a lower threshold, more than ``alpha``; see
            ``Threshold``. None sets no lower threshold.

    Raises:
        DmddError: no score, a score or a rate outside its range; or the scores do not tell the two rates
            apart.
    """
    check_alpha(alpha)
    if suspect_rate is not None:
        check_rates(alpha, suspect_rate)
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
    place = rank(count, alpha) - 1
    image = ordered[place]
    levels = None if peaks is None else sorted(min(max(float(peak), 0.0), 1.0) for peak in peaks)
    if pixel is None:
        pixel = image if levels is None else levels[place]
    suspect = suspect_pixel = None
    if suspect_rate is not None:
        below = _rank_below(ordered, alpha, suspect_rate) - 1
        suspect = ordered[below]
        suspect_pixel = None if levels is None else levels[below]
    return Threshold(
        image=image,
        pixel=pixel,
        alpha=alpha,
        normals=count,
        attainable=1 / (count + 1),
        needed=images_needed(alpha),
        scores=ordered,
        suspect=suspect,
        suspect_rate=suspect_rate,
        suspect_pixel=suspect_pixel,
    )


def rank(count: int, alpha: float) -> int:
    """The rank of the score that is the threshold, from 1: ceil((n + 1)(1 - alpha)), at most n."""
    # Exact arithmetic: in floating point 1 - alpha can push a whole number over the next rank.
    return min(math.ceil((count + 1) * (1 - Fraction(str(alpha)))), count)


def check_rates(alpha: float, suspect_rate: float) -> None:
    """Check that more good parts may be suspect or anomalous than anomalous.

    Raises:
        OptionError: they do not.
    """
    if not alpha < suspect_rate < 1:
        raise OptionError(
            f"--suspect-rate is {suspect_rate:g}; it must be between --false-alarm-rate, {alpha:g}, and 1.",
            "A part is suspect below the threshold, so more good parts are: give for example "
            f"{min(5 * alpha, (1 + alpha) / 2):g}.",
        )


def _rank_below(ordered: Sequence[float], alpha: float, suspect_rate: float) -> int:
    """The rank of the lower threshold.

    Raises:
        OptionError: it is the same score as the threshold, so that no part could be suspect.
    """
    count = len(ordered)
    above, below = rank(count, alpha), rank(count, suspect_rate)
    if ordered[below - 1] < ordered[above - 1]:
        return below
    rates = f"{percent(suspect_rate)} and {percent(alpha)}"
    if below < above:
        raise OptionError(
            f"Scores {below} to {above} of {count} good images are equal, so that {rates} of them give the "
            "same threshold and no part could be suspect.",
            "Give a higher --suspect-rate, or more images of good parts.",
        )
    needed = images_for_band(alpha, suspect_rate)
    raise OptionError(
        f"{count} good image{'s' * (count != 1)} cannot tell rates of {rates} apart: both give one score.",
        f"Give {needed} images of good parts, or a higher --suspect-rate.",
    )


def images_for_band(alpha: float, suspect_rate: float) -> int:
    """The smallest number of good images with which two rates have two ranks, from which on more keep it so.

    Args:
        alpha: the lower rate.
        suspect_rate: the higher one.
    """
    low, high = Fraction(str(alpha)), Fraction(str(suspect_rate))
    # From 2 / (high - low) images on the ranks differ: their distance before rounding is at least 1.
    count = math.ceil(2 / (high - low))
    while _LONG_SEARCH > count > 1 and rank(count - 1, suspect_rate) < rank(count - 1, alpha):
        count -= 1
    return count


def images_needed(alpha: float) -> int:
    """The number of normal images from which on a false-alarm rate is attainable."""
    return math.ceil(1 / Fraction(str(alpha))) - 1


def map_peak(anomaly_map: NDArray[np.float32]) -> float:
    """The peak of an anomaly map: the mean of its 100 largest values, as in the paper's score.

    Args:
        anomaly_map: float32 S x S, 0..1.
    """
    return top_mean(anomaly_map)


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
    return f"{100 * rate:.{3 if rate >= 0.995 else 2}g} %"  # two digits of 100 would be 1e+02
