"""A threshold set on the line, from good parts, without training; stored beside the bundle, never in it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration_history import Entry, remember
from dmdd_edge.bundle.feedback_facts import FeedbackFacts
from dmdd_edge.bundle.gate import Gate, combined_gate
from dmdd_edge.bundle.manifest import LARGEST
from dmdd_edge.bundle.rule import EffectiveThreshold, SuspectAs
from dmdd_edge.bundle.threshold import Threshold, checked_threshold, require_exceedable
from dmdd_edge.bundle.versions import calibration_name, history_name
from dmdd_edge.errors import BundleError, OptionError, StorageError
from dmdd_edge.failures import storage_errors
from dmdd_edge.fields import LONGEST_TEXT, Count, LongText, Name, Sparse, Text
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import visible
from dmdd_edge.outside_files import inside, read_bounded
from dmdd_edge.storage import fsync_path, write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate


class GatedCounts(Sparse):
    """Good parts of a calibration that the gate decides on.

    Attributes:
        above: those whose score is above the threshold.
        anomalous: those that are anomalous: they have a region that is large enough too.
        suspect_above: with a band, those whose score is above the lower threshold, and maybe above the other.
        suspect: those that are suspect.
    """

    SPARSE = ("suspect_above", "suspect")

    model_config = ConfigDict(frozen=True)

    above: Count
    anomalous: Count
    suspect_above: Count | None = None
    suspect: Count | None = None


class Calibration(Sparse):
    """The result of ``dmdd-edge calibrate``, stored in ``models/<category>/calibration-<version>.json``.

    Attributes:
        category, version: the bundle that it belongs to.
        threshold: the threshold, with the scores that it was computed from.
        created: when, ISO 8601 in UTC.
        source: where the images came from.
        backend: the backend that scored them.
        unreliable: frames left out because they were not reliable.
        skipped: files left out because they could not be read.
        gate: what a region needs; None when it needs nothing and the size of a pixel is not known.
        gated: how the gate decides on the good parts; None without a smallest area.
        feedback: what it rests on, of a threshold from an archive; None of one from good parts.
        precision: that it was made with, where that has a separate threshold; else empty.
        strip: rows of the strip before in front of each, of a calibration from strips; None of whole images.
    """

    SPARSE = ("gate", "gated", "feedback", "precision", "strip")

    model_config = ConfigDict(frozen=True)

    category: Name
    version: Name
    threshold: Threshold
    created: Text
    source: LongText
    backend: Text = ""
    unreliable: Count = 0
    skipped: Count = 0
    gate: Gate | None = None
    gated: GatedCounts | None = None
    feedback: FeedbackFacts | None = None
    precision: Text = ""
    strip: Count | None = None


def calibration_path(bundle: Bundle) -> Path:
    """Path of this version's calibration, whether or not it exists.

    Raises:
        DmddError: it is a link that leaves the folder.
    """
    return inside(bundle.path.resolve().parent, calibration_name(bundle.version, bundle.precision))


def history_path(bundle: Bundle) -> Path:
    """Path of this version's earlier calibrations, whether or not it exists.

    Raises:
        DmddError: it is a link that leaves the folder.
    """
    return inside(bundle.path.resolve().parent, history_name(bundle.version, bundle.precision))


def as_entry(calibration: Calibration | None) -> Entry:
    """A calibration as the file of earlier ones has it."""
    return None if calibration is None else calibration.model_dump(mode="json")


def read_calibration(bundle: Bundle) -> Calibration | None:
    """The calibration of this version, or None.

    Raises:
        DmddError: it exists, but cannot be read or belongs to another bundle.
    """
    path = calibration_path(bundle)
    remedy = "Calibrate again, or restore the exported threshold: " + command(
        "calibrate", model=bundle.path, precision=bundle.precision or None, reset=True
    )
    try:
        calibration = validate(Calibration, parse_object(read_bounded(path, LARGEST)))
    except FileNotFoundError:
        return None
    except (OSError, NotStrict) as error:
        # A silent fallback would apply a threshold that nobody chose.
        reason = getattr(error, "strerror", None) or error
        raise BundleError(f"The calibration {path} cannot be read: {reason}.", remedy) from error
    found = (calibration.category, calibration.version, calibration.precision)
    if found != (bundle.category, bundle.version, bundle.precision):
        raise BundleError(
            f"The calibration {path} belongs to {' '.join(found).rstrip()}, "
            f"not to {bundle.category} {bundle.version} {bundle.precision}".rstrip()
            + ".",
            remedy,
        )
    return calibration


def write_calibration(
    bundle: Bundle,
    threshold: Threshold,
    source: str,
    backend: str = "",
    unreliable: int = 0,
    skipped: int = 0,
    gate: Gate | None = None,
    gated: GatedCounts | None = None,
    accept: Callable[[Calibration], object] = lambda calibration: None,
    feedback: FeedbackFacts | None = None,
    strip: int | None = None,
) -> Calibration:
    """Store a new threshold beside the bundle; it applies from the next start of the runtime on.

    Args:
        accept: called with the calibration before it is written; raises to refuse it.

    Raises:
        DataError: no score would exceed the threshold.
        DmddError: the folder cannot be written. Also whatever ``accept`` raises.
    """
    calibration = Calibration(
        category=bundle.category,
        version=bundle.version,
        threshold=threshold,
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        source=visible(redacted(source))[:LONGEST_TEXT],
        backend=backend,
        unreliable=unreliable,
        skipped=skipped,
        gate=gate,
        gated=gated,
        feedback=feedback,
        precision=bundle.precision,
        strip=strip,
    )
    require_exceedable(threshold.image, "The threshold was not changed: it")
    accept(calibration)
    path = calibration_path(bundle)
    _remember(bundle)
    write_atomically(path, calibration.model_dump_json(indent=2) + "\n")
    return calibration


def _remember(bundle: Bundle) -> None:
    """Keep what is in force; a broken calibration is not kept."""
    try:
        calibration = read_calibration(bundle)
    except BundleError:
        return
    remember(history_path(bundle), as_entry(calibration))


def remove_calibration(bundle: Bundle) -> bool:
    """Restore the manifest's threshold; returns whether there was a calibration, which ``--undo`` restores.

    Raises:
        DmddError: the file cannot be removed.
    """
    if not calibration_path(bundle).exists():
        return False
    _remember(bundle)
    return delete_calibration(bundle)


def delete_calibration(bundle: Bundle) -> bool:
    """Delete the calibration without keeping it; returns whether there was one.

    Raises:
        DmddError: the file cannot be removed.
    """
    path = calibration_path(bundle)
    try:
        with storage_errors(path, "removed"):
            path.unlink()
    except StorageError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    fsync_path(path.parent)
    return True


def gated_counts(
    threshold: EffectiveThreshold, scores: Sequence[float], reaches: Sequence[float]
) -> GatedCounts | None:
    """How a gate decides on good parts; None without a smallest area.

    Args:
        threshold: with the gate.
        scores: of the parts.
        reaches: of their maps with the gate, see ``gate.reach``.
    """
    if not threshold.gate:
        return None
    judged = [threshold.decide_reach(*each) for each in zip(scores, reaches, strict=True)]
    lower = threshold.suspect
    return GatedCounts(
        above=sum(score > threshold.image for score in scores),
        anomalous=judged.count("anomalous"),
        suspect_above=None if lower is None else sum(score > lower for score in scores),
        suspect=None if lower is None else judged.count("suspect"),
    )


def other_calibration(bundle: Bundle, threshold: EffectiveThreshold) -> str:
    """A warning that a calibration does not count since it was made with another precision; else empty.

    Args:
        bundle: as it decides with the precision that runs; see ``Bundle.at``.
        threshold: in force.
    """
    if threshold.origin != "manifest":
        return ""
    own = bundle.precision
    others = ("", *bundle.manifest.thresholds)
    made = [
        name for name in others if name != own and calibration_path(replace(bundle, precision=name)).exists()
    ]
    if not made:
        return ""
    what = f"was not made with {own}" if own else f"was made with {made[0]} only"
    again = command("calibrate", category=bundle.category, precision=own or None, source="GOOD_PARTS")
    return (
        f"the calibration of {bundle.category} {what}; {own or 'this precision'} keeps its "
        f"exported threshold {threshold.image:.4f}; calibrate it too: {again}"
    )


def effective_threshold(
    bundle: Bundle,
    image: float | None = None,
    pixel: float | None = None,
    *,
    suspect: float | None = None,
    suspect_as: SuspectAs | None = None,
    min_area: str | float | None = None,
    mm_per_px: float | None = None,
    calibration: Calibration | Literal["stored"] | None = "stored",
) -> EffectiveThreshold:
    """The thresholds of a run: each one that is given, else the calibration's, else the manifest's.

    The pixel threshold follows the image threshold unless calibration or export set it separately, or
    ``pixel`` is given. The band stays when ``image`` is given: its lower end is where it was, and where
    ``image`` is below that, no part is suspect.

    Args:
        image: ``--threshold``, 0..1.
        pixel: ``--pixel-threshold``, 0..1.
        suspect: ``--suspect-threshold``, 0..1, below the image threshold.
        suspect_as: ``--suspect-as``: count suspect parts as good, or as anomalous.
        min_area: ``--min-area``: text as ``parse_area`` reads it, or pixels of the source image; 0 for any.
        mm_per_px: ``--mm-per-px``: millimeters per pixel of the source image.
        calibration: what the thresholds would be with another calibration, or with none; "stored" reads the
            version's own.

    Raises:
        DmddError: a threshold is outside 0..1, the area or the size is malformed, or the calibration cannot
            be read.
    """
    exported = bundle.manifest.threshold
    known, gate = exported, Gate()
    origin: Literal["option", "calibration", "manifest"] = "manifest"
    try:
        if calibration == "stored":
            calibration = read_calibration(bundle)
    except BundleError:
        if image is None:  # the run has its own threshold and does not depend on the broken file
            raise
        calibration = None
    if calibration is not None:
        known, gate, origin = calibration.threshold, calibration.gate or gate, "calibration"
    if image is not None:
        checked_threshold(image)
        origin = "option"
    if pixel is not None:
        checked_threshold(pixel, "--pixel-threshold")
    gate = combined_gate(gate, min_area, mm_per_px)
    found = combined_threshold(exported, known, gate, origin, image, pixel, suspect, suspect_as)
    return replace(found, strip=calibration.strip) if calibration and origin == "calibration" else found


def combined_threshold(
    exported: Threshold,
    known: Threshold,
    gate: Gate = Gate(),
    origin: Literal["option", "calibration", "manifest"] = "calibration",
    image: float | None = None,
    pixel: float | None = None,
    suspect: float | None = None,
    suspect_as: SuspectAs | None = None,
) -> EffectiveThreshold:
    """The thresholds of a run from what is known and what is given; see ``effective_threshold`` for the rest.

    Args:
        exported: the manifest's.
        known: the calibration's, or else the manifest's.
        gate: what a region needs.
        origin: of the thresholds.
        image, pixel, suspect, suspect_as: given for the run.

    Raises:
        DmddError: the lower threshold is outside 0..1, or not below the threshold.
    """
    # A pixel threshold that calibration set separately belongs to the calibrated image threshold.
    separate = _first(None if image is not None else _separate(known), _separate(exported))
    level = known.image if image is None else image
    map_level = pixel if pixel is not None else level if separate is None else separate
    lower = _lower(known, level, suspect)
    if lower is None or suspect_as == "good":
        return EffectiveThreshold(level, map_level, origin, gate=gate, suspect_as=suspect_as)
    map_lower = known.suspect_pixel if suspect is None and known.suspect_pixel is not None else lower
    map_lower = min(map_lower, map_level)
    if suspect_as == "anomalous":
        return EffectiveThreshold(min(lower, level), map_lower, origin, gate=gate, suspect_as=suspect_as)
    return EffectiveThreshold(level, map_level, origin, lower, map_lower, gate)


def _lower(known: Threshold, level: float, suspect: float | None) -> float | None:
    """The lower end of the band; None without one.

    Raises:
        DmddError: it is given, and not below the threshold.
    """
    if suspect is None:
        return known.suspect  # also where a given threshold is below it, so that no part is suspect
    checked_threshold(suspect, "--suspect-threshold")
    if suspect >= level:
        raise OptionError(
            f"--suspect-threshold is {suspect:g}, and the threshold is {level:g}: no part could be suspect.",
            f"Give less than {level:g}.",
        )
    return suspect


def _separate(threshold: Threshold) -> float | None:
    """The pixel threshold when it was set separately from the image threshold."""
    return threshold.pixel if threshold.pixel != threshold.image else None


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
