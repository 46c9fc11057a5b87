"""The drift watch of one inspection. Memory and time per frame do not grow."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from typing import Any, cast

from dmdd_edge.runtime.drift.alarms import ENTRY, AlarmRate
from dmdd_edge.runtime.drift.calibrated import COMPARED, AgainstCalibration
from dmdd_edge.runtime.drift.cusum import limit_for
from dmdd_edge.runtime.drift.observation import (
    PICTURE,
    Cause,
    Drift,
    Measure,
    Notice,
    Observation,
    Place,
    Promise,
)
from dmdd_edge.runtime.drift.stream import LEARNED, Stream
from dmdd_edge.runtime.drift.stride import stride_of

#: Frames of a batch, at a stride of 1.
BATCH = 20
#: Frames from which the stride is found: all of the batches that are only learned.
FIRST = BATCH * LEARNED
#: Mean number of frames between two false warnings of an inspection.
RUN_LENGTH = 1_000_000
#: False warnings are shared out equally: five measures in two directions, the alarms, the calibration.
_SHARES = 12
#: Changes with every change of what is kept.
_FORM = 1
_STATE = (
    *("frames", "stride", "enough", "_first", "_streams", "_alarms", "_calibrated"),
    *("_judged", "_passed"),
)


class DriftWatch:
    """Says when light, sharpness, position, scores or alarms are not as they were, and since when.

    Args:
        promise: of the threshold; None if it promises nothing.
        run_length: mean number of frames between two false warnings while nothing changes.

    Attributes:
        frames: number of frames taken.
        stride: distance of frames that tell something new; 0 before it is known.
        enough: whether frames at that distance are really independent. If not, false warnings may be more
            frequent than stated.
    """

    def __init__(self, promise: Promise | None = None, run_length: int = RUN_LENGTH) -> None:
        self._promise, self._run_length = promise, run_length
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self.frames = self.stride = 0
        self.enough = True
        self._first: list[Observation] = []
        self._streams: dict[Measure, Stream] = {}
        self._begin_alarms(1)

    def _begin_alarms(self, stride: int) -> None:
        """Thinned by the stride: every frame that is judged, and every part that passes."""
        each = stride / (_SHARES * self._run_length)
        scores = () if self._promise is None else self._promise.scores
        self._alarms = AlarmRate(self._promise, ENTRY * each)
        self._calibrated = AgainstCalibration(scores, COMPARED * each)
        self._judged = self._passed = 0

    def add(self, seen: Observation) -> list[Notice]:
        """Take the next frame; the warnings that begin or end with it."""
        with self._lock:
            self.frames += 1
            if self.stride:
                return self._take(seen)
            self._first.append(seen)
            return self._settle() if len(self._first) >= FIRST else []

    def finish(self) -> list[Notice]:
        """There will be no more frames: a watch that has seen fewer than it learns from does what it can."""
        with self._lock:
            return [] if self.stride else self._settle()

    def restart_scores(self, promise: Promise | None) -> None:
        """Another threshold: scores and alarms are learned again; the images are what they were."""
        with self._lock:
            self._promise = promise
            self._begin_alarms(max(self.stride, 1))
            if self.stride:
                self._streams["score"] = self._stream("score")
            self._first = [each._replace(status="unreliable") for each in self._first]

    @property
    def learning(self) -> bool:
        """Whether nothing but what is usual has been learned yet."""
        return not self.stride or self._streams["score"].reference.count < LEARNED

    def drifts(self) -> list[Drift]:
        """The warnings that last, those of the image first."""
        with self._lock:
            return self._drifts()

    def cause(self) -> Cause | None:
        """What probably changed; None without a warning."""
        with self._lock:
            drifts = self._drifts()
            if not drifts:
                return None
            measured = any(self._streams[each].reference.count for each in PICTURE if each in self._streams)
            moving = [measure for measure in PICTURE if self._streams[measure].moves] if measured else []
            return cause_of(drifts, moving, measured)

    def state(self) -> dict[str, Any]:
        """Where the watch stands, as fields for JSON; without its warnings."""
        with self._lock:
            return {
                "frames": self.frames,
                "stride": self.stride,
                "independent": self.enough,
                "learning": self.learning,
                "alarm_rate": round(self._alarms.rate, 5) if self._alarms.begun else None,
                "promised_rate": self._alarms.promised,
                "sums": {name: [round(s, 3) for s in each.sums] for name, each in self._streams.items()},
                "levels": {
                    name: [round(each.reference.middle, 6), round(each.now, 6)]
                    for name, each in self._streams.items()
                    if each.reference.count
                },
            }

    def _drifts(self) -> list[Drift]:
        found = [drift for stream in self._streams.values() for drift in stream.drifts]
        return found + self._calibrated.drifts + self._alarms.drifts

    def _stream(self, measure: Measure) -> Stream:
        batches = _SHARES * self._run_length / (BATCH * self.stride)
        return Stream(measure, BATCH * self.stride, limit_for(max(batches, 50.0)))

    def _settle(self) -> list[Notice]:
        """Find the stride, and take the first frames."""
        first, self._first = self._first, []
        scores = [seen.score for seen in first if passes(seen)]
        looks = zip(*(seen.look for seen in first if seen.look is not None), strict=True)
        self.stride, self.enough = stride_of([scores, *(list(values) for values in looks)])
        self._streams = {measure: self._stream(measure) for measure in (*PICTURE, "score")}
        self._begin_alarms(self.stride)
        return [notice for seen in first for notice in self._take(seen)]

    def _take(self, seen: Observation) -> list[Notice]:
        notices: list[Notice] = []
        if seen.look is not None:
            for measure, value in zip(PICTURE, seen.look, strict=True):
                notices += self._streams[measure].add(value, seen.place)
        if seen.status == "unreliable":
            return notices
        self._judged += 1
        if self._judged % self.stride == 0:
            notices += self._alarms.add(seen.status == "anomalous", seen.place)
        if passes(seen):
            notices += self._streams["score"].add(seen.score, seen.place)
            self._passed += 1
            if self._passed % self.stride == 0:
                notices += self._calibrated.add(seen.score, seen.place)
        return notices

    def to_json(self) -> dict[str, Any]:
        """What a later run needs to continue; a few 10 kB."""
        with self._lock:
            return {
                "form": _FORM,
                "run_length": self._run_length,
                "frames": self.frames,
                "stride": self.stride,
                "enough": self.enough,
                "first": [[*seen.place, seen.status, seen.score, seen.look] for seen in self._first],
                "thinned": [self._judged, self._passed],
                "streams": {name: stream.to_json() for name, stream in self._streams.items()},
                "alarms": self._alarms.to_json(),
                "calibrated": self._calibrated.to_json(),
            }

    def restore(self, kept: Any) -> bool:
        """Continue from ``to_json``; False, and nothing is changed, where it does not fit or is damaged."""
        fresh = DriftWatch(self._promise, self._run_length)
        try:
            if kept["form"] != _FORM or kept["run_length"] != self._run_length:
                return False
            fresh._read(kept)
        except (KeyError, TypeError, ValueError, IndexError):
            return False
        with self._lock:
            for name in _STATE:
                setattr(self, name, getattr(fresh, name))
        return True

    def _read(self, kept: dict[str, Any]) -> None:
        self.frames, self.stride = int(kept["frames"]), int(kept["stride"])
        self.enough = bool(kept["enough"])
        for index, moment, status, score, look in kept["first"]:
            seen = None if look is None else tuple(float(value) for value in look)
            if seen is not None and len(seen) != len(PICTURE):
                raise ValueError("a look has another number of measures")
            place = Place(int(index), float(moment))
            self._first.append(Observation(place, str(status), float(score), cast(Any, seen)))
        self._begin_alarms(max(self.stride, 1))
        self._judged, self._passed = (int(value) for value in kept["thinned"])
        if self.stride:
            self._streams = {measure: self._stream(measure) for measure in (*PICTURE, "score")}
            for name, stream in self._streams.items():
                stream.restore(kept["streams"][name])
        self._alarms.restore(kept["alarms"])
        self._calibrated.restore(kept["calibrated"])


def cause_of(drifts: Iterable[Drift], moving: Iterable[Measure], measured: bool) -> Cause:
    """What probably changed.

    Args:
        drifts: the warnings.
        moving: measures of the image that have a warning or half of one.
        measured: whether the images were measured at all.
    """
    listed = list(drifts)
    if {drift.measure for drift in listed} == {"calibration"} and not list(moving):
        return "calibration"
    if not measured:
        return "unknown"
    moves = {*moving, *(drift.measure for drift in listed)}
    if "light" in moves:
        return "light"
    if "x" in moves or "y" in moves:
        return "position"
    # A lens becomes softer, never sharper: edges that are sharper than before are those of other parts.
    softer = any(drift.measure == "sharpness" and not drift.rises for drift in listed)
    sharper = any(drift.measure == "sharpness" and drift.rises for drift in listed)
    return "focus" if softer or ("sharpness" in moves and not sharper) else "part"


def passes(seen: Observation) -> bool:
    """Whether a frame is of a part that passes and has a score: the watch learns scores from these."""
    return seen.status == "good" and math.isfinite(seen.score)
