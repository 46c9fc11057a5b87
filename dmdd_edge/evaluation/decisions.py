"""What a user asks of a result first: how many defects are found and how many good parts are rejected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.bundle.threshold import Threshold, percent, rank

#: False alarms that a kept promise gives less often than this are called more than promised.
_UNLIKELY = 0.01


@dataclass(frozen=True)
class Group:
    """The images of one folder: a defect type, or good parts.

    Attributes:
        images: how many.
        defective: the truth.
        above: how many are anomalous at the threshold.
        unreliable: how many cannot be judged, which are counted neither as found nor as rejected.
        suspect: how many are suspect; None without a band.
    """

    images: int
    defective: bool
    above: int
    unreliable: int = 0
    suspect: int | None = None


@dataclass(frozen=True)
class Decisions:
    """Decisions at a threshold; ``at_threshold`` of metrics.json.

    Attributes:
        threshold: of the score, 0..1.
        found: defective images above it.
        defective: defective images.
        false_alarms: good images above it.
        good: good images.
        unreliable: images of both kinds that cannot be judged; they never pass as good.
        groups: by folder, in the order of the images.
        suspect_defective: suspect defective images, which are not among those found; None without a band.
        suspect_good: suspect good images, which are not among the false alarms; None without a band.
    """

    threshold: float
    found: int
    defective: int
    false_alarms: int
    good: int
    unreliable: int = 0
    groups: dict[str, Group] = field(default_factory=dict)
    suspect_defective: int | None = None
    suspect_good: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields as they are in metrics.json; without a band nothing about suspect images."""
        fields = asdict(self)
        for counts in (fields, *fields["groups"].values()):
            for name in [name for name, value in counts.items() if value is None]:
                del counts[name]
        return fields


def decide(
    scores: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[str],
    threshold: float | EffectiveThreshold,
    unreliable: ArrayLike | None = None,
    reaches: Sequence[float] | None = None,
) -> Decisions:
    """Count the decisions on a set of images.

    Args:
        scores: (N,), 0..1.
        labels: (N,) bool, True = defective.
        groups: N names of folders; an image's group is the name and its label.
        threshold: an image is anomalous when its score is above it; or the thresholds of a run, with their
            band and their smallest area.
        unreliable: (N,) bool, True = cannot be judged; None when all can.
        reaches: N numbers as ``gate.reach`` gives them; needed with a smallest area only.
    """
    rule = threshold
    if not isinstance(rule, EffectiveThreshold):
        rule = EffectiveThreshold(rule, rule, "option")
    if reaches is None:
        reaches = [math.inf] * len(groups)
    values = np.asarray(scores, np.float64).tolist()
    found = np.array([rule.decide_reach(*each) for each in zip(values, reaches, strict=True)], dtype=object)
    truth = np.asarray(labels, np.bool_)
    judged = ~np.zeros(len(truth), np.bool_) if unreliable is None else ~np.asarray(unreliable, np.bool_)
    above, suspect = (found == "anomalous") & judged, (found == "suspect") & judged
    band = rule.suspect is not None
    names = np.asarray(groups, dtype=object)
    by_group = {}
    for name in dict.fromkeys(groups):
        chosen = names == name
        by_group[name] = Group(
            images=int(chosen.sum()),
            defective=bool(truth[chosen].any()),
            above=int(above[chosen].sum()),
            unreliable=int((chosen & ~judged).sum()),
            suspect=int(suspect[chosen].sum()) if band else None,
        )
    return Decisions(
        threshold=rule.image,
        found=int(above[truth].sum()),
        defective=int(truth.sum()),
        false_alarms=int(above[~truth].sum()),
        good=int((~truth).sum()),
        unreliable=int((~judged).sum()),
        groups=by_group,
        suspect_defective=int(suspect[truth].sum()) if band else None,
        suspect_good=int(suspect[~truth].sum()) if band else None,
    )


