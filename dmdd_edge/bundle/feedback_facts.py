"""What a threshold from an archive's feedback rests on; kept with the calibration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dmdd_edge.fields import Count, Share


class FeedbackFacts(BaseModel):
    """The evidence of ``calibrate --from-feedback``, in numbers of parts, and what it gives.

    Attributes:
        passing: parts that passed, kept or not.
        sampled: those of them that the random sample kept; weighted, they speak for all.
        sampled_bad: those of the sampled ones that people call bad.
        alarms: parts that did not pass.
        alarms_good: those of them that people call good.
        bad: parts that people call bad, passing or not.
        unreviewed: alarms without the verdict good or bad.
        unsure: those of them of which people say that they are unsure.
        gone: those of them whose image is no longer in the archive.
        unreviewed_as: what ``--unreviewed`` took them for; None without the option.
        close: passing parts that were kept for being close to the threshold, not at random; not used.
        periods: number of thresholds and sampling rates under which the parts were judged.
        effective: number of images of a plain sample that would tell the rate as closely.
        threshold_before: threshold that was in force, 0..1.
        lowest: threshold if all alarms without a verdict were bad, 0..1.
        highest: threshold whose promise holds whatever they are, 0..1; None where no threshold does.
        rate_before: share of good parts above the threshold before.
        rate: share of good parts above the new threshold.
        rate_low, rate_high: the rate is between them in nine of ten cases.
        found_before: bad parts that the threshold before finds.
        found: bad parts that the new threshold finds.
    """

    model_config = ConfigDict(frozen=True)

    passing: Count
    sampled: Count
    sampled_bad: Count
    alarms: Count
    alarms_good: Count
    bad: Count
    unreviewed: Count
    unsure: Count
    gone: Count
    unreviewed_as: Literal["good", "bad"] | None = None
    close: Count
    periods: Count
    effective: float = Field(ge=0, le=1e9)
    threshold_before: Share
    lowest: Share
    highest: Share | None
    rate_before: Share
    rate: Share
    rate_low: Share
    rate_high: Share
    found_before: Count
    found: Count
