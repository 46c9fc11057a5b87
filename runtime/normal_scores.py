"""Score good parts on the line, for a new threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmdd_edge.bundle.gate import Gate, reach
from dmdd_edge.bundle.threshold import map_peak
from dmdd_edge.data.look import ImageLook, look_at
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sources import Source
from dmdd_edge.runtime.summary import Summary

#: Number of images whose look is recorded.
_LOOKS = 50


@dataclass(frozen=True)
class NormalScores:
    """Scores of good parts.

    Attributes:
        scores: of the reliable frames, in order, each 0..1.
        peaks: of their maps, see ``threshold.map_peak``.
        sources: their names.
        looks: looks of the first of them.
        unreliable: frames omitted because they are unreliable.
        skipped: frames omitted because they cannot be read.
        first_reason: why the first of those was omitted; may be empty.
        reaches: of their maps, see ``gate.reach``.
    """

    scores: tuple[float, ...]
    peaks: tuple[float, ...]
    unreliable: int
    skipped: int
    first_reason: str = ""
    sources: tuple[str, ...] = ()
    looks: tuple[ImageLook, ...] = ()
    reaches: tuple[float, ...] = ()


class _Scores:
    """A sink that collects the scores."""

    def __init__(self, preprocess: Preprocess, on_frame: Callable[[], None], gate: Gate) -> None:
        self.scores: list[float] = []
        self.reaches: list[float] = []
        self._gate = gate
        self.peaks: list[float] = []
        self.sources: list[str] = []
        self.looks: list[ImageLook] = []
        self._preprocess = preprocess
        self.first_reason = ""
        self._on_frame = on_frame

    def result(self, frame: Frame, result: Result) -> None:
        if result.status == "unreliable":
            self.first_reason = self.first_reason or f"{frame.source}: {result.reason}"
        else:
            self.scores.append(result.score)
            self.peaks.append(map_peak(result.anomaly_map))
            geometry = result.geometry or self._preprocess.geometry(
                frame.image.shape, len(result.anomaly_map)
            )
            self.reaches.append(reach(result.anomaly_map, geometry.source_pixels, self._gate))
            self.sources.append(frame.source)
            if len(self.looks) < _LOOKS:
                self.looks.append(look_at(frame.image, self._preprocess))
        self._on_frame()

    def broken(self, frame: BrokenFrame) -> None:
        self.first_reason = self.first_reason or frame.error.message
        self._on_frame()

    def summary(self, summary: Summary) -> None:
        """No effect: the caller gets it."""

    def close(self) -> None:
        """No effect."""


def score_normals(
    detector: Detector,
    source: Source,
    limit: int | None = None,
    on_frame: Callable[[], None] = lambda: None,
    gate: Gate = Gate(),
) -> NormalScores:
    """Score every frame of a source of good parts; unreliable and unreadable ones are omitted and counted.

    Args:
        detector: scores the frames; its threshold has no effect.
        source: images of good parts.
        limit: number of frames after which it ends.
        on_frame: called after each frame, for a progress bar; from another thread.
        gate: what a region needs, for ``NormalScores.reaches``.

    Raises:
        DmddError: the backend failed.
    """
    sink = _Scores(detector.bundle.manifest.preprocess, on_frame, gate)
    summary = run_frames(detector, source, [sink], limit)
    return NormalScores(
        tuple(sink.scores),
        tuple(sink.peaks),
        summary.unreliable,
        summary.skipped,
        sink.first_reason,
        tuple(sink.sources),
        tuple(sink.looks),
        tuple(sink.reaches),
    )
