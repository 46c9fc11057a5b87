"""The run loop: parts from a feed through the graphs to the sinks, all of them working at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.feed import Feed, PartFeed, ReadAhead
from dmdd_edge.runtime.part import PreparedPart, StartedPart, batches
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.sources import Source
from dmdd_edge.runtime.summary import RunStatistics, Summary, busiest
from dmdd_edge.runtime.writer import Writer

#: How often requests to stop or to change the bundle are polled, in seconds.
_POLL_SECONDS = 0.05
#: How long the end of a run waits for that poll, in seconds; only one that loads a bundle takes longer.
_LEAVE_SECONDS = 1.0


class LoopControl(Protocol):
    """What the loop needs from whoever controls a run; ``RunControl`` is the one of a plain run."""

    @property
    def statistics(self) -> RunStatistics:
        """The statistics of the run, which the loop counts in: one by one the frames of every part."""
        ...

    @property
    def new_detector_waits(self) -> bool:
        """Whether ``take_new`` will change the detectors."""
        ...

    def take_new(self) -> object:
        """Change the detectors; called between two parts, with none in flight."""
        ...

    def bind(self, part: PreparedPart) -> PreparedPart:
        """The part as it goes to the graphs: prepared again where another detector must decide it."""
        ...

    def reload_if_requested(self) -> None:
        """Do what was requested from outside the run; polled by a separate thread, and may take long."""
        ...

    def close(self) -> None:
        """Release what was not taken; called once, at the end."""
        ...


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
    source.bits = control.detector.bundle.manifest.preprocess.bits
    direct = Feed(source, lambda: control.detector, limit)
    feed = direct if source.live else ReadAhead(direct, room=detector.read_ahead)
    return run_parts(feed, sinks, control, stop)


def run_parts(
    feed: PartFeed,
    sinks: Sequence[Sink],
    control: LoopControl,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Run every part of a feed through the graphs, in order, and pass each result to every sink.

    The frames of a part of one detector go through its graph as one batch, several detectors one
    after another. A broken frame stays broken at its place. Sinks that are a ``PartSink`` receive the part as
    a whole too, if it has a ticket.

    Args:
        feed: delivers the parts; it is stopped and closed at the end.
        sinks: as for ``run_frames``.
        control: counts the frames, and may change the detectors.
        stop: as for ``run_frames``; true stops the feed.

    Returns:
        The summary that the sinks received.

    Raises:
        DmddError: the feed or a backend failed, or a sink cannot write. Also whatever ``stop`` raises.
    """
    control.statistics.restart_clock()
    with ExitStack() as stack:
        writer = Writer(sinks, control.statistics, failed=feed.stop)
        stack.push(lambda kind, error, trace: _close(writer, kind))
        stack.callback(control.close)
        watch = _Watch(feed, control, stop)
        watch.start()
        stack.callback(watch.end)
        stack.callback(feed.close)
        stack.callback(feed.stop)  # first of all, so that the feed need not wait for another frame
        start = time.perf_counter()
        waited = _Waited()
        _infer_all(feed, control, writer, waited)
        watch.check()
        drain_start = time.perf_counter()
        writer.drain()
        waited.write += time.perf_counter() - drain_start
        state = feed.state()
        control.statistics.drop(max(state.dropped - control.statistics.dropped, 0))
        seconds = max(time.perf_counter() - start, 1e-9)
        steps = {**feed.seconds, "infer": seconds - waited.feed - waited.write, "write": writer.seconds}
        busy = {name: round(min(max(value / seconds, 0.0), 1.0), 3) for name, value in steps.items()}
        slowest = busiest(busy, state.live)
        summary = control.statistics.summary(busy, slowest, state.passed_over, feed.ended_by)
        summary = replace(summary, gaps=state.gaps)
        writer.finish(summary)
        return summary


class _Waited:
    """How long inference waited for the other parts, in seconds."""

    def __init__(self) -> None:
        self.feed = self.write = 0.0


def _infer_all(feed: PartFeed, control: LoopControl, writer: Writer, waited: _Waited) -> None:
    """Pass everything from the feed through the backends to the writer, in order."""
    # Parts that were taken and not yet passed on, with what a backend is doing for them.
    in_flight: deque[StartedPart] = deque()

    def pass_on(down_to: int = 0) -> None:
        while len(in_flight) > down_to:
            ready = in_flight.popleft().collect()
            start = time.perf_counter()
            writer.put(ready)
            waited.write += time.perf_counter() - start

    while True:
        # A result must not wait for the next part, which may take long to come.
        while in_flight and not feed.ready:
            pass_on(len(in_flight) - 1)
        start = time.perf_counter()
        try:
            part = feed.next()
        except Exception:
            pass_on()  # the source failed; earlier parts still get their results
            raise
        waited.feed += time.perf_counter() - start
        if part is None:
            break
        if control.new_detector_waits:
            pass_on()
            control.take_new()
        part = control.bind(part)
        planned = batches(part)
        if len(planned) > 1:
            pass_on()
        in_flight.append(StartedPart(part, planned))
        slots = [started.slots for started in in_flight if started.slots is not None]
        pass_on(min(slots, default=1) - 1)
    pass_on()


class _Watch:
    """A thread that polls for a stop, and loads a requested bundle, until ``end``.

    An error in it ends the run as a stop does, for the caller of the run to see.
    """

    def __init__(self, feed: PartFeed, control: LoopControl, stop: Callable[[], bool]) -> None:
        self._feed, self._control, self._stop = feed, control, stop
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="dmdd-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """End the thread; one that loads a bundle ends later, and ``control.close`` closes what it loads."""
        self._ended.set()
        self._thread.join(_LEAVE_SECONDS)

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
        self._feed.stop()


def _close(writer: Writer, kind: type[BaseException] | None) -> None:
    """Close the sinks; after Ctrl-C without the results that wait, since the user is in a hurry."""
    if kind is None or issubclass(kind, Exception):
        writer.close()
    else:
        writer.abandon()
