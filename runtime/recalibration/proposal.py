"""A new threshold beside the old one: what it promises, what it finds, and when it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dmdd_edge.bundle.threshold import percent
from dmdd_edge.errors import DataError
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.recalibration.evidence import Evidence
from dmdd_edge.runtime.recalibration.rate import RateAt, Scores, rate_at, threshold_of

#: What alarms that nobody reviewed count as.
Unreviewed = Literal["good", "bad"]
#: The share of alarms without a verdict above which a threshold that depends on them is refused.
MOST_UNREVIEWED = 0.1


@dataclass(frozen=True)
class Proposal:
    """A new threshold, before it is set.

    Attributes:
        evidence: what it is from.
        alpha: the requested false-alarm rate, 0..1.
        old: threshold in force, 0..1.
        new: proposed threshold, 0..1.
        suspect_rate: share of good parts that may be suspect or anomalous, 0..1; None without a band.
        suspect: proposed lower threshold, 0..1; None without a band.
        lowest: the threshold if every alarm without a verdict were bad.
        highest: the threshold that holds whatever they are; None where their scores are not known.
        rate_old: of the good parts, at the old threshold.
        rate_new: of the good parts, at the new threshold.
    """

    evidence: Evidence
    alpha: float
    old: float
    new: float
    lowest: float
    highest: float | None
    rate_old: RateAt
    rate_new: RateAt
    suspect_rate: float | None = None
    suspect: float | None = None

    @property
    def attainable(self) -> float:
        """The smallest false-alarm rate that the number of good parts supports."""
        return 1 / (self.evidence.good + 1)

    @property
    def holds(self) -> bool:
        """Whether there are enough good parts for the requested rate."""
        return self.attainable <= self.alpha * (1 + 1e-9)

    @property
    def found_old(self) -> int:
        """Known-bad parts above the old threshold."""
        return int((self.evidence.bad > self.old).sum())

    @property
    def found_new(self) -> int:
        """Known-bad parts above the new threshold."""
        return int((self.evidence.bad > self.new).sum())

    @property
    def lost(self) -> Scores:
        """Scores of known-bad parts that the old threshold finds and the new one does not, ascending."""
        bad = self.evidence.bad
        return bad[(bad > self.old) & (bad <= self.new)]


def propose(
    evidence: Evidence,
    alpha: float,
    old: float,
    unreviewed: Unreviewed | None = None,
    archive: str = "DIR",
    suspect_rate: float | None = None,
) -> Proposal:
    """The threshold that ``alpha`` of the good parts exceed at most.

    Alarms without a verdict are missing data. Where the threshold does not depend on them, they do not
    matter. Where few are missing and no known-bad part is in between, the threshold is the higher one,
    whose promise holds whatever they are. Otherwise it waits until they are reviewed, or ``unreviewed``
    decides.

    Args:
        evidence: of an archive.
        alpha: false-alarm rate, 0..1, both excluded.
        old: threshold in force, 0..1.
        unreviewed: what alarms without a verdict count as; None refuses them where they matter.
        archive: folder of the archive, for the fix.
        suspect_rate: share of good parts that may be suspect or anomalous, above ``alpha``; None for no band.

    Raises:
        DataError: the evidence sets no threshold.
    """
    _check_sample(evidence)
    _check_counts(evidence, archive)
    review = command("review", archive)
    if evidence.good < 1:
        raise DataError(
            f"None of {evidence.alarms} parts is known to be good.", f"Review the alarms: {review}"
        )
    lowest = threshold_of(evidence.periods, alpha)
    highest = threshold_of(evidence.periods, alpha, pessimistic=True)
    assert lowest is not None  # no alarm is missing if all that are unreviewed are bad
    if unreviewed == "bad" or highest == lowest:
        new = lowest
    elif highest is not None and (unreviewed == "good" or _few_missing(evidence, lowest, highest)):
        new = highest
    else:
        raise _depends(evidence, alpha, lowest, highest, review)
    return Proposal(
        evidence,
        alpha,
        old,
        new,
        lowest,
        highest,
        rate_at(evidence.periods, old),
        rate_at(evidence.periods, new),
        suspect_rate,
        None if suspect_rate is None else _lower(evidence, suspect_rate, new, pessimistic=new != lowest),
    )


def _lower(evidence: Evidence, suspect_rate: float, new: float, pessimistic: bool) -> float:
    lower = threshold_of(evidence.periods, suspect_rate, pessimistic)
    if lower is None or lower >= new:
        raise DataError(
            f"The archive does not tell a rate of {percent(suspect_rate)} from the threshold {new:.4f}: "
            "no part could be suspect.",
            "Give a higher --suspect-rate, or run longer with a higher --archive-sample.",
        )
    return lower


def _check_sample(evidence: Evidence) -> None:
    if evidence.periods:
        return
    if evidence.unsampled or evidence.alarms:
        raise DataError(
            f"The archive has no random sample of passing parts, of {evidence.unsampled} judged ones: alarms "
            "alone are a censored sample, which sets no threshold.",
            "Run longer, with --archive-sample above 0: 0.01 keeps one passing part in a hundred.",
        )
    others = ", ".join(f"{name} ({count})" for name, count in evidence.other.most_common(3))
    raise DataError(
        "The archive has no part that this version judged"
        + (f"; it has parts of {others}." if others else "."),
        "Run this version with --archive DIR first, or name another --category, --model or --precision.",
    )


def _check_counts(evidence: Evidence, archive: str) -> None:
    """Without the number of parts that passed, nobody knows how many of them a sampled one stands for."""
    if evidence.uncounted:
        raise DataError(
            f"{archive}/counts.jsonl lacks lines: nobody knows how many parts {evidence.uncounted} sampled "
            "ones stand for, so no false-alarm rate can be promised.",
            "If a run is writing to it, wait a minute. Otherwise restore counts.jsonl from a copy, or begin "
            "a new archive.",
        )


def _few_missing(evidence: Evidence, lowest: float, highest: float) -> bool:
    between = (evidence.bad > lowest) & (evidence.bad <= highest)
    return evidence.unreviewed <= MOST_UNREVIEWED * evidence.alarms and not np.any(between)


def _depends(
    evidence: Evidence, alpha: float, lowest: float, highest: float | None, review: str
) -> DataError:
    what = f"{evidence.unreviewed} of {evidence.alarms} alarms have no verdict"
    if highest is None:
        return DataError(
            f"{what}, {evidence.gone} of them are no longer in the archive: if they are good parts, no "
            f"threshold keeps {percent(alpha)}.",
            f"Review the others: {review} - then add --unreviewed bad, if those that are gone were bad "
            f"(threshold {lowest:.4f}), or begin a new archive.",
        )
    return DataError(
        f"{what}, and the threshold depends on them: {lowest:.4f} if all are bad, {highest:.4f} if they are "
        "good.",
        f"Decide with --unreviewed bad or --unreviewed good, or review them: {review}",
    )
