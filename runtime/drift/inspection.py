"""The drift watch of one inspection in a run or a station: it follows the bundle and its threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import read_calibration
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.drift.observation import Drift, Notice, Observation, Place, Promise
from dmdd_edge.runtime.drift.watch import DriftWatch
from dmdd_edge.runtime.drift.words import ended, fix, sentence
from dmdd_edge.runtime.result import Result


class WatchedInspection:
    """Passes results to a watch, and begins another when the bundle or its calibration is another.

    A threshold that is only set for the run, on the page or by ``--threshold``, begins the scores again and
    leaves the images as they are.

    Args:
        name: of the inspection; empty in a run, which has only one.
        camera: its camera; may be empty.
        detector: returns the detector in use.
        run_length: mean number of frames between two false warnings.
        calibrate: the command that sets the threshold again, for a message.
    """

    def __init__(
        self,
        name: str,
        camera: str,
        detector: Callable[[], Detector | None],
        run_length: int,
        calibrate: str = "",
    ) -> None:
        self.name, self._camera, self._detector, self._calibrate = name, camera, detector, calibrate
        self._run_length = run_length
        self._key: tuple[str, float] = ("", -1.0)
        self._origin = ""
        self._promise: Promise | None = None
        self._watch = DriftWatch(None, run_length)
        self._kept: dict[str, Any] | None = None
        self._learning = True

    def take(self, result: Result, index: int | None = None) -> list[dict[str, Any]]:
        """Take a result.

        Args:
            result: of this inspection.
            index: its number; None takes the result's.

        Returns:
            the lines of what it tells, see ``line``; mostly none.
        """
        if (result.version, result.threshold) != self._key:
            self._follow(result)
        seen = Observation.of(result, index)
        notices = self._watch.add(seen)
        lines = [self._line(notice) for notice in notices]
        if self._learning and not self._watch.learning:
            self._learning = False
            lines.append(self._baseline(seen.place))
        return lines

    def drifts(self) -> list[Drift]:
        """The warnings that last."""
        return self._watch.drifts()

    def report(self) -> dict[str, Any]:
        """Where the watch stands, as fields for JSON: its warnings with their sentences, and its state."""
        cause = self._watch.cause()
        warnings = [self._warning(drift) for drift in self._watch.drifts()]
        return {"warnings": warnings, "cause": cause, **self._watch.state()}

    def _warning(self, drift: Drift) -> dict[str, Any]:
        return {
            "measure": drift.measure,
            "direction": "up" if drift.rises else "down",
            "since": drift.since.to_json(),
            "warned": drift.warned.to_json(),
            "before": round(drift.before, 6),
            "now": round(drift.now, 6),
            "message": sentence(drift),
        }

    def _line(self, notice: Notice) -> dict[str, Any]:
        cause = self._watch.cause() if notice.begins else None
        said = {"fix": fix(cause, self._calibrate)} if cause is not None else {}
        fields = self._warning(notice.drift)
        if not notice.begins:
            fields["message"] = ended(notice.drift)
        return {
            **self._head("warning" if notice.begins else "ended", notice.place),
            **fields,
            "cause": cause,
            **said,
        }

    def _head(self, event: str, place: Place) -> dict[str, Any]:
        named = {"inspection": self.name, "camera": self._camera} if self.name else {}
        return {"type": "drift", "event": event, **named, **place.to_json()}

    def _baseline(self, place: Place) -> dict[str, Any]:
        """What the line has learned; from it, results are examined later without the bundle."""
        version, threshold = self._key
        state = self._watch.state()
        return {
            **self._head("baseline", place),
            "version": version,
            "threshold": threshold,
            "promise": None if self._promise is None else self._promise.to_json(),
            "frames": state["frames"],
            "stride": state["stride"],
            "independent": state["independent"],
            "levels": {name: before for name, (before, _) in state["levels"].items()},
        }

    def _follow(self, result: Result) -> None:
        """Another bundle or threshold."""
        detector, (version, threshold) = self._detector(), self._key
        origin = self._origin
        self._key = (result.version, result.threshold)
        self._origin = "" if detector is None else detector.threshold.origin
        self._promise = None if detector is None else promise_of(detector, result.threshold)
        if threshold < 0:  # the first result
            self._watch = DriftWatch(self._promise, self._run_length)
            if self._kept is not None:
                self._continue(self._kept)
        elif version == result.version and "option" in (origin, self._origin):
            self._watch.restart_scores(self._promise)
        else:
            self._watch = DriftWatch(self._promise, self._run_length)
            self._learning = True

    def to_json(self) -> dict[str, Any]:
        """What a later run needs; until the first result, what an earlier one left."""
        if self._kept is not None:
            return self._kept
        version, threshold = self._key
        return {"version": version, "threshold": threshold, "watch": self._watch.to_json()}

    def restore(self, kept: dict[str, Any]) -> None:
        """Continue from ``to_json`` when the first result shows that bundle and threshold are the same."""
        self._kept = kept

    def _continue(self, kept: dict[str, Any]) -> None:
        version, threshold = self._key
        self._kept = None
        if kept.get("version") != version:
            return
        same = kept.get("threshold") == threshold
        if not same and self._origin != "option":
            return
        watch = DriftWatch(self._promise, self._run_length)
        if watch.restore(kept["watch"]):
            if not same:
                watch.restart_scores(self._promise)
            self._watch, self._learning = watch, watch.learning


def promise_of(detector: Detector, threshold: float) -> Promise | None:
    """What the threshold of a detector promises; None for one that was given by hand."""
    if detector.threshold.origin == "option":
        return None
    return promise_of_bundle(detector.bundle, threshold)


def promise_of_bundle(bundle: Bundle, threshold: float) -> Promise | None:
    """What a bundle's threshold promises, be it the calibration's or the manifest's."""
    try:
        calibration = read_calibration(bundle)
    except DmddError:  # the detector is in use all the same: it was loaded before the file was damaged
        return None
    known = bundle.manifest.threshold if calibration is None else calibration.threshold
    return Promise.of(known, threshold)
