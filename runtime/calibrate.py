"""A new threshold from good parts on the line, without training; kept beside the bundle."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import (
    Calibration,
    calibration_path,
    combined_threshold,
    effective_threshold,
    gated_counts,
    read_calibration,
    write_calibration,
)
from dmdd_edge.bundle.gate import Gate, combined_gate
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.bundle.threshold import Threshold, check_alpha, check_rates, threshold_from_normals
from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.messages.commands import spelled
from dmdd_edge.runtime.calibration_doubts import ENOUGH, at_zero, doubts, few
from dmdd_edge.runtime.challenge.gate import GateOptions, gate_threshold
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.normal_scores import NormalScores, score_normals
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.calibrate import LIVE_FRAMES, CalibrateOptions
from dmdd_edge.runtime.sources import open_source
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.strips import check_strips
from dmdd_edge.storage import require_writable
from dmdd_edge.workspace import load_bundle


@dataclass(frozen=True)
class CalibrationOutcome:
    """What a calibration did.

    Attributes:
        bundle: that has a new threshold.
        threshold: the new one, and what it is from.
        calibration: what was written.
        effective: the thresholds that a run uses from now on.
        path: of the file that was written.
        scores: of the images.
        doubts: what speaks against the images being good parts only.
        passed_over: what the source found and did not process, by kind.
        live: whether the images are from a camera or a stream.
        not_kept: options of the calibration before that this one does not have; may be empty.
    """

    bundle: Bundle
    threshold: Threshold
    calibration: Calibration
    effective: EffectiveThreshold
    path: Path
    scores: NormalScores
    doubts: list[str]
    passed_over: Mapping[str, int]
    live: bool = False
    not_kept: str = ""


def refuse_doubts(doubted: list[str]) -> None:
    """Refuse images that are too few or do not look like good parts.

    Raises:
        OptionError: always.
    """
    raise OptionError(
        f"The threshold was not changed: {doubted[0]}.",
        f"Give at least {ENOUGH} images, of good parts only, or calibrate with a confirmation.",
    )


def calibrate(
    options: CalibrateOptions,
    confirm: Callable[[list[str]], None] = refuse_doubts,
    on_frame: Callable[[int, int | None], None] = lambda done, total: None,
    say: Callable[[str], None] = logging.getLogger("dmdd_edge").info,
) -> CalibrationOutcome:
    """Set a bundle's threshold from images of good parts; nothing is printed.

    Args:
        options: which bundle, and which images.
        confirm: called with what speaks against the images, when something does; raises to refuse them.
        on_frame: called with the number of frames scored and of all; None when the latter is not known.
        say: receives what a person should know, one line each; default: Python's log.

    Raises:
        OptionError: the bundle, the source or the backend fails, or no image can be judged.
        BundleError: the new threshold loses a part of the challenge set.
    """
    if options.source is None:
        raise OptionError("A source is missing.", "Give --source FOLDER with images of good parts.")
    bundle = load_bundle(options.category, options.model, options.models_dir)
    check_strips(options.strip, bundle)
    check_alpha(options.false_alarm_rate)
    if options.suspect_rate is not None:
        check_rates(options.false_alarm_rate, options.suspect_rate)
    smallest = combined_gate(Gate(), options.min_area, options.mm_per_px)
    require_writable(calibration_path(bundle).parent, "--models-dir")
    exported = bundle.manifest.threshold
    frames = open_source(options.source, options.pick(SourceOptions))
    frames.say = say
    limit = options.limit
    if frames.live and limit is None:
        limit = LIVE_FRAMES
        say(f"taking {limit} frames; --limit takes more or fewer")
    done, total = 0, limit or frames.total

    def count() -> None:
        nonlocal done
        done += 1
        on_frame(done, total)

    # The threshold is named, so that a broken earlier calibration cannot prevent a new one.
    with Detector.load(
        bundle.path,
        options.backend,
        exported.image,
        exported.pixel,
        verify=False,
        options=options.pick(BackendOptions, slots=2),
        say=lambda line: None,  # of a threshold that is being replaced
    ) as detector:
        bundle = detector.bundle  # with the threshold of the precision that runs
        exported = bundle.manifest.threshold
        scores = score_normals(detector, frames, limit, on_frame=count, gate=smallest)
        backend = detector.backend.name
    if not scores.scores:
        raise OptionError(
            f"None of the {scores.unreliable + scores.skipped} images could be judged; the first: "
            f"{scores.first_reason}.",
            "Take images of good parts under the light and focus of the line.",
        )
    _check_area(smallest, scores)
    # A bundle whose pixel threshold is not its image threshold takes its score from elsewhere than the map.
    peaks = scores.peaks if exported.pixel != exported.image else None
    threshold = threshold_from_normals(
        scores.scores, options.false_alarm_rate, peaks=peaks, suspect_rate=options.suspect_rate
    )
    before = _before(bundle)
    doubted = [*at_zero(threshold.image), *few(threshold), *doubts(bundle, scores)]
    if doubted:
        confirm(doubted)
    gate = GateOptions(options.allow_loss, options.backend, options.pick(BackendOptions), say)
    calibration = write_calibration(
        bundle,
        threshold,
        options.source,
        backend,
        scores.unreliable,
        scores.skipped,
        None if smallest == Gate() else smallest,
        gated_counts(combined_threshold(exported, threshold, smallest), scores.scores, scores.reaches),
        accept=lambda new: gate_threshold(bundle, new, gate),
        strip=options.strip,
    )
    return CalibrationOutcome(
        bundle,
        threshold,
        calibration,
        effective_threshold(bundle),
        calibration_path(bundle),
        scores,
        doubted,
        frames.state().passed_over,
        frames.live,
        _not_kept(before, calibration),
    )


def _check_area(gate: Gate, scores: NormalScores) -> None:
    """Refuse a smallest region that no image has room for: every part would pass, whatever its score."""
    sizes = [look.size for look in scores.looks]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    if sizes and gate.smallest > width * height:
        raise OptionError(
            f"--min-area {gate.min_area} is larger than an image, {width} x {height} pixels, so every part "
            "would pass.",
            "Give the area of the smallest defect that counts.",
        )


def _before(bundle: Bundle) -> Calibration | None:
    """The calibration that is replaced; None without one that can be read."""
    try:
        return read_calibration(bundle)
    except DmddError:
        return None


def _not_kept(before: Calibration | None, now: Calibration) -> str:
    """The options that the calibration before had and this one does not, as they are given."""
    if before is None:
        return ""
    old, new = before.gate or Gate(), now.gate or Gate()
    pairs: dict[str, tuple[object, object]] = {
        "suspect_rate": (before.threshold.suspect_rate, now.threshold.suspect_rate),
        "min_area": (old.min_area, new.min_area),
        "mm_per_px": (old.mm_per_px, new.mm_per_px),
        "strip": (before.strip, now.strip),
    }
    return ", ".join(
        f"{spelled(name)} {was}" for name, (was, given) in pairs.items() if was is not None and given is None
    )
