"""``-``: image files whose paths arrive on standard input, one per line."""

from __future__ import annotations

import itertools
import os
import select
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from dmdd_edge.errors import SourceError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import FileProgress
from dmdd_edge.runtime.sources.files import is_under, read_frame
from dmdd_edge.runtime.sources.names import UniqueNames

_CHUNK = 1 << 16


class PathList(FileProgress):
    """Reads paths from a pipe, and each image as soon as its path arrives.

    A repeated path is read again, under a name with a number. Blank lines are skipped.

    Args:
        descriptor: of the pipe or file of paths.
        every: read only every ``every``-th file, beginning with the first.
        written: folders whose images are skipped, since a run writes them.

    Raises:
        DmddError: the descriptor is a terminal.
    """

    def __init__(self, descriptor: int, every: int = 1, written: Collection[Path] = ()) -> None:
        if os.isatty(descriptor):
            raise SourceError(
                "--source - reads paths from standard input, which is a terminal.",
                "Pipe them in: `find DIR -name '*.png' | dmdd-edge run --source -`.",
            )
        super().__init__("standard input")
        self.total: int | None = None
        self.root = Path.cwd()
        self._descriptor, self._every, self._written = descriptor, every, written
        # stop() writes to it, which ends waiting for the pipe at once.
        self._woken, self._wake = os.pipe()

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        names = UniqueNames()
        paths = (path for path in self._paths() if self._is_wanted(path))
        for index, path in enumerate(itertools.islice(paths, 0, None, self._every)):
            name = names.take(self._name_of(path), index)
            if self.skip(str(path), index):
                continue
            frame = read_frame(path, name, index, self.bits)
            self._note(frame)
            yield frame

    def stop(self) -> None:
        """End the iteration, also while it waits for a path."""
        super().stop()
        with suppress(OSError):
            os.write(self._wake, b"x")

    def __del__(self) -> None:
        for descriptor in (self.__dict__.get("_woken"), self.__dict__.get("_wake")):
            if descriptor is not None:
                os.close(descriptor)

    def _is_wanted(self, path: Path) -> bool:
        if self._written and is_under(path, self._written):
            self._passed_over["written by a run"] += 1
            return False
        return True

    def _name_of(self, path: Path) -> str:
        """A relative path: from the current folder for a file in it, else from /."""
        whole = Path(os.path.abspath(path))  # noqa: PTH100  (resolve would follow links)
        base = self.root if whole.is_relative_to(self.root) else Path(whole.anchor)
        return whole.relative_to(base).as_posix()

    def _paths(self) -> Iterator[Path]:
        rest = b""
        while chunk := self._read():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if self._stopped.is_set():
                    return
                if line.strip():
                    yield Path(os.fsdecode(line.removesuffix(b"\r")))
        if rest.strip() and not self._stopped.is_set():
            yield Path(os.fsdecode(rest.removesuffix(b"\r")))

    def _read(self) -> bytes:
        """The pipe's content, as soon as there is any; empty at its end and when stopped."""
        ready = select.poll()
        ready.register(self._descriptor, select.POLLIN)
        ready.register(self._woken, select.POLLIN)
        while not self._stopped.is_set():
            # A closed pipe is ready, too: reading it gives the end.
            if self._descriptor in dict(ready.poll()) and not self._stopped.is_set():
                with suppress(BlockingIOError):
                    return os.read(self._descriptor, _CHUNK)
        return b""


def standard_input() -> int:
    """The descriptor of standard input.

    Raises:
        DmddError: it is closed.
    """
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        raise SourceError("--source - reads paths from standard input, which is closed.") from None
