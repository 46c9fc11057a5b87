"""Set a threshold again, from an archive: its random sample of passing parts, and its reviewed alarms."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import (
    Calibration,
    calibration_path,
    effective_threshold,
    read_calibration,
    write_calibration,
)
from dmdd_edge.bundle.feedback_facts import FeedbackFacts
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.bundle.threshold import Threshold, check_alpha, check_rates, images_needed
from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.challenge.gate import GateOptions, gate_threshold
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.calibrate import CalibrateOptions
from dmdd_edge.runtime.recalibration.evidence import Evidence, read_evidence
from dmdd_edge.runtime.recalibration.proposal import Proposal, Unreviewed, propose
from dmdd_edge.storage import require_writable
from dmdd_edge.workspace import load_bundle

#: The most scores that a calibration keeps.
_MOST_SCORES = 2000


@dataclass(frozen=True)
class RecalibrationOutcome:
    """What was done.

    Attributes:
        bundle: that has a new threshold.
        proposal: what it is from and what it promises.
        calibration: what was written.
        path: of the file that was written.
    """

    bundle: Bundle
    proposal: Proposal
    calibration: Calibration
    path: Path


def recalibrate(
    options: CalibrateOptions,
    confirm: Callable[[Bundle, Proposal], None],
    say: Callable[[str], None] = logging.getLogger("dmdd_edge").info,
) -> RecalibrationOutcome:
    """Set a bundle's threshold from the archive that ``from_feedback`` names; nothing is printed.

    Args:
        options: which bundle, which archive, which rate.
        confirm: called with the new threshold before it is set; raises to refuse it.
        say: receives what a person should know, one line each; default: Python's log.

    Raises:
        DataError: the archive sets no threshold; the message says why.
        BundleError: the new threshold loses a part of the challenge set.
        DmddError: the bundle or the archive cannot be read, or the calibration cannot be written.
    """
    if options.from_feedback is None:
        raise OptionError("An archive is missing.", "Give --from-feedback DIR, the folder of run --archive.")
    bundle = load_bundle(options.category, options.model, options.models_dir).at(options.precision)
    check_alpha(options.false_alarm_rate)
    path = calibration_path(bundle)
    require_writable(path.parent, "--models-dir")
    archive = ArchiveFolder(options.from_feedback)
    precision = bundle.precision if bundle.manifest.thresholds else None
    evidence = read_evidence(archive, bundle.category, bundle.version, precision)
    old = effective_threshold(bundle)
    before = read_calibration(bundle)
    known = bundle.manifest.threshold if before is None else before.threshold
    suspect_rate = known.suspect_rate if options.suspect_rate is None else options.suspect_rate
    if suspect_rate is not None:
        check_rates(options.false_alarm_rate, suspect_rate)
    proposal = propose(
        evidence,
        options.false_alarm_rate,
        old.image,
        options.unreviewed,
        str(options.from_feedback),
        suspect_rate,
    )
    confirm(bundle, proposal)
    gate = GateOptions(options.allow_loss, options.backend, options.pick(BackendOptions), say)
    calibration = write_calibration(
        bundle,
        _threshold(proposal, old),
        str(options.from_feedback),
        gate=None if before is None else before.gate,
        accept=lambda new: gate_threshold(bundle, new, gate),
        feedback=_facts(proposal, options.unreviewed),
        strip=None if before is None else before.strip,
    )
    return RecalibrationOutcome(bundle, proposal, calibration, path)


def _threshold(proposal: Proposal, old: EffectiveThreshold) -> Threshold:
    # Records have no peaks of their maps: a pixel threshold that was set for itself stays.
    separate = old.pixel != old.image
    good = max(round(proposal.evidence.good), 1)
    return Threshold(
        image=proposal.new,
        pixel=old.pixel if separate else proposal.new,
        alpha=proposal.alpha,
        normals=good,
        attainable=1 / (good + 1),
        needed=images_needed(proposal.alpha),
        scores=plain_sample(proposal.evidence),
        suspect=proposal.suspect,
        suspect_rate=proposal.suspect_rate,
        suspect_pixel=old.suspect_pixel if separate and proposal.suspect is not None else None,
    )


def _facts(proposal: Proposal, unreviewed: Unreviewed | None) -> FeedbackFacts:
    evidence = proposal.evidence
    return FeedbackFacts(
        passing=evidence.passing,
        sampled=evidence.sampled,
        sampled_bad=evidence.sampled_bad,
        alarms=evidence.alarms,
        alarms_good=evidence.alarms_good,
        bad=len(evidence.bad),
        unreviewed=evidence.unreviewed,
        unsure=evidence.unsure,
        gone=evidence.gone,
        unreviewed_as=unreviewed,
        close=evidence.close,
        periods=len(evidence.periods),
        effective=proposal.rate_new.effective,
        threshold_before=proposal.old,
        lowest=proposal.lowest,
        highest=proposal.highest,
        rate_before=proposal.rate_old.estimate,
        rate=proposal.rate_new.estimate,
        rate_low=proposal.rate_new.low,
        rate_high=proposal.rate_new.high,
        found_before=proposal.found_old,
        found=proposal.found_new,
    )


def plain_sample(evidence: Evidence) -> tuple[float, ...]:
    """Scores of good parts in which each part stands for as many others: their weighted quantiles, ascending.

    There are as many as the random sample has, at most 2000.
    """
    scores = np.concatenate([part for period in evidence.periods for part in (period.sample, period.alarms)])
    weights = np.concatenate(
        [
            np.full(len(part), weight)
            for period in evidence.periods
            for part, weight in (
                (period.sample, period.passing / max(len(period.sample), 1)),
                (period.alarms, 1.0),
            )
        ]
    )
    if not len(scores):
        return ()
    order = np.argsort(scores, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    count = min(max(sum(len(period.sample) for period in evidence.periods), 1), _MOST_SCORES)
    places = np.searchsorted(share, (np.arange(count) + 0.5) / count)
    return tuple(scores[order][np.minimum(places, len(scores) - 1)].tolist())
