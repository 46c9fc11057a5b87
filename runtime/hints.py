"""Hint at why most of the first frames are anomalous: given once, with likely cause, numbers and fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import read_calibration
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.bundle.threshold import percent
from dmdd_edge.bundle.versions import read_current
from dmdd_edge.data.causes import Cause, find_causes
from dmdd_edge.data.geometry import Geometry
from dmdd_edge.data.look import ImageLook, look_at
from dmdd_edge.messages.commands import bundle_options, command
from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.regions import lacks_room
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary

#: Number of frames that are examined, or all of a shorter run; and the fewest for a hint.
FRAMES, FEWEST = 20, 5
#: A smaller share of a frame that is not inspected is rounding.
_WORTH_A_WORD = 0.001


@dataclass(frozen=True)
class Hint:
    """A likely cause of what a run shows; an element of the summary's ``hints``.

    Attributes:
        cause: name of a ``Cause``; ``threshold`` if the frames look like the training images; ``unknown`` if
            the bundle does not say how those look; ``min_area`` if no region can be as large as required.
        message: the observation, with numbers.
        fix: what to do, in the imperative.
        frames: number of examined frames.
        anomalous: number of those that are anomalous or unreliable.
    """

    cause: str
    message: str
    fix: str
    frames: int
    anomalous: int


class FirstFrames:
    """A sink that examines the first frames of a run, and costs no time after them.

    Args:
        control: the run; receives the hint for its summary.
        expected: number of frames to come, if known; the hint then waits for fewer.
        say: receives the hint, one line each.
    """

    def __init__(self, control: RunControl, expected: int | None, say: Callable[[str], None]) -> None:
        self._control, self._say = control, say
        self._left = FRAMES if expected is None else min(FRAMES, expected)
        self._seen: list[ImageLook] = []
        self._not_good = 0
        self._no_room = ""
        self._cropped = False

    def result(self, frame: Frame, result: Result) -> None:
        """Examine a frame; after the last of the first ones, give the hint."""
        if self._left <= 0:
            return
        self._seen.append(look_at(frame.image, self._control.detector.bundle.manifest.preprocess))
        self._not_good += result.status != "good"
        if result.geometry is not None:
            self._warn_of_crop(frame, result.geometry)
            self._no_room = lacks_room(self._control.detector.threshold.gate, result.geometry)
        self._passed()

    def _warn_of_crop(self, frame: Frame, geometry: Geometry) -> None:
        """Name what of the first frame that is cropped is not inspected, once."""
        if self._cropped or geometry.cropped < _WORTH_A_WORD:
            return
        self._cropped = True
        height, width = frame.image.shape[:2]
        self._say(
            f"warning: {geometry.cropped:.1%} of the area of a frame of {width} x {height} pixels is not "
            "inspected: the category was trained with --fit crop."
        )

    def broken(self, frame: BrokenFrame) -> None:
        """Count a frame that has no image."""
        if self._left > 0:
            self._passed()

    def summary(self, summary: Summary) -> None:
        """No effect: the hint is in it."""

    def close(self) -> None:
        """No effect."""

    def _passed(self) -> None:
        self._left -= 1
        if self._left:
            return
        count, seen = len(self._seen), self._seen
        self._seen = []
        if self._no_room:
            message = f"No frame can be judged: {self._no_room}."
            self._give(Hint("min_area", message, "Give the area of the smallest defect.", count, count))
            return
        if count < FEWEST or 2 * self._not_good <= count:
            return
        detector = self._control.detector
        self._give(hint_for(detector.bundle, detector.threshold, seen, self._not_good))

    def _give(self, hint: Hint) -> None:
        self._control.statistics.hint(asdict(hint))
        self._say(f"hint: {hint.message}")
        self._say(f"fix:  {hint.fix}")


def hint_for(bundle: Bundle, threshold: EffectiveThreshold, seen: list[ImageLook], not_good: int) -> Hint:
    """Find the likely cause of many frames that are not good.

    Args:
        bundle: the bundle in use.
        threshold: in use.
        seen: looks of the frames.
        not_good: number of them that are suspect, anomalous or unreliable.
    """
    manifest = bundle.manifest
    kinds = "anomalous or unreliable" if threshold.suspect is None else "suspect, anomalous or unreliable"
    head = f"{not_good} of the first {len(seen)} frames are {kinds}"
    calibrate = command(
        "calibrate", **options_of(bundle), precision=bundle.precision or None, source="GOOD_PARTS"
    )
    causes = [] if manifest.look is None else find_causes(manifest.look, seen, manifest.preprocess)
    if causes:
        message = f"{head}, and the frames are {_joined(causes)}."
        fix = f"{causes[0].fix} If the parts are good and the frames cannot be changed: {calibrate}"
        return Hint(causes[0].name, message, fix, len(seen), not_good)
    if threshold.origin == "option":
        message = f"{head}. The threshold {threshold.image:.4f} was set for this run"
        fix = f"Omit --threshold to use the exported {manifest.threshold.image:.4f} or the calibrated one."
        return Hint("threshold", f"{message}.", fix, len(seen), not_good)
    calibration = read_calibration(bundle) if threshold.origin == "calibration" else None
    known = manifest.threshold if calibration is None else calibration.threshold
    few = (
        f"If the parts are good, the threshold may come from too few good images: {known.normals}, "
        f"and a false-alarm rate of {percent(known.alpha)} needs {known.needed}"
    )
    enough = f"If the parts are good, they differ from the {known.normals} good images of the threshold"
    fix = f"Calibrate with good parts: {calibrate}"
    if manifest.look is None:
        message = f"{head}. {enough if known.holds else few}. This bundle does not say what they looked like"
        return Hint("unknown", f"{message}.", fix, len(seen), not_good)
    message = (
        f"{head}, and the frames look like the training images in compression, light, color, sharpness and "
        f"size. {enough if known.holds else few}."
    )
    return Hint("threshold", message, fix, len(seen), not_good)


def options_of(bundle: Bundle) -> dict[str, object]:
    """The options that name a bundle: its category, if it is the version in use."""
    category = bundle.path.parent
    in_use = category.name == bundle.category and read_current(category) == bundle.path.name
    return bundle_options(bundle.category, None if in_use else bundle.path, category.parent)


def _joined(causes: list[Cause]) -> str:
    first, *others = (cause.text for cause in causes)
    return f"{first}; also {'; '.join(others)}" if others else first
