"""``--watch``: images that other software drops into a folder, each once, when completely written."""

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
from dmdd_edge.runtime.sources.folder_scan import FolderScan, Stamp, stamp_of
from dmdd_edge.runtime.sources.names import UniqueNames

#: Seconds without a change after which a file that does not decode counts as broken.
PATIENCE = 10.0
#: Seconds between two attempts to decode such a file.
_RETRY = 1.0
#: Seconds after which a vanished file is lost, unless it was found under another name.
_RENAMING = 3.0


@dataclass
class _Waiting:
    """A file that is not read yet: its stamp, since when, when to try it, whether ``skip`` was called."""

    stamp: Stamp
    since: float
    due: float
    checked: bool = False


class WatchFolder(FileProgress):
    """Images as they are dropped into a folder and its subfolders.

    The folder is scanned several times per second, which works on a network share as well. A file is read
    when its size and time have not changed for ``settle`` seconds and it decodes; one that still does not
    decode after ``PATIENCE`` seconds without a change is a broken frame. A file may be written under a name
    without an image suffix, or with a leading dot, and then renamed: until then it is ignored. A file that is
    rewritten under its old name is a new image, whose frame's name gets a number; one that is moved into
    another subfolder under its name is not.

    Args:
        folder: the folder.
        settle: seconds, see above.
        existing: also read the images that exist at the start.
        every: read only every ``every``-th file, beginning with the first.
        written: folders whose images are skipped, since a run writes them.

    Raises:
        DmddError: the folder does not exist.
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
                f"--watch {folder}: the folder does not exist.", "Create it first, or check the path."
            )
        super().__init__(f"images dropped into {folder}")
        self.total: int | None = None
        self.root = folder
        self._settle, self._every = settle, every
        self._scan = FolderScan(folder, written)
        self._waiting: dict[Path, _Waiting] = {}
        # When files vanished: they are lost, unless they appear under another name.
        self._lost: dict[Stamp, float] = {}
        self._vanished = self._vanished_before = 0
        if not existing:
            for path, _ in self._scan.changes():
                self._scan.took(path)  # what exists now is old; what changes from now on is new
                self._passed_over["there before the start"] += 1

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        names, number, index = UniqueNames(), 0, 0
        while not self._stopped.is_set():
            start = time.monotonic()
            before = self._scan.problem
            due = self._due()
            if self._scan.problem != before:
                self.say(f"{self._scan.problem or f'{self.root} is available again'}.")
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
            # A scan of very many files takes long; limit scans to a fifth of the time.
            self._stopped.wait(max(self._settle / 3, 4 * took))

    def state(self) -> SourceState:
        """The current state; connected while the folder can be listed."""
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
            return []  # files of an unmounted share only seem to be gone
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
        """Whether an earlier run has a result of a file; checked once per file."""
        waiting = self._waiting[path]
        if waiting.checked:
            return False
        waiting.checked = True
        if not self.skip(str(path), index):
            return False
        self._take(path)
        return True

    def _read(self, path: Path, index: int) -> Frame | BrokenFrame | None:
        """Read a settled file; None if it is incomplete after all, or gone."""
        waiting = self._waiting[path]
        frame = read_frame(path, "", index, self.bits)
        stamp, now = stamp_of(path), time.monotonic()
        if stamp is None:
            self._let_go(path, lost=True)
            return None
        if not stamp.same_content(waiting.stamp):
            # It was written while being read, so the content may be mixed.
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
        """Restart the wait for a file that is still being written."""
        now = time.monotonic()
        self._scan.note(path, stamp)
        self._waiting[path] = _Waiting(stamp, now, now + self._settle)

    def _let_go(self, path: Path, lost: bool) -> None:
        """Forget a file that vanished unread; if it had settled, it was a complete image and is lost."""
        waiting = self._waiting.pop(path)
        self._scan.forget(path)
        if lost:
            self._lost[waiting.stamp] = time.monotonic()
