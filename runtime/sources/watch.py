"""``--watch``: images that other software drops into a folder, each once, when it is completely written."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.data.images import natural_key
from dmdd_edge.errors import SourceError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import FileProgress, SourceState
from dmdd_edge.runtime.sources.files import read_frame
from dmdd_edge.runtime.sources.names import UniqueNames
from dmdd_edge.runtime.sources.scan import FolderScan, Stamp, stamp_of

#: Seconds that a file which does not decode may stay unchanged until it is taken for broken.
PATIENCE = 10.0
#: Seconds between two attempts to decode such a file.
_RETRY = 1.0
#: Seconds after which a file that vanished is lost, when it was not found under another name.
_RENAMING = 3.0


@dataclass
class _Waiting:
    """A file that is not read yet: its content, since when it has that, when to try it, whether it was asked
    for in an earlier run's results.
    """

    stamp: Stamp
    since: float
    due: float
    asked: bool = False


class WatchFolder(FileProgress):
    """Images as they are dropped into a folder and its subfolders.

    The folder is looked through several times a second, which works on a network share as well. A file is
    read when its size and time have not changed for ``settle`` seconds and it decodes; one that still does
    not decode after ``PATIENCE`` seconds without a change is a broken frame. A file that is renamed into
    place counts like any other: without an image's suffix, or with a leading dot, it is not looked at. One
    that is written anew under its old name is a new image, and its frame's name gets a number; one that is
    moved into another subfolder under its name is not.

    Args:
        folder: the folder.
        settle: seconds, see above.
        existing: take the images that are there at the start, too.
        every: only each ``every``-th file is read, the first one included.
        written: images under these folders are passed over, since a run writes them.

    Raises:
        DmddError: there is no such folder.
    """

    def __init__(
        self,
        folder: Path,
        settle: float = 0.3,
        existing: bool = False,
        every: int = 1,
        written: Collection[Path] = (),
    ) -> None:
        if not folder.is_dir():
            raise SourceError(
                f"--watch {folder}: there is no such folder.", "Make it first, or check the path."
            )
        super().__init__(f"images dropped into {folder}")
        self.total: int | None = None
        self.root = folder
        self._settle, self._every = settle, every
        self._scan = FolderScan(folder, written)
        self._waiting: dict[Path, _Waiting] = {}
        # Those that vanished, and when: lost, unless they turn up under another name.
        self._lost: dict[Stamp, float] = {}
        self._vanished = self._vanished_before = 0
        if not existing:
            for path, _ in self._scan.changes():
                self._scan.took(path)  # what is there now is old; what changes from now on is new
                self._passed_over["there before the start"] += 1

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        names, number, index = UniqueNames(), 0, 0
        while not self._stopped.is_set():
            start = time.monotonic()
            before = self._scan.problem
            due = self._due()
            if self._scan.problem != before:
                self.say(self._scan.problem or f"{self.root} can be listed again")
            took = time.monotonic() - start
            for path in due:
                if self._stopped.is_set():
                    return
                if number % self._every:
                    self._take(path)
                    number += 1
                    continue
                if not self._is_done(path, index):
                    frame = self._read(path, index)
                    if frame is None:
                        continue
                    if isinstance(frame, Frame):
                        name = names.take(path.relative_to(self.root).as_posix(), index)
                        dropped, self._vanished_before = self._vanished_before, 0
                        frame = dataclasses.replace(frame, name=name, dropped=dropped)
                    self._note(frame)
                    yield frame
                number += 1
                index += 1
            # Of very many files a look takes long; it shall not take more than a fifth of the time.
            self._stopped.wait(max(self._settle / 3, 4 * took))

    def state(self) -> SourceState:
        """How it stands; connected while the folder can be listed."""
        problem = self._scan.problem
        return dataclasses.replace(
            super().state(),
            connected=not problem,
            message=problem,
            dropped=self._vanished,
            passed_over=dict(self._passed_over + self._scan.passed_over),
            waiting=len(self._waiting) + len(self._lost),
        )

    def _due(self) -> list[Path]:
        """The files that have settled, the oldest first."""
        now = time.monotonic()
        for path, stamp in self._scan.changes():
            self._lost.pop(stamp, None)  # it was renamed, not lost
            self._waiting[path] = _Waiting(stamp, now, now + self._settle)
        if self._scan.problem:
            return []  # the files of a share that is away only seem to be gone
        for path, waiting in list(self._waiting.items()):
            present = stamp_of(path)
            if present is None:
                self._let_go(path, lost=now >= waiting.due)
            elif self._scan.was_moved(path, waiting.stamp):
                self._take(path)
            elif not present.same_content(waiting.stamp):
                self._wait_again(path, present)
        for gone in [gone for gone, since in self._lost.items() if now - since > _RENAMING]:
            del self._lost[gone]
            self._vanished += 1
            self._vanished_before += 1
        due = [path for path, waiting in self._waiting.items() if now >= waiting.due]
        return sorted(due, key=lambda path: (self._waiting[path].stamp.time, natural_key(path)))

    def _is_done(self, path: Path, index: int) -> bool:
        """Whether a file was judged in an earlier run; asked once for each."""
        waiting = self._waiting[path]
        if waiting.asked:
            return False
        waiting.asked = True
        if not self.skip(str(path), index):
            return False
        self._take(path)
        return True

    def _read(self, path: Path, index: int) -> Frame | BrokenFrame | None:
        """Read a file that has settled; None when it is not complete after all, or gone."""
        waiting = self._waiting[path]
        frame = read_frame(path, "", index, self.bits)
        stamp, now = stamp_of(path), time.monotonic()
        if stamp is None:
            self._let_go(path, lost=True)
            return None
        if not stamp.same_content(waiting.stamp):
            # It was written to while it was read, so what was read may be half of each.
            self._wait_again(path, stamp)
            return None
        if isinstance(frame, BrokenFrame) and now - waiting.since < PATIENCE:
            waiting.due = now + _RETRY
            return None
        self._take(path)
        return frame

    def _take(self, path: Path) -> None:
        del self._waiting[path]
        self._scan.took(path)

    def _wait_again(self, path: Path, stamp: Stamp) -> None:
        """Start anew with a file that is still being written."""
        now = time.monotonic()
        self._scan.note(path, stamp)
        self._waiting[path] = _Waiting(stamp, now, now + self._settle)

    def _let_go(self, path: Path, lost: bool) -> None:
        """Forget a file that vanished unread; one that had settled was a whole image, and that is a loss."""
        waiting = self._waiting.pop(path)
        self._scan.forget(path)
        if lost:
            self._lost[waiting.stamp] = time.monotonic()
