"""The run loop: frames from a source through the detector to the sinks, all of them at work at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.detector import Detector, Started
from dmdd_edge.runtime.feed import Feed, Item, ReadAhead, prepare
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.sources import Source
from dmdd_edge.runtime.summary import Summary
from dmdd_edge.runtime.writer import Answered, Writer

#: How often the wish to stop or to change the bundle is looked at, in seconds.
_LOOK_EVERY = 0.05


def run_frames(
    detector: Detector,
    source: Source,
    sinks: Sequence[Sink],
    limit: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    control: RunControl | None = None,
) -> Summary:
    """Judge every frame of a source, in order, and hand each result to every sink.

    Reading, preparing, the graph and the sinks work at the same time, in threads with short queues between
    them. Of a live source a frame is taken only when the graph is free for it, so that it is the newest; of
    files a few are read ahead, and a back end with several slots works on several at once.

    A frame that cannot be read or prepared is handed to the sinks as broken and counted as skipped. The
    sinks are closed at the end, also when the run ends in an error.

    Args:
        detector: judges.
        source: delivers frames.
        sinks: take results, all in one thread; the summary goes to them last.
        limit: end after so many frames, broken ones included.
        stop: asked twenty times a second; true ends the run as if the source had ended there: what was taken
            is judged and written.
        control: what others see of the run, and through which they change its threshold or its bundle.

    Returns:
        the summary that the sinks got. The detector in use at the end, ``control.detector``, is left open.

    Raises:
        DmddError: the source or the back end failed, or a sink cannot write.
    """
    control = control or RunControl(detector, source)
    control.tally.begin()
    with ExitStack() as stack:
        writer = Writer(sinks, control.tally)
        stack.push(lambda kind, error, trace: _close(writer, kind))
        ended, stopped = threading.Event(), threading.Event()
        stack.callback(control.close)
        stack.callback(ended.set)
        watch = threading.Thread(
            target=_watch, args=(source, control, stop, ended, stopped), name="dmdd-watch", daemon=True
        )
        watch.start()
        source.bits = control.detector.bundle.manifest.preprocess.bits
        taken = Feed(source, lambda: control.detector, limit, stopped.is_set)
        feed = taken if source.live else ReadAhead(taken, room=detector.slots + 1)
        stack.callback(feed.close)
        stack.callback(source.stop)  # first of all, so that the feed need not wait for another frame
        start = time.perf_counter()
        waited = _Waited()
        _judge_all(feed, control, writer, waited)
        began = time.perf_counter()
        writer.drain()
        waited.write += time.perf_counter() - began
        state = source.state()
        control.tally.drop(max(state.dropped - control.tally.dropped, 0))
        seconds = max(time.perf_counter() - start, 1e-9)
        parts = {**feed.seconds, "infer": seconds - waited.feed - waited.write, "write": writer.seconds}
        busy = {name: round(min(max(value / seconds, 0.0), 1.0), 3) for name, value in parts.items()}
        slowest = waited.slowest(feed.seconds, seconds)
        summary = control.tally.summary(busy, slowest, state.passed_over, taken.ended_by)
        writer.finish(summary)
        return summary


class _Waited:
    """How long the graph's part of the loop waited for the others, in seconds."""

    def __init__(self) -> None:
        self.feed = self.write = 0.0

    def slowest(self, of_feed: dict[str, float], seconds: float) -> str:
        """The part that the others waited for."""
        if max(self.feed, self.write) < 0.5 * seconds:
            return "infer"
        return max(of_feed, key=lambda name: of_feed[name]) if self.feed >= self.write else "write"


def _judge_all(feed: Feed | ReadAhead, control: RunControl, writer: Writer, waited: _Waited) -> None:
    """Everything that the feed gives, through the back end, to the writer, in order."""
    # Frames that were taken and not yet handed on, with what the back end is doing for them.
    under_way: deque[tuple[Detector, Started | BrokenFrame]] = deque()

    def hand_on() -> None:
        detector, started = under_way.popleft()
        found = started if isinstance(started, BrokenFrame) else Answered(detector, detector.collect(started))
        start = time.perf_counter()
        writer.put(found)
        waited.write += time.perf_counter() - start

    while True:
        # A result must not wait for the next frame, which may be long in coming.
        while under_way and not feed.ready:
            hand_on()
        start = time.perf_counter()
        try:
            item = feed.next()
        except Exception:
            while under_way:  # the source failed; what it gave before has its results
                hand_on()
            raise
        waited.feed += time.perf_counter() - start
        if item is None:
            break
        if control.new_detector_waits:
            while under_way:
                hand_on()
            control.take_new()
        detector = control.detector
        under_way.append((detector, _start(detector, item)))
        while len(under_way) >= detector.slots:
            hand_on()
    while under_way:
        hand_on()


def _start(detector: Detector, item: Item) -> Started | BrokenFrame:
    if item.detector is not detector:
        # It was made ready for the bundle before, or did not fit that one.
        item = prepare(detector, item.frame)
    if isinstance(item.prepared, BrokenFrame):
        return item.prepared
    return detector.start([item.prepared])


def _watch(
    source: Source,
    control: RunControl,
    stop: Callable[[], bool],
    ended: threading.Event,
    stopped: threading.Event,
) -> None:
    """Ask for the wish to stop, and load a bundle that was asked for, until the run has ended."""
    while not ended.wait(_LOOK_EVERY):
        if stop():
            stopped.set()
            source.stop()
            return
        control.reload_when_asked()


def _close(writer: Writer, kind: type[BaseException] | None) -> None:
    """Close the sinks; at once, without waiting, when the user is in a hurry."""
    if kind is None or issubclass(kind, Exception):
        writer.close()
