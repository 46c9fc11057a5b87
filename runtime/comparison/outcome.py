"""What two versions decide on the same images, and in how many cases they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dmdd_edge.bundle.rule import Origin
from dmdd_edge.evaluation.rates import Rate, sign_test
from dmdd_edge.runtime.challenge.report import is_worse, outcome_of

Side = Literal["old", "new"]
#: The two versions, in the order in which they are named everywhere.
SIDES: tuple[Side, Side] = ("old", "new")


@dataclass(frozen=True)
class Verdict:
    """What a version says of an image.

    Attributes:
        status: of the result, such as ``good``.
        score: 0..1; NaN without one.
        reason: why it cannot be judged; empty if it can.
    """

    status: str
    score: float
    reason: str = ""


@dataclass(frozen=True)
class Pair:
    """An image that both versions judged.

    Attributes:
        path: of the file.
        group: ``good``, or the defect type.
        is_good: the truth.
        old, new: what the versions say.
        challenge: whether it is a part of the challenge set, which guards every change.
    """

    path: Path
    group: str
    is_good: bool
    old: Verdict
    new: Verdict
    challenge: bool = False

    @property
    def differs(self) -> bool:
        """Whether the versions decide differently."""
        return self.old.status != self.new.status

    def right(self, side: Side) -> bool:
        """Whether a version decides rightly: ``anomalous`` on a defective part, ``good`` on a good one."""
        verdict: Verdict = getattr(self, side)
        return verdict.status == ("good" if self.is_good else "anomalous")

    @property
    def kind(self) -> str:
        """What the new version changes, for a person."""
        if self.right("old") == self.right("new"):
            return "another verdict"
        if self.is_good:
            return "no longer rejected" if self.right("new") else "newly rejected"
        return "newly found" if self.right("new") else "no longer found"


@dataclass(frozen=True)
class Count:
    """The decisions of both versions on the images of one kind.

    Attributes:
        images: judged by both.
        old, new: how many are anomalous to each: of good parts the false alarms, of defective ones the finds.
        only_old, only_new: how many are anomalous to one of them alone.
        suspect: how many are suspect to one of them or both; these count as not anomalous.
        unreliable: how many one of them or both cannot decide on; likewise.
        other: how many get another status of each, and are anomalous to neither.
    """

    images: int
    old: int
    new: int
    only_old: int
    only_new: int
    unreliable: int = 0
    suspect: int = 0
    other: int = 0

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Count:
        """Count the decisions on images."""
        above = [(pair.old.status == "anomalous", pair.new.status == "anomalous") for pair in pairs]
        return cls(
            images=len(pairs),
            old=sum(old for old, _ in above),
            new=sum(new for _, new in above),
            only_old=sum(old and not new for old, new in above),
            only_new=sum(new and not old for old, new in above),
            unreliable=sum("unreliable" in (pair.old.status, pair.new.status) for pair in pairs),
            suspect=sum("suspect" in (pair.old.status, pair.new.status) for pair in pairs),
            other=sum(pair.differs and old == new for pair, (old, new) in zip(pairs, above, strict=True)),
        )

    @property
    def chance(self) -> float:
        """The probability, 0..1, of a difference at least as uneven between two equal versions."""
        return sign_test(self.only_old, self.only_new)

    def rate(self, side: Side) -> Rate:
        """The share that is anomalous to a version; only with images."""
        return Rate(getattr(self, side), self.images)

    def as_dict(self) -> dict[str, Any]:
        """The fields, with intervals and the test's probability, for JSON."""
        sides: dict[str, Any] = {
            side: {"anomalous": getattr(self, side), "interval": list(self.rate(side).interval)}
            for side in SIDES
        }
        return {
            "images": self.images,
            **sides,
            "only_old": self.only_old,
            "only_new": self.only_new,
            "unreliable": self.unreliable,
            "suspect": self.suspect,
            "other": self.other,
            "chance": self.chance,
        }


@dataclass(frozen=True)
class Version:
    """One side of the comparison.

    Attributes:
        path: of the version's folder.
        category, name: of the bundle.
        threshold: in use, 0..1.
        origin: what set it: ``calibration`` or ``manifest``.
        backend: that judged.
        in_use: whether ``CURRENT`` names it.
    """

    path: Path
    category: str
    name: str
    threshold: float
    origin: Origin
    backend: str
    in_use: bool


@dataclass(frozen=True)
class Comparison:
    """The result of ``compare``.

    Attributes:
        old, new: the versions.
        pairs: the images that both judged.
        skipped: files that are not used, with the reason.
        report: the page, if one was written.
    """

    old: Version
    new: Version
    pairs: Sequence[Pair] = field(repr=False)
    skipped: Sequence[tuple[Path, str]] = ()
    report: Path | None = None

    @property
    def good(self) -> Count:
        """Of the good parts."""
        return Count.of([pair for pair in self.pairs if pair.is_good])

    @property
    def bad(self) -> Count:
        """Of the defective parts."""
        return Count.of([pair for pair in self.pairs if not pair.is_good])

    @property
    def refused(self) -> list[Pair]:
        """The challenge parts for which ``models use`` refuses to switch between the two versions.

        The gate checks the switch to the version that is not in use; with neither in use it compares others.
        """
        if self.old.in_use:
            return [pair for pair in self._parts if is_worse(*_outcomes(pair.new, pair.old))]
        if self.new.in_use:
            return [pair for pair in self._parts if is_worse(*_outcomes(pair.old, pair.new))]
        return []

    @property
    def _parts(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair.challenge]

    @property
    def differing(self) -> list[Pair]:
        """What is decided differently: first what the new version makes worse, then what it makes better."""
        order = ("no longer found", "newly rejected", "another verdict", "newly found", "no longer rejected")
        return sorted((pair for pair in self.pairs if pair.differs), key=lambda pair: order.index(pair.kind))

    def as_dict(self) -> dict[str, Any]:
        """The content of ``compare --json``."""

        def side(version: Version) -> dict[str, Any]:
            return {
                "category": version.category,
                "version": version.name,
                "path": str(version.path),
                "threshold": version.threshold,
                "threshold_origin": version.origin,
                "backend": version.backend,
                "in_use": version.in_use,
            }

        counts = {"good": self.good, "known_bad": self.bad}
        return {
            "old": side(self.old),
            "new": side(self.new),
            **{name: count.as_dict() if count.images else None for name, count in counts.items()},
            "differences": [
                {
                    "file": str(pair.path),
                    "group": pair.group,
                    "change": pair.kind,
                    **{
                        name: {"status": verdict.status, "score": _finite(verdict.score)}
                        for name, verdict in (("old", pair.old), ("new", pair.new))
                    },
                }
                for pair in self.differing
            ],
            "refused": [str(pair.path) for pair in self.refused],
            "skipped": [{"file": str(path), "reason": reason} for path, reason in self.skipped],
            "report": None if self.report is None else str(self.report),
        }


def _outcomes(after: Verdict, before: Verdict) -> tuple[str, str]:
    return outcome_of(after.status), outcome_of(before.status)


def _finite(score: float) -> float | None:
    return None if score != score else score
