"""Writer thread: decides each frame and passes its result to every sink, in order, then the part."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence

from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.part import InferredPart
from dmdd_edge.runtime.sinks import Outcome, PartSink, Sink
from dmdd_edge.runtime.sinks.line_file import LineFile
from dmdd_edge.runtime.steps import Inferred
from dmdd_edge.runtime.summary import RunStatistics, Summary

#: Seconds without a frame after which the sinks may try again to write waiting lines.
_IDLE = 1.0
#: How long ``abandon`` waits for the sinks, in seconds.
_LEAVE_SECONDS = 2.0


class Writer:
    """Decides parts and passes results to every sink; all calls of the sinks come from its thread.

    Args:
        sinks: receive results.
        statistics: counts them.
        room: number of parts that may wait; ``put`` blocks while there are more.
        failed: called from its thread when a sink cannot write, since nobody may be about to call ``put``.

    Attributes:
        seconds: time spent on deciding and writing.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        statistics: RunStatistics,
        room: int = 4,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._sinks, self._statistics, self._failed = sinks, statistics, failed
        self._part_sinks = [sink for sink in sinks if isinstance(sink, PartSink)]
        self._waiting: queue.Queue[InferredPart | Summary | None] = queue.Queue(room)
        self._error: BaseException | None = None
        self._abandoned = False
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._work, name="dmdd-write", daemon=True)
        self._thread.start()

    def put(self, part: InferredPart) -> None:
        """Pass a part on; blocks while too many wait.

        Raises:
            DmddError: a sink could not write.
        """
        self._raise()
        self._waiting.put(part)

    def finish(self, summary: Summary) -> None:
        """Pass the summary to the sinks, after everything else.

        Raises:
            DmddError: a sink could not write.
        """
        self._waiting.put(summary)
        self.drain()

    def drain(self) -> None:
        """Wait until everything that was passed on is written.

        Raises:
            DmddError: a sink could not write.
        """
        self._waiting.join()
        self._raise()

    def close(self) -> None:
        """Write what waits, then close the sinks.

        Raises:
            DmddError: a sink could not write, and that has not been raised yet.
        """
        self._waiting.put(None)
        self._thread.join()
        self._raise()

    def abandon(self) -> None:
        """Close the sinks without the results that wait, so that files and their locks are free again.

        Returns at the latest after two seconds; a sink that takes longer is closed behind the caller's back.
        """
        self._abandoned = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
                self._waiting.task_done()
        self._waiting.put(None)
        self._thread.join(_LEAVE_SECONDS)

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _next(self, failed: bool) -> InferredPart | Summary | None:
        """Wait for the next item; meanwhile, sinks with waiting lines may try again to write them."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._waiting.get(timeout=_IDLE)
            if not failed:
                for sink in self._sinks:
                    if isinstance(sink, LineFile):
                        sink.retry()

    def _work(self) -> None:
        failed = False
        while (item := self._next(failed)) is not None:
            start = time.perf_counter()
            try:
                # Further results would leave a gap where the failed one is missing.
                if not failed and not self._abandoned:
                    self._write(item)
            except BaseException as error:  # raised again in the run's thread
                failed, self._error = True, error
                self._failed()
            finally:
                self.seconds += time.perf_counter() - start
                self._waiting.task_done()
        for sink in self._sinks:
            try:
                sink.close()
            except BaseException as error:
                self._error = self._error or error
        self._waiting.task_done()

    def _write(self, item: InferredPart | Summary) -> None:
        if isinstance(item, Summary):
            for sink in self._sinks:
                sink.summary(item)
            return
        outcomes = [self._frame(frame) for frame in item.items]
        if item.ticket is not None:
            for part_sink in self._part_sinks:
                part_sink.part(item.ticket, outcomes)

    def _frame(self, item: Inferred | BrokenFrame) -> Outcome:
        if isinstance(item, BrokenFrame):
            self._statistics.skip()
            for sink in self._sinks:
                sink.broken(item)
            return item
        (prepared,) = item.prepared
        (result,) = prepared.detector.decide(item)
        self._statistics.add(result)
        for sink in self._sinks:
            sink.result(prepared.frame, result)
        return prepared.frame, result
