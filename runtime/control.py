"""A run as others see it while it goes on: its counts, its threshold, its bundle; safe from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.sources import Source, SourceState
from dmdd_edge.runtime.summary import Summary, Tally


class RunControl:
    """What a page, a signal or a watch on the disk talks to.

    Args:
        detector: what judges at the start.
        source: where frames come from.
        reload: loads the detector anew, for ``request_reload``; None when it cannot be.
        say: told of what happens, one line each.

    Attributes:
        tally: the counts.
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
        self._wanted = threading.Event()
        self._next: Detector | None = None
        self._closed = False
        self._threshold: float | None = None
        self._message = ""
        self.tally = Tally(detector.backend.name, live=source.live)

    @property
    def detector(self) -> Detector:
        """What judges now."""
        return self._detector

    @property
    def category(self) -> str:
        """The bundle's category."""
        return self._detector.bundle.category

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self._detector.bundle.version

    @property
    def backend(self) -> str:
        """What runs the graph, as ``--backend`` names it."""
        return self._detector.backend.name

    @property
    def threshold(self) -> float:
        """What scores are compared with, 0..1."""
        return self._detector.threshold.image

    def set_threshold(self, value: float) -> None:
        """Compare scores with another threshold for the rest of this run, also after a new bundle.

        Args:
            value: 0..1.

        Raises:
            DmddError: it is out of range.
        """
        with self._lock:
            before = self._detector.threshold.image
            self._detector.set_threshold(value)
            self._threshold = value
        self._tell(f"threshold {before:.4f} -> {value:.4f} for the rest of this run")

    def summary(self) -> Summary:
        """The counts up to now."""
        return self.tally.summary()

    def source_state(self) -> SourceState:
        """How the source stands."""
        return self._source.state()

    @property
    def message(self) -> str:
        """What happened last; empty when nothing has."""
        return self._message

    def request_reload(self) -> None:
        """Load the bundle anew and change to it between two frames; returns at once."""
        self._wanted.set()

    def reload_when_asked(self) -> None:
        """Load the bundle when that was asked for; a bundle that cannot run leaves the old one at work.

        Called again and again by one thread that may wait for it, while another judges frames.
        """
        if not self._wanted.is_set():
            return
        self._wanted.clear()
        if self._reload is None:
            self._tell("this run cannot change its bundle")
            return
        try:
            detector = self._reload()
        except DmddError as error:
            self._tell(
                f"the bundle was not changed, {self.version} goes on: {error.message} {error.fix}".rstrip()
            )
            return
        with self._lock:
            if self._closed:
                passed_by: Detector | None = detector  # the run ended while it was loaded
            else:
                passed_by, self._next = self._next, detector
        if passed_by is not None:
            passed_by.close()

    @property
    def new_detector_waits(self) -> bool:
        """Whether ``take_new`` will change the detector."""
        return self._next is not None

    def take_new(self) -> Detector:
        """Change to the detector that was loaded, if any; called between two frames, with none under way."""
        with self._lock:
            old, new = self._detector, self._next
            if new is None:
                return old
            if self._threshold is not None:
                new.set_threshold(self._threshold)
            self._detector, self._next = new, None
        old.close()
        self._tell(
            f"bundle {old.bundle.version} -> {new.bundle.version}, threshold {new.threshold.image:.4f}"
        )
        return new

    def close(self) -> None:
        """Close a detector that nobody took, also one that is still being loaded when it is there."""
        with self._lock:
            self._closed = True
            waiting, self._next = self._next, None
        if waiting is not None:
            waiting.close()

    def _tell(self, line: str) -> None:
        self._message = line
        self._say(line)