def result_lines(metrics: Mapping[str, Any]) -> list[str]:
    """The first lines of a result: found and false alarms, then the same by folder.

    Args:
        metrics: content of metrics.json; the lines come from its ``at_threshold``.

    Returns:
        no line where there is no threshold.
    """
    counts = metrics.get("at_threshold")
    if not counts:
        return []
    parts = []
    if counts["defective"]:
        parts.append(f"{counts['found']} of {counts['defective']} defects found")
    if counts["good"]:
        parts.append(f"{counts['false_alarms']} of {counts['good']} good parts rejected")
    lines = [f"{metrics['category']}: {', '.join(parts)}, at threshold {counts['threshold']:.4f}"]
    if "suspect_good" in counts:
        kinds = {"defects": counts["suspect_defective"], "good parts": counts["suspect_good"]}
        totals = {"defects": counts["defective"], "good parts": counts["good"]}
        each = (f"{number} of {totals[kind]} {kind}" for kind, number in kinds.items() if totals[kind])
        lines.append(f"suspect, besides: {', '.join(each)}")
    bad = {name: group for name, group in counts["groups"].items() if group["defective"]}
    good = {name: group for name, group in counts["groups"].items() if not group["defective"]}
    for verb, listed in (("found", bad), ("rejected", good)):
        if len(listed) > 1:
            each = (f"{name} {group['above']} of {group['images']}" for name, group in listed.items())
            lines.append(f"{verb}: {', '.join(each)}")
    if counts["unreliable"]:
        one = counts["unreliable"] == 1
        lines.append(
            f"unreliable: {counts['unreliable']} image{'' if one else 's'} cannot be judged "
            f"and {'is' if one else 'are'} counted neither as found nor as rejected"
        )
    return lines


def band_promise_line(decisions: Decisions, threshold: Threshold) -> str | None:
    """How the good images that are not good compare with what the band promises; None without a band.

    Args:
        decisions: at ``threshold``, with its band.
        threshold: with what it was worked out from.
    """
    good, suspect = decisions.good, decisions.suspect_good
    if not good or suspect is None or threshold.suspect_rate is None:
        return None
    rate, seen = threshold.suspect_rate, suspect + decisions.false_alarms
    promised = f"promise: at most {percent(rate)} of good parts suspect or rejected"
    text = f"{promised}; seen: {percent(seen / good)}"
    if seen and chance_of_alarms(seen, good, threshold, rate) < _UNLIKELY:
        return f"{text}. That is more than chance explains"
    return f"{text}, {'within the promise' if seen <= rate * good else 'more, but chance may explain it'}"


def promise_line(decisions: Decisions, threshold: Threshold) -> str | None:
    """How the false alarms seen compare with what the threshold promises; None without good images.

    Args:
        decisions: at ``threshold``.
        threshold: with what it was worked out from.
    """
    good = decisions.good
    if not good:
        return None
    rate = threshold.alpha if threshold.holds else threshold.attainable
    seen = decisions.false_alarms / good
    few = "" if threshold.holds else f", too few for {percent(threshold.alpha)}"
    text = (
        f"promise: at most {percent(rate)} of good parts rejected (threshold from {threshold.normals} "
        f"good image{'s' * (threshold.normals != 1)}{few}); seen: {percent(seen)}"
    )
    chance = chance_of_alarms(decisions.false_alarms, good, threshold)
    if decisions.false_alarms and chance < _UNLIKELY:
        return (
            f"{text}. That is more than chance explains: these parts or their images differ from those "
            "that set the threshold. Calibrate with good parts: dmdd-edge calibrate"
        )
    return f"{text}, {'within the promise' if seen <= rate else 'more, but chance may explain it'}"


def chance_of_alarms(alarms: int, good: int, threshold: Threshold, alpha: float | None = None) -> float:
    """The probability of this number of false alarms or more when the promise holds, 0..1.

    The share of further good parts above the r-th of n scores follows Beta(n + 1 - r, r), so that the number
    among ``good`` ones is beta-binomial.

    Args:
        alarms: good images above the threshold.
        good: good images.
        threshold: with the count of images and the rate that it was worked out from.
        alpha: the rate, where it is not the threshold's: that of its band.
    """
    n = threshold.normals
    below = rank(n, threshold.alpha if alpha is None else alpha)
    a, b = n + 1 - below, below

    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    def log_probability(k: int) -> float:
        ways = -math.log(good + 1) - log_beta(k + 1, good - k + 1)
        return ways + log_beta(k + a, good - k + b) - log_beta(a, b)

    return min(1.0, sum(math.exp(log_probability(k)) for k in range(alarms, good + 1)))
