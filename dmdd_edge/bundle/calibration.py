"""A threshold set on the line, from good parts, without training; stored beside the bundle, never in it."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.manifest import LARGEST
from dmdd_edge.bundle.threshold import Threshold, checked_threshold
from dmdd_edge.bundle.versions import calibration_name
from dmdd_edge.errors import BundleError, StorageError
from dmdd_edge.failures import storage_errors
from dmdd_edge.fields import LONGEST_TEXT, Count, LongText, Name, Text
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import visible
from dmdd_edge.outside_files import inside, read_bounded
from dmdd_edge.storage import fsync_path, write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate


class Calibration(BaseModel):
    """The result of ``dmdd-edge calibrate``, stored in ``models/<category>/calibration-<version>.json``.

    Attributes:
        category, version: the bundle that it belongs to.
        threshold: the threshold, with the scores that it was computed from.
        created: when, ISO 8601 in UTC.
        source: where the images came from.
        backend: the backend that scored them.
        unreliable: frames left out because they were not reliable.
        skipped: files left out because they could not be read.
    """

    model_config = ConfigDict(frozen=True)

    category: Name
    version: Name
    threshold: Threshold
    created: Text
    source: LongText
    backend: Text = ""
    unreliable: Count = 0
    skipped: Count = 0


@dataclass(frozen=True)
class EffectiveThreshold:
    """The thresholds of a run, and their origin.

    Attributes:
        image: threshold of the score, 0..1.
        pixel: threshold of the map, 0..1.
        origin: ``option`` (given for this run), ``calibration`` or ``manifest``.
    """

    image: float
    pixel: float
    origin: Literal["option", "calibration", "manifest"]


def calibration_path(bundle: Bundle) -> Path:
    """Path of this version's calibration, whether or not it exists.

    Raises:
        DmddError: it is a link that leaves the folder.
    """
    return inside(bundle.path.resolve().parent, calibration_name(bundle.version))


def read_calibration(bundle: Bundle) -> Calibration | None:
    """The calibration of this version, or None.

    Raises:
        DmddError: it exists, but cannot be read or belongs to another bundle.
    """
    path = calibration_path(bundle)
    remedy = "Calibrate again, or restore the exported threshold: " + command(
        "calibrate", model=bundle.path, reset=True
    )
    try:
        calibration = validate(Calibration, parse_object(read_bounded(path, LARGEST)))
    except FileNotFoundError:
        return None
    except (OSError, NotStrict) as error:
        # A silent fallback would apply a threshold that nobody chose.
        reason = getattr(error, "strerror", None) or error
        raise BundleError(f"The calibration {path} cannot be read: {reason}.", remedy) from error
    if (calibration.category, calibration.version) != (bundle.category, bundle.version):
        raise BundleError(
            f"The calibration {path} belongs to {calibration.category} {calibration.version}, "
            f"not to {bundle.category} {bundle.version}.",
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
) -> Calibration:
    """Store a new threshold beside the bundle; it applies from the next start of the runtime on.

    Raises:
        DmddError: the folder cannot be written.
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
    )
    path = calibration_path(bundle)
    write_atomically(path, calibration.model_dump_json(indent=2) + "\n")
    return calibration


def remove_calibration(bundle: Bundle) -> bool:
    """Restore the manifest's threshold; returns whether there was a calibration.

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


def effective_threshold(
    bundle: Bundle, image: float | None = None, pixel: float | None = None
) -> EffectiveThreshold:
    """The thresholds of a run: the given ones, else the calibration's, else the manifest's.

    The pixel threshold follows the image threshold unless calibration or export set it separately, or
    ``pixel`` is given.

    Args:
        image: ``--threshold``, 0..1.
        pixel: ``--pixel-threshold``, 0..1.

    Raises:
        DmddError: a threshold is outside 0..1, or the calibration cannot be read.
    """
    if pixel is not None:
        checked_threshold(pixel, "--pixel-threshold")
    exported = bundle.manifest.threshold
    if image is not None:  # the calibration is not used, so a broken one does not matter
        checked_threshold(image)
        return EffectiveThreshold(image, _first(pixel, _separate(exported), image), "option")
    calibration = read_calibration(bundle)
    if calibration is None:
        return EffectiveThreshold(exported.image, _first(pixel, exported.pixel), "manifest")
    calibrated = calibration.threshold
    pixel_level = _first(pixel, _separate(calibrated), _separate(exported), calibrated.image)
    return EffectiveThreshold(calibrated.image, pixel_level, "calibration")


def _separate(threshold: Threshold) -> float | None:
    """The pixel threshold when it was set separately from the image threshold."""
    return threshold.pixel if threshold.pixel != threshold.image else None


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
