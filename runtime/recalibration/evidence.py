"""What an archive says of the parts that one version judged."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from dmdd_edge.bundle.versions import OWN_THRESHOLD
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import Judged
from dmdd_edge.runtime.recalibration.rate import Period, Scores

#: Sampled parts may be more than the counts explain, by this factor or by this number: a run that was killed
#: did not count its last minute.
_UNCOUNTED, _FEW = 1.25, 4


@dataclass(frozen=True)
class Evidence:
    """The parts of one version, as far as they bear on its threshold.

    Attributes:
        periods: see ``Period``; those with a random sample, or in which no part passed.
        bad: scores of parts that people call bad, ascending.
        inspections: whose parts they are; an empty name for a run.
        sampled: passing parts that the random sample kept.
        passing: parts that passed, kept or not.
        alarms: parts that did not pass, kept or not; no unreliable ones.
        sampled_bad: of the sampled ones, those that people call bad.
        reviewed: alarms that people call good or bad.
        unsure: alarms of which people say that they are unsure.
        gone: alarms that are no longer in the archive, or never were, and have no verdict.
        close: parts that passed and were kept only because they were close to the threshold.
        unsampled: parts of periods without a random sample; they are left out.
        uncounted: sampled parts of periods of which nobody knows how many parts passed.
        other: kept images of other categories, versions and precisions, by name; they are left out.
    """

    periods: tuple[Period, ...]
    bad: Scores
    inspections: tuple[str, ...] = ()
    sampled: int = 0
    passing: int = 0
    alarms: int = 0
    sampled_bad: int = 0
    reviewed: int = 0
    unsure: int = 0
    gone: int = 0
    close: int = 0
    unsampled: int = 0
    uncounted: int = 0
    other: Counter[str] = field(default_factory=Counter)

    @property
    def unreviewed(self) -> int:
        """Alarms that have neither of the two verdicts."""
        return self.alarms - self.reviewed

    @property
    def alarms_good(self) -> int:
        """Alarms that people call good."""
        return sum(len(period.alarms) for period in self.periods)

    @property
    def good(self) -> float:
        """Number of good parts."""
        return sum(period.good for period in self.periods)


@dataclass
class _Parts:
    """The parts of one period while they are read."""

    level: float = 0.0
    counted: bool = False
    passing: int = 0
    alarms: int = 0
    sample: list[float] = field(default_factory=list)
    sampled_bad: int = 0
    alarms_good: list[float] = field(default_factory=list)
    alarms_bad: int = 0
    unreviewed: list[float] = field(default_factory=list)
    unsure: int = 0
    close: int = 0

    def add(self, part: Judged, score: float, verdict: str | None, kept: bool) -> None:
        """Add a part.

        Args:
            part: how it was judged.
            score: that it counts with.
            verdict: of a person, if there is one.
            kept: whether its image is in the archive still.
        """
        if part.status != "good":
            if verdict == "good":
                self.alarms_good.append(score)
            elif verdict == "bad":
                self.alarms_bad += 1
            else:
                self.unreviewed.append(score)
                self.unsure += verdict == "unsure"
        elif not part.sampled:
            self.close += 1
        elif not kept:
            pass  # of images that were deleted, only those with a verdict are known: no random choice
        elif verdict == "bad":
            self.sampled_bad += 1
        else:
            self.sample.append(score)

    @property
    def sampled(self) -> int:
        return len(self.sample) + self.sampled_bad

    def is_counted(self, rate: float) -> bool:
        """Whether the number of sampled parts is a plausible one for the number that passed.

        Args:
            rate: of the random sample, 0..1.
        """
        expected = self.all_passing * rate
        # What a killed run did not count is a small share; chance alone explains four standard deviations.
        return self.sampled <= max(_UNCOUNTED * expected, expected + 4 * math.sqrt(expected) + _FEW)

    @property
    def known_alarms(self) -> int:
        return len(self.alarms_good) + self.alarms_bad + len(self.unreviewed)

    @property
    def gone(self) -> int:
        return max(self.alarms - self.known_alarms, 0)

    @property
    def all_passing(self) -> int:
        # The newest parts may not be counted yet.
        return max(self.passing, self.sampled)

    @property
    def all_alarms(self) -> int:
        return max(self.alarms, self.known_alarms)

    def period(self) -> Period:
        bad = self.sampled_bad / self.sampled if self.sampled else 0.0
        return Period(
            self.level,
            max(self.all_passing * (1 - bad), len(self.sample)),
            _ascending(self.sample),
            _ascending(self.alarms_good),
            _ascending(self.unreviewed),
            self.gone,
        )


def read_evidence(
    archive: ArchiveFolder, category: str, version: str, precision: str | None = None
) -> Evidence:
    """Read what an archive says of one version.

    A score belongs to the version that gave it, so the images of other versions are counted and left out.
    Images that the version judged under other thresholds count, each period with its own censor. A part that
    passed although its score is above the threshold, since no region was large enough, counts as one at the
    threshold. The score of a part that was ended early is a lower bound: a bad part counts with it, any other
    as an alarm at every threshold. With a band, all suspect parts were kept too, so that the lower threshold
    is the period's.

    Args:
        archive: the archive.
        category, version: of the bundle.
        precision: where a precision of the version has a separate threshold: that one, or empty for the
            others together. Its scores are not those of the others, so the images of these, and those without
            a recorded precision, are counted and left out. None takes all images.

    Raises:
        DmddError: the archive cannot be read.
    """
    parts: dict[tuple[float, float], _Parts] = {}
    inspections: set[str] = set()
    other: Counter[str] = Counter()
    bad: list[float] = []
    for counts in archive.counts():
        if (counts.category, counts.version) == (category, version) and is_same(counts.precision, precision):
            found = parts.setdefault((counts.threshold, counts.sample_rate), _Parts())
            found.counted = True
            found.passing += counts.good
            found.alarms += counts.suspect + counts.anomalous
    verdicts = archive.feedback.latest()

    def add(part: Judged, verdict: str | None, kept: bool) -> None:
        if (part.category, part.version) != (category, version):
            other[f"{part.category} {part.version}"] += 1
            return
        if not is_same(part.precision, precision):
            other[f"{part.category} {part.version} in {part.precision or 'an unknown precision'}"] += 1
            return
        if part.score is None or part.status == "unreliable":
            return
        level = part.threshold if part.suspect_threshold is None else part.suspect_threshold
        score = min(part.score, level) if part.status == "good" else part.score
        inspections.add(part.inspection)
        if verdict == "bad":
            bad.append(score)
        elif part.stopped_early:
            score = 1.0  # at least what is kept; so it counts as an alarm at every threshold
        found = parts.setdefault((part.threshold, part.sample_rate), _Parts())
        found.level = max(found.level, level)
        found.add(part, score, verdict, kept)

    for record in archive.records():
        given = verdicts.pop(record.id, None)
        add(record, None if given is None else given.verdict, True)
    for given in verdicts.values():
        add(given, given.verdict, False)
    return _summed(parts, bad, inspections, other)


def is_same(recorded: str, precision: str | None) -> bool:
    """Whether an image that was judged in one precision has the threshold of another.

    Args:
        recorded: of the image; empty where it was not recorded.
        precision: as for ``read_evidence``.
    """
    if precision is None:
        return True
    return bool(recorded) and (recorded if recorded in OWN_THRESHOLD else "") == precision


def _summed(
    parts: dict[tuple[float, float], _Parts], bad: list[float], inspections: set[str], other: Counter[str]
) -> Evidence:
    # Where parts passed and none was sampled, nothing is known of those that passed.
    known = {
        key: found for key, found in parts.items() if found.sampled or (found.counted and found.passing == 0)
    }
    used = list(known.values())
    periods = [found.period() for _, found in sorted(known.items(), key=lambda item: item[0])]
    left_out = [found for key, found in parts.items() if key not in known]
    uncounted = sum(found.sampled for (_, rate), found in known.items() if not found.is_counted(rate))
    return Evidence(
        tuple(period for period in periods if period.good or len(period.unreviewed) or period.unknown),
        _ascending(bad),
        tuple(sorted(inspections)),
        sampled=sum(found.sampled for found in used),
        passing=sum(found.all_passing for found in used),
        alarms=sum(found.all_alarms for found in used),
        sampled_bad=sum(found.sampled_bad for found in used),
        reviewed=sum(len(found.alarms_good) + found.alarms_bad for found in used),
        unsure=sum(found.unsure for found in used),
        gone=sum(found.gone for found in used),
        close=sum(found.close for found in parts.values()),
        unsampled=sum(found.all_passing + found.all_alarms for found in left_out),
        uncounted=uncounted,
        other=other,
    )


def _ascending(scores: list[float]) -> Scores:
    return np.sort(np.asarray(scores, np.float64))
