"""What the runtime says about a frame, and how that is written as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.preprocess import Preprocess

Status = Literal["good", "anomalous", "unreliable"]


@dataclass(frozen=True)
class Region:
    """A connected part of the map above the pixel threshold, in pixels of the source image.

    Attributes:
        x, y, width, height: its bounding box.
        area: how many source pixels it covers; scaled from the map, so rounded.
        peak: the largest value of the map in it, 0..1.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float


@dataclass(frozen=True)
class Timings:
    """Where a frame's time went, in milliseconds.

    Attributes:
        capture: reading and decoding the frame.
        prepare: checks, region of interest, resize, frame statistics.
        infer: the graph. Of a batch, each frame carries an equal share.
        finish: threshold, regions, the result itself.
    """

    capture: float = 0.0
    prepare: float = 0.0
    infer: float = 0.0
    finish: float = 0.0

    @property
    def total(self) -> float:
        """All four together, in milliseconds."""
        return self.capture + self.prepare + self.infer + self.finish


@dataclass(frozen=True)
class Result:
    """What was found in one frame. It owns its memory: later frames do not change it.

    Attributes:
        source: what the frame was read from; empty for a frame from memory.
        index: its number within the run, from 0.
        status: ``good``, ``anomalous``, or ``unreliable`` when the frame cannot be judged.
        time: when it was grabbed, in seconds since 1970 (UTC).
        score: how anomalous the whole frame is, 0..1; not-a-number when the graph gave none.
        normalized_score: the score with the threshold moved to 0.5, 0..1.
        threshold: what the score was compared with, 0..1.
        is_anomalous: whether ``score > threshold``; says nothing about an ``unreliable`` frame.
        anomaly_map: float32 S x S, 0..1, of the cropped, rotated and resized frame; 0 where ignored.
        regions: parts of the map above the pixel threshold, the highest peak first.
        timings: where the time went.
        dropped: frames that a live source dropped just before this one.
        reason: why the frame is unreliable; empty otherwise.
        pixel_threshold: what the map was compared with, 0..1.
        preprocess: how the map was taken from the frame; lays it back there.
    """

    source: str
    index: int
    status: Status
    time: float
    score: float
    normalized_score: float
    threshold: float
    is_anomalous: bool
    anomaly_map: NDArray[np.float32] = field(repr=False, compare=False)
    regions: tuple[Region, ...] = ()
    timings: Timings = Timings()
    dropped: int = 0
    reason: str = ""
    pixel_threshold: float = 0.5
    preprocess: Preprocess = field(default=Preprocess(), repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The result as the fields of one JSON line; the map is left out, a missing number is null."""
        line: dict[str, Any] = {
            "type": "result",
            "source": self.source,
            "index": self.index,
            "status": self.status,
            "time": utc_time(self.time),
            "score": _number(self.score),
            "normalized_score": _number(self.normalized_score),
            "threshold": self.threshold,
            "is_anomalous": self.is_anomalous,
            "regions": [asdict(region) for region in self.regions],
            "timings_ms": {name: round(value, 3) for name, value in asdict(self.timings).items()},
            "dropped": self.dropped,
        }
        if self.reason:
            line["reason"] = self.reason
        return line


def utc_time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the millisecond: ``2026-11-24T08:15:00.250Z``."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
