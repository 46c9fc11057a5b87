"""Results on their way out: decided and handed to the sinks in a thread of its own, in order."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dmdd_edge.runtime.detector import Detector, Inferred
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.sinks.line_file import LineFile
from dmdd_edge.runtime.summary import Summary, Tally

#: After how many seconds without a frame the sinks may try again to write what waits.
_IDLE = 1.0


@dataclass(frozen=True)
class Answered:
    """What the graph said of one frame, and the detector that knows what it means."""

    detector: Detector
    inferred: Inferred


class Writer:
    """Decides on frames and hands results to every sink; all calls of the sinks come from its thread.

    Args:
        sinks: take results.
        tally: counts them.
        room: how many frames may wait; whoever brings more waits.
    """

    def __init__(self, sinks: Sequence[Sink], tally: Tally, room: int = 4) -> None:
        self._sinks, self._tally = sinks, tally
        self._waiting: queue.Queue[Answered | BrokenFrame | Summary | None] = queue.Queue(room)
        self._error: BaseException | None = None
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._work, name="dmdd-write", daemon=True)
        self._thread.start()

    def put(self, item: Answered | BrokenFrame) -> None:
        """Hand a frame on; waits while too many wait.

        Raises:
            DmddError: a sink could not write.
        """
        self._raise()
        self._waiting.put(item)

    def finish(self, summary: Summary) -> None:
        """Hand the summary to the sinks, after everything else.

        Raises:
            DmddError: a sink could not write.
        """
        self._waiting.put(summary)
        self._waiting.join()
        self._raise()

    def drain(self) -> None:
        """Wait until everything that was handed on is written.

        Raises:
            DmddError: a sink could not write.
        """
        self._waiting.join()
        self._raise()

    def close(self) -> None:
        """Write what waits, then close the sinks.

        Raises:
            DmddError: a sink could not write, and nobody has been told yet.
        """
        self._waiting.put(None)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _next(self, failed: bool) -> Answered | BrokenFrame | Summary | None:
        """What comes next; while nothing comes, sinks that keep what a disk did not take may try again."""
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
                if not failed:  # the others' results would leave a gap where the failed one is missing
                    self._write(item)
            except BaseException as error:  # it belongs to the run
                failed, self._error = True, error
            finally:
                self.seconds += time.perf_counter() - start
                self._waiting.task_done()
        for sink in self._sinks:
            try:
                sink.close()
            except BaseException as error:
                self._error = self._error or error
        self._waiting.task_done()

    def _write(self, item: Answered | BrokenFrame | Summary) -> None:
        if isinstance(item, Summary):
            for sink in self._sinks:
                sink.summary(item)
        elif isinstance(item, BrokenFrame):
            self._tally.skip()
            for sink in self._sinks:
                sink.broken(item)
        else:
            for prepared, result in zip(
                item.inferred.prepared, item.detector.decide(item.inferred), strict=True
            ):
                self._tally.add(result)
                for sink in self._sinks:
                    sink.result(prepared.frame, result)
