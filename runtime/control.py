"""Control of a run from other threads: its statistics, its threshold, its bundle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.challenge.start import remark
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.feed import prepare
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.latencies import Histogram
from dmdd_edge.runtime.part import PreparedPart
from dmdd_edge.runtime.sources import Source, SourceState
from dmdd_edge.runtime.steps import Prepared
from dmdd_edge.runtime.summary import RunStatistics, Summary


@dataclass(frozen=True)
class RunState:
    """State of a run at one moment.

    Attributes:
        summary: the statistics up to now.
        latencies: of all frames since the start.
        source: state of the source.
        category, version: of the bundle in use.
        threshold: of the score, 0..1, in use.
        message: the last event; empty if there was none.
        suspect_threshold: lower threshold of the score, 0..1; None without a band.
    """

    summary: Summary
    latencies: Histogram
    source: SourceState
    category: str
    version: str
    threshold: float
    message: str
    suspect_threshold: float | None = None


class RunControl:
    """Control of a run for a page, a signal or a watch on the disk; safe from any thread.

    Args:
        detector: the detector at the start.
        source: delivers the frames.
        reload: loads the detector again, for ``request_reload``; None if that is not possible.
        say: receives each event, one line each.

    Attributes:
        statistics: the statistics of the run.
    """

    def __init__(
        self,
        detector: Detector,
        source: Source,
        reload: Callable[[], Detector] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._detector, self._source, self._reload, self._say = detector, source, reload, say
        self._lock = threading.Lock()
        self._reload_requested = threading.Event()
        self._next: Detector | None = None
        self._closed = False
        self._threshold: float | None = None
        self._message = ""
        self.statistics = RunStatistics(detector.backend.name, live=source.live)

    @property
    def detector(self) -> Detector:
        """The detector in use."""
        return self._detector

    @property
    def category(self) -> str:
        """Category of the bundle."""
        return self._detector.bundle.category

    @property
    def version(self) -> str:
        """Version of the bundle."""
        return self._detector.bundle.version

    def state(self) -> RunState:
        """The state of the run now."""
        detector = self._detector
        return RunState(
            summary=self.statistics.summary(),
            latencies=self.statistics.histogram(),
            source=self._source.state(),
            category=detector.bundle.category,
            version=detector.bundle.version,
            threshold=detector.threshold.image,
            message=self._message,
            suspect_threshold=detector.threshold.suspect,
        )

    def set_threshold(self, value: float) -> float:
        """Use another threshold of the score for the rest of this run, also after a new bundle.

        Args:
            value: 0..1.

        Returns:
            The threshold before.

        Raises:
            DmddError: the value is out of range.
        """
        with self._lock:
            before = self._detector.threshold.image
            self._detector.set_threshold(value)
            self._threshold = value
        self._report(f"threshold {before:.4f} -> {value:.4f} for the rest of this run", value)
        return before

    def request_reload(self) -> None:
        """Load the bundle again and switch to it between two frames; returns at once."""
        self._reload_requested.set()

    def reload_if_requested(self) -> None:
        """Load the bundle if that was requested; if the new one cannot run, the old one stays in use.

        Polled by one thread, which may block while loading; another one runs the frames meanwhile.
        """
        if not self._reload_requested.is_set():
            return
        self._reload_requested.clear()
        if self._reload is None:
            self._report("This run cannot change its bundle.")
            return
        try:
            detector = self._reload()
        except DmddError as error:
            self._report(
                f"Bundle reload failed, keeping {self.version}: {error.message} {error.fix}".rstrip()
            )
            return
        with self._lock:
            if self._closed:
                superseded: Detector | None = detector  # the run ended while it was loaded
            else:
                superseded, self._next = self._next, detector
        if superseded is not None:
            superseded.close()

    @property
    def new_detector_waits(self) -> bool:
        """Whether ``take_new`` will change the detector."""
        return self._next is not None

    def take_new(self) -> Detector:
        """Switch to the detector that was loaded, if any; called between two frames, with none in flight."""
        with self._lock:
            old, new = self._detector, self._next
            if new is None:
                return old
            if self._threshold is not None:
                new.set_threshold(self._threshold)
            self._detector, self._next = new, None
        old.close()
        self._report(
            f"bundle {old.bundle.version} -> {new.bundle.version}, threshold {new.threshold.image:.4f}",
            new.threshold.image,
        )
        return new

    def bind(self, part: PreparedPart) -> PreparedPart:
        """The part for the detector in use; frames that another one prepared are prepared again."""
        detector = self._detector
        if all(isinstance(item, Prepared) and item.detector is detector for item in part.items):
            return part
        return PreparedPart(tuple(_by(detector, item) for item in part.items), part.ticket)

    def close(self) -> None:
        """Close a detector that was not taken, also one that is still being loaded once it is ready."""
        with self._lock:
            self._closed = True
            waiting, self._next = self._next, None
        if waiting is not None:
            waiting.close()

    def _report(self, line: str, threshold: float | None = None) -> None:
        """Report an event; of a new threshold or version also what the challenge set says about it."""
        about, detector = "", self._detector
        if threshold is not None:
            about = detector.threshold.finds_nothing or remark(detector.bundle, threshold)
        self._message = f"{line}. {about}" if about else line
        self._say(self._message)


def _by(detector: Detector, item: Prepared | BrokenFrame) -> Prepared | BrokenFrame:
    if isinstance(item, BrokenFrame):
        # One with a frame was rejected by the bundle in use then.
        return item if item.frame is None else prepare(detector, item.frame)
    return item if item.detector is detector else prepare(detector, item.frame)
