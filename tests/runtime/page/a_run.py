"""A run without a detector: a control that the tests set, and results made by hand."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dmdd_edge import DmddError
from dmdd_edge.runtime.control import RunState
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Region, Result, Timings
from dmdd_edge.runtime.sources import SourceState
from dmdd_edge.runtime.summary import RunStatistics

#: 2026-11-24T08:00:00Z
MOMENT = 1795507200.0


@dataclass
class FakeSource:
    """What a source says of itself."""

    name: str = "rtsp://camera/line"
    live: bool = True
    connected: bool = True
    width: int | None = 96
    height: int | None = 64
    fps: float | None = 30.0
    frames: int = 0
    dropped: int = 0
    reconnects: int = 2
    frame_age: float | None = 0.1
    message: str = ""
    triggered: bool = False


@dataclass
class FakeControl:
    """The run as the page sees it."""

    category: str = "plate"
    version: str = "20261124-080000"
    threshold: float = 0.5
    suspect_threshold: float | None = None
    message: str = ""
    source: FakeSource = field(default_factory=FakeSource)
    statistics: RunStatistics = field(default_factory=lambda: RunStatistics("cpu", live=True))
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def set_threshold(self, value: float) -> float:
        if not 0 <= value <= 1:
            raise DmddError(f"a threshold of {value:g} is out of range.", "Choose 0 to 1.")
        before, self.threshold = self.threshold, value
        return before

    def state(self) -> RunState:
        self.asked += 1
        with self.lock:
            summary, latencies = self.statistics.summary(), self.statistics.histogram()
        source = SourceState(**vars(self.source))
        of = (self.category, self.version, self.threshold, self.message, self.suspect_threshold)
        return RunState(summary, latencies, source, *of)


def result_of(
    index: int, score: float = 0.25, status: str | None = None, latency: float = 10.0, **fields: Any
) -> tuple[Frame, Result]:
    """A frame of 96 x 64 pixels and its result; a bright square of the map where it is anomalous."""
    image = np.full((64, 96, 3), 90, np.uint8)
    anomaly_map = np.zeros((32, 32), np.float32)
    regions: tuple[Region, ...] = ()
    anomalous = score > 0.5
    if anomalous:
        anomaly_map[8:16, 8:16] = score
        regions = (Region(24, 16, 24, 16, 384, score),)
    result = Result(
        source=f"line/{index}.png",
        index=index,
        status=status or ("anomalous" if anomalous else "good"),  # type: ignore[arg-type]
        time=MOMENT + index,
        score=score,
        normalized_score=score,
        threshold=0.5,
        is_anomalous=anomalous,
        anomaly_map=anomaly_map,
        regions=regions,
        timings=Timings(latency / 2, 0.0, latency / 2, 0.0),
        **fields,
    )
    return Frame(image, f"line/{index}.png", f"{index}.png", index), result


def feed(control: FakeControl, page: Any, *results: tuple[Frame, Result]) -> None:
    """Count results and give them to the page, as the run does."""
    for frame, result in results:
        with control.lock:
            control.statistics.add(result)
        control.source.frames += 1
        page.result(frame, result)


BROKEN = BrokenFrame("line/x.png", 5, DmddError("line/x.png: the file is empty", "remove it"))
