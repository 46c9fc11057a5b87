"""The run loop: frames from a source through the detector to the sinks, all of them working at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.detector import Detector, Prepared, Started
from dmdd_edge.runtime.feed import Feed, ReadAhead, prepare
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.sources import Source
from dmdd_edge.runtime.summary import Summary, busiest
from dmdd_edge.runtime.writer import Writer

#: How often requests to stop or to change the bundle are polled, in seconds.
_POLL_SECONDS = 0.05


def run_frames(
    detector: Detector,
    source: Source,
    sinks: Sequence[Sink],
    limit: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    control: RunControl | None = None,
) -> Summary:
    """Run every frame of a source through the detector, in order, and pass each result to every sink.

    Reading, preparation, inference and the sinks work at the same time, in threads with short queues between
    them. Of a live source a frame is taken only when the graph is free for it, so that it is the newest; of
    files a few are read ahead, and a backend with several slots works on several at once.

    A frame that cannot be read or prepared is passed to the sinks as broken and counted as skipped. The
    sinks are closed at the end, also when the run ends with an error.

    Args:
        detector: decides the frames.
        source: delivers frames.
        sinks: receive results, all in one thread; the summary comes last.
        limit: number of frames after which the run ends, broken ones included.
        stop: polled twenty times per second; true ends the run as if the source had ended there: frames
            that were taken are finished and written.
        control: shows the run to others, and lets them change its threshold or its bundle.

    Returns:
        The summary that the sinks received. The detector in use at the end, ``control.detector``, stays open.

    Raises:
        DmddError: the source or the backend failed, or a sink cannot write. Also whatever ``stop`` raises.
    """
    control = control or RunControl(detector, source)
    control.statistics.restart_clock()
    with ExitStack() as stack:
        writer = Writer(sinks, control.statistics)
        stack.push(lambda kind, error, trace: _close(writer, kind))
        ended, stopped = threading.Event(), threading.Event()
        stack.callback(control.close)
        stack.callback(ended.set)
        watch = _Watch(source, control, stop, ended, stopped)
        watch.start()
        source.bits = control.detector.bundle.manifest.preprocess.bits
        direct = Feed(source, lambda: control.detector, limit, stopped.is_set)
        feed = direct if source.live else ReadAhead(direct, room=detector.slots + 1)
        stack.callback(feed.close)
        stack.callback(source.stop)  # first of all, so that the feed need not wait for another frame
        start = time.perf_counter()
        waited = _Waited()
        _infer_all(feed, control, writer, waited)
        watch.check()
        drain_start = time.perf_counter()
        writer.drain()
        waited.write += time.perf_counter() - drain_start
        state = source.state()
        control.statistics.drop(max(state.dropped - control.statistics.dropped, 0))
        seconds = max(time.perf_counter() - start, 1e-9)
        parts = {**feed.seconds, "infer": seconds - waited.feed - waited.write, "write": writer.seconds}
        busy = {name: round(min(max(value / seconds, 0.0), 1.0), 3) for name, value in parts.items()}
        slowest = busiest(busy, source.live)
        summary = control.statistics.summary(busy, slowest, state.passed_over, direct.ended_by)
        writer.finish(summary)
        return summary


class _Waited:
    """How long inference waited for the other parts, in seconds."""

    def __init__(self) -> None:
        self.feed = self.write = 0.0


def _infer_all(feed: Feed | ReadAhead, control: RunControl, writer: Writer, waited: _Waited) -> None:
    """Pass everything from the feed through the backend to the writer, in order."""
    # Frames that were taken and not yet passed on, with what the backend is doing for them.
    in_flight: deque[Started | BrokenFrame] = deque()

    def pass_on() -> None:
        item = in_flight.popleft()
        ready = item if isinstance(item, BrokenFrame) else item.prepared[0].detector.collect(item)
        start = time.perf_counter()
        writer.put(ready)
        waited.write += time.perf_counter() - start

    while True:
        # A result must not wait for the next frame, which may take long to come.
        while in_flight and not feed.ready:
            pass_on()
        start = time.perf_counter()
        try:
            item = feed.next()
        except Exception:
            while in_flight:  # the source failed; earlier frames still get their results
                pass_on()
            raise
        waited.feed += time.perf_counter() - start
        if item is None:
            break
        if control.new_detector_waits:
            while in_flight:
                pass_on()
            control.take_new()
        detector = control.detector
        in_flight.append(_start(detector, item))
        while len(in_flight) >= detector.slots:
            pass_on()
    while in_flight:
        pass_on()


def _start(detector: Detector, item: Prepared | BrokenFrame) -> Started | BrokenFrame:
    if isinstance(item, BrokenFrame):
        if item.frame is not None:  # it may have been rejected by the bundle before
            item = prepare(detector, item.frame)
    elif item.detector is not detector:
        item = prepare(detector, item.frame)
    # The sinks need a broken frame's name alone; its image would stay in memory with it.
    return replace(item, frame=None) if isinstance(item, BrokenFrame) else detector.start([item])


class _Watch:
    """A thread that polls for a stop, and loads a requested bundle, until the run has ended.

    An error in it ends the run as a stop does, for the caller of the run to see.
    """

    def __init__(
        self,
        source: Source,
        control: RunControl,
        stop: Callable[[], bool],
        ended: threading.Event,
        stopped: threading.Event,
    ) -> None:
        self._source, self._control, self._stop = source, control, stop
        self._ended, self._stopped = ended, stopped
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="dmdd-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def check(self) -> None:
        """Raise the error that ended the thread, if any."""
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while not self._ended.wait(_POLL_SECONDS):
                if self._stop():
                    break
                self._control.reload_if_requested()
            else:
                return
        except BaseException as error:
            self._error = error
        self._stopped.set()
        self._source.stop()


def _close(writer: Writer, kind: type[BaseException] | None) -> None:
    """Close the sinks; after Ctrl-C without the results that wait, since the user is in a hurry."""
    if kind is None or issubclass(kind, Exception):
        writer.close()
    else:
        writer.abandon()
