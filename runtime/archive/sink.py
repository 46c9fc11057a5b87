"""The sink that keeps an archive: it chooses at once, and writes in a separate thread."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.failures import storage_error, storage_errors
from dmdd_edge.locking import locked
from dmdd_edge.runtime.archive.choice import Chooser
from dmdd_edge.runtime.archive.counts import Counts
from dmdd_edge.runtime.archive.counts_file import CountsFile
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.names import new_id
from dmdd_edge.runtime.archive.room import SHARES, ArchiveRoom, room_of
from dmdd_edge.runtime.archive.tally import Key, Tally
from dmdd_edge.runtime.archive.waiting import Waiting, WaitingImages, bounded
from dmdd_edge.runtime.archive.writing import encoded, write_files
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.options.archive import ArchiveOptions
from dmdd_edge.runtime.options.sizes import size_text
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary
from dmdd_edge.storage import Fsync

#: What cannot be written now.
_Failing = Literal["", "images", "counts"]

_LOG = logging.getLogger(__name__)
#: Seconds between two lines of counts.
_COUNTS_EVERY = 60.0
#: Added to the niceness of the thread, which Linux keeps for each thread.
_NICE = 5
#: How long the end waits for images that are not written yet, in seconds.
_LEAVE_SECONDS = 30.0


class ArchiveSink:
    """Keeps images worth a look; see ``Chooser`` for which, ``ArchiveRoom`` for how long.

    The thread of the results only chooses; a thread of the archive encodes and writes. When that is too slow
    or the disk is full, a live run loses images, which is counted and reported. A run over files waits for
    the thread, and loses images only to the disk. An archive never ends a run.

    Args:
        options: of the archive; ``archive`` is its folder, which is made.
        fsync: when data is forced onto the disk.
        live: whether frames come by themselves.
        inspections: whether the source of a frame is the name of an inspection.
        stopping: whether the user wants the run to end.
        note: receives messages for a person, in whole sentences; from any thread.
        generator: draws the random sample.

    Attributes:
        path: the folder.
        kept: number of images kept, by reason.
        figures: for the summary and the page: its path, the numbers of images kept and lost up to now, and
            why it cannot be written now; empty when it can.

    Raises:
        DmddError: the folder holds something else, cannot be written, or another run writes to it.
    """

    def __init__(
        self,
        options: ArchiveOptions,
        *,
        fsync: Fsync = "second",
        live: bool = True,
        inspections: bool = False,
        stopping: Callable[[], bool] = lambda: False,
        note: Callable[[str], None] = _LOG.warning,
        generator: np.random.Generator | None = None,
    ) -> None:
        assert options.archive is not None
        self.path: Path = options.archive
        self.kept: dict[str, int] = {}
        self.figures: dict[str, Any] = {"path": str(self.path), "kept": self.kept, "lost": 0, "problem": ""}
        self._lost = 0
        self._options, self._fsync, self._note = options, fsync, note
        self._inspections, self._stopping = inspections, None if live else stopping
        self._chooser = Chooser(
            options.archive_sample, options.archive_margin, generator or np.random.default_rng()
        )
        self._tally, self._waiting = Tally(), WaitingImages()
        self._unwritten: list[Counts] = []
        self._failing: _Failing = ""
        self._slow = self._closed = False
        with ExitStack() as stack:
            archive = ArchiveFolder.make(self.path)
            stack.enter_context(locked(self.path, self._busy, path=archive.path / ".lock"))
            counts = archive.path / "counts.jsonl"
            with storage_errors(counts, "written"):
                self._counts = CountsFile(counts)
            self._lock = stack.pop_all()
        self._room = ArchiveRoom(archive.path, options.archive_size, self._tally.deleted)
        self._thread = threading.Thread(target=self._work, name="dmdd-archive", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Number of images that were to be kept and are not."""
        return self._lost

    def result(self, frame: Frame, result: Result) -> None:
        """Count a frame, and pass it on if it is to be kept."""
        inspection = frame.source if self._inspections else ""
        key = Key(
            result.category,
            result.version,
            inspection,
            result.threshold,
            self._chooser.sample,
            result.precision,
        )
        choice = self._chooser.choose(result)
        self._tally.judged(key, result, choice)
        if choice is None:
            return
        # A station leaves images out when its sinks are too slow.
        item = Waiting(_own(frame.image), frame.index, bounded(result), choice, key)
        if not frame.image.size or not self._waiting.put(item, self._stopping):
            self._lose(item)
            if not self._slow:
                self._slow = True
                self._note(f"Images come faster than the archive {self.path} can write them; some are lost.")

    def broken(self, frame: BrokenFrame) -> None:
        """No effect: there is no image."""

    def summary(self, summary: Summary) -> None:
        """Write what waits: nothing follows."""
        self._finish()

    def close(self) -> None:
        """Write what waits, and the counts."""
        self._finish()
        if not self._thread.is_alive():
            self._lock.close()

    def _finish(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._waiting.close()
        self._thread.join(_LEAVE_SECONDS)
        if self._thread.is_alive():
            for item in self._waiting.drop():
                self._lose(item)
            self._note(f"The archive {self.path} did not finish; its last images are lost.")
        if self._lost:
            self._note(f"{self.path}: {self._lost} images could not be kept.")

    def _busy(self, holder: str) -> DmddError:
        return OptionError(
            f"The archive {self.path} is in use by another run: {holder}.",
            "Name another folder for this run.",
        )

    def _lose(self, item: Waiting) -> None:
        self._lost += 1
        self.figures["lost"] = self._lost
        self._tally.lost(item.key, item.choice)

    def _work(self) -> None:
        with suppress(OSError):
            # An image takes tens of milliseconds to encode; where cores are short, verdicts go first.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        with suppress(OSError):  # then the first image shows what is wrong
            self._room.look()
        due = time.monotonic() + _COUNTS_EVERY
        ending = False
        while not self._waiting.closed:
            if self._closed and not ending:
                ending = True
                self._write_counts()  # before the images, which may take longer than the end waits
            item = self._waiting.take(max(due - time.monotonic(), 0.0))
            if item is not None:
                self._keep(item)
            if time.monotonic() >= due:
                self._write_counts()
                due = time.monotonic() + _COUNTS_EVERY
        self._write_counts()
        with suppress(OSError):
            self._counts.close(sync=self._fsync != "never")

    def _keep(self, item: Waiting) -> None:
        budget = item.choice.budget
        try:
            name = new_id(max(time.time_ns() // 1_000_000, self._room.newest + 1), budget)
            files = encoded(item, name, self._options.archive_format)
            size = sum(room_of(len(data)) for data in files.values())
            if self._room.make(size, budget):
                write_files(self.path, files, self._fsync == "always")
                self._room.took(name, size)
                self.kept[item.choice.reason] = self.kept.get(item.choice.reason, 0) + 1
                self._works()
                return
            limit = size_text(self._options.archive_size)
            problem = f"one of {size_text(size)} does not fit into 1/{SHARES} of --archive-size {limit}"
        except OSError as error:
            problem = storage_error(error).strerror or str(error)
        except DmddError as error:
            problem = error.message
        except Exception as error:
            _LOG.exception("An image cannot be kept.")
            problem = f"{type(error).__name__}: {error}"
        self._lose(item)
        self._fails("images", f"Images cannot be written to the archive {self.path}: {problem.rstrip('.')}.")

    def _fails(self, what: _Failing, problem: str) -> None:
        self.figures["problem"] = problem
        if not self._failing:
            self._note(problem)
        self._failing = what

    def _works(self) -> None:
        if self._failing:
            self._failing = self.figures["problem"] = ""
            self._note(f"Images are written to the archive {self.path} again; {self._lost} are lost.")

    def _write_counts(self) -> None:
        self._unwritten += self._tally.take()
        try:
            self._counts.add(self._unwritten)
            if self._unwritten and self._failing == "counts":  # no image may come for hours to show it
                self._works()
            self._unwritten.clear()
        except OSError as error:  # they are written with the next ones
            if self._failing != "images":
                reason = storage_error(error).strerror
                self._fails("counts", f"The archive {self.path} cannot be written: {reason}.")


def _own(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image, or a copy if it is a small part of a large one, which would stay in memory with it."""
    base = image.base
    whole = base.nbytes if isinstance(base, np.ndarray) else image.nbytes
    return image.copy() if whole > 2 * image.nbytes else image
