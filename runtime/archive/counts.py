"""How many frames were judged while an archive was kept: lines of ``counts.jsonl``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from dmdd_edge.fields import Count, Share, Text


class Counts(BaseModel):
    """Frames of one bundle at one threshold, from one time to another; lines of one archive add up.

    Attributes:
        since, until: ISO 8601 in UTC.
        category, version, inspection, precision: as in ``Judged``.
        threshold: of the score, 0..1.
        sample_rate: of passing parts, 0..1.
        good, suspect, anomalous, unreliable: frames by status, kept or not.
        sampled: passing parts that the random sample chose.
        lost: frames that were to be kept and were not: the disk was full or too slow.
        sampled_lost: of these, the ones that the random sample chose.
        deleted: kept images that were deleted to make room for newer ones; in the line of what judged them.
        sampled_deleted: of these, the ones that the random sample chose.
    """

    model_config = ConfigDict(frozen=True)

    since: Text
    until: Text
    category: Text
    version: Text
    inspection: Text = ""
    threshold: Share
    sample_rate: Share
    good: Count = 0
    suspect: Count = 0
    anomalous: Count = 0
    unreliable: Count = 0
    sampled: Count = 0
    lost: Count = 0
    sampled_lost: Count = 0
    deleted: Count = 0
    sampled_deleted: Count = 0
    precision: Text = ""
