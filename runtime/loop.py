"""The run loop: frames from a source through the detector to the sinks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector, Started
from dmdd_edge.runtime.frame import BrokenFrame, Frame
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

    A back end with several slots works on a frame while the next is read and prepared, and while the results
    of the one before are written.

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
    # Frames that were taken and not yet handed on, with what the back end is doing for them; in order.
    waiting: deque[tuple[Frame | BrokenFrame, Started | None]] = deque()

    def hand_on() -> None:
        frame, started = waiting.popleft()
        if isinstance(frame, BrokenFrame):
            tally.skipped += 1
            for sink in sinks:
                sink.broken(frame)
            return
        assert started is not None
        result = detector.finish(started)[0]
        tally.add(result)
        for sink in sinks:
            sink.result(frame, result)

    frames = iter(source)
    taken = 0
    try:
        while not stop() and (limit is None or taken < limit):
            frame = next(frames, None)
            if frame is None:
                break
            taken += 1
            waiting.append(_take(detector, frame))
            while len(waiting) >= detector.slots:
                hand_on()
        while waiting:
            hand_on()
        summary = tally.summary()
        for sink in sinks:
            sink.summary(summary)
        return summary
    finally:
        for sink in sinks:
            sink.close()


def _take(detector: Detector, frame: Frame | BrokenFrame) -> tuple[Frame | BrokenFrame, Started | None]:
    """Start a frame, unless it is broken or cannot be prepared."""
    if isinstance(frame, BrokenFrame):
        return frame, None
    try:
        prepared = detector.prepare(frame)
    except DmddError as error:
        # The frame's fault (its size, its type), so the next one may be fine.
        return BrokenFrame(frame.source, frame.index, error), None
    return frame, detector.start([prepared])
