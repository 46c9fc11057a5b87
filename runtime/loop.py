"""The run loop: frames from a source through the detector to the sinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.sources import Source
from dmdd_edge.runtime.summary import Summary, Tally


def run_frames(
    detector: Detector,
    source: Source,
    sinks: Sequence[Sink],
    limit: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Judge every frame of a source, in order, and hand each result to every sink.

    A frame that cannot be read or prepared is handed to the sinks as broken and counted as skipped. The
    sinks are closed at the end, also when the run ends in an error.

    Args:
        detector: judges.
        source: delivers frames.
        sinks: take results; the summary goes to them last.
        limit: end after so many frames, broken ones included.
        stop: asked before each frame; true ends the run as if the source had ended there.

    Raises:
        DmddError: the back end failed, or a sink cannot write.
    """
    tally = Tally(detector.backend.name)
    frames = iter(source)
    try:
        while not stop() and (limit is None or tally.frames + tally.skipped < limit):
            frame = next(frames, None)
            if frame is None:
                break
            prepared = None
            if not isinstance(frame, BrokenFrame):
                try:
                    prepared = detector.prepare(frame)
                except DmddError as error:
                    # The frame's fault (its size, its type), so the next one may be fine.
                    frame = BrokenFrame(frame.source, frame.index, error)
            if isinstance(frame, BrokenFrame):
                tally.skipped += 1
                for sink in sinks:
                    sink.broken(frame)
                continue
            assert prepared is not None
            result = detector.judge([prepared])[0]
            tally.add(result)
            for sink in sinks:
                sink.result(frame, result)
        summary = tally.summary()
        for sink in sinks:
            sink.summary(summary)
        return summary
    finally:
        for sink in sinks:
            sink.close()
