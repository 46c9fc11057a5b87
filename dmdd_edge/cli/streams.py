"""The standard streams while the program runs: output for people never blocks or ends the work."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from dmdd_edge.errors import DmddError
from dmdd_edge.messages.outlet import Outlet, write_all

#: Pieces of text for people that wait in memory while nobody reads them.
_ROOM = 1000

#: How long the end of the program waits for a blocked standard error, in seconds.
_LAST_WORDS = 2.0

_GONE = "Standard output was closed by its reader."


@contextmanager
def standard_streams() -> Iterator[None]:
    """Replace the streams of this process inside the block.

    Standard error then never blocks and never raises, whoever writes there: our console, ``logging``,
    ``warnings``, a library. While it is blocked, text waits; what exceeds the room is dropped, and the count
    is written when it works again. Standard output raises a ``DmddError`` when it cannot be written. A
    closed stream discards everything. Streams that were replaced before stay.
    """
    before = sys.stdout, sys.stderr
    out, err = before
    first: tuple[Any, Any] = (sys.__stdout__, sys.__stderr__)
    _fill_gaps()
    outlet = None
    if out is None:  # it is closed
        sys.stdout = _Closed()
    elif out is first[0]:
        sys.stdout = _text(_Output(1), out.encoding)
    if err is None:
        sys.stderr = _Closed()
    elif err is first[1]:
        _never_block(2)
        outlet = Outlet(2, _ROOM, "new", _left_out)
        sys.stderr = _text(_People(outlet), err.encoding)
    try:
        yield
    finally:
        if outlet is not None:
            outlet.close(_LAST_WORDS)
        sys.stdout, sys.stderr = before


def write_output(text: str) -> None:
    """Write to standard output, as UTF-8 in every locale, after everything printed so far.

    Raises:
        DmddError: it is closed, or cannot be written.
    """
    require_output()
    with suppress(Exception):
        sys.stderr.flush()
    descriptor = output_descriptor()
    try:
        if descriptor is None:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            write_all(descriptor, text.encode("utf-8", "backslashreplace"))
    except BrokenPipeError:
        raise DmddError(_GONE) from None
    except OSError as error:
        raise _cannot_write(error) from error


def output_descriptor() -> int | None:
    """The descriptor behind standard output; None for a stream in memory."""
    try:
        sys.stdout.flush()
        return sys.stdout.fileno()
    except (OSError, ValueError):
        return None


def require_output() -> None:
    """Raise a ``DmddError`` when standard output is closed."""
    if sys.stdout is None or isinstance(sys.stdout, _Closed):
        raise DmddError(
            "Standard output is closed, and the results are written there.",
            "Redirect it into a file: > FILE.",
        )


class _Closed(io.TextIOBase):
    """Replaces a closed stream: libraries may write to it."""

    encoding = "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


class _People(io.RawIOBase):
    """Standard error's bytes, through an outlet."""

    name = "<stderr>"

    def __init__(self, outlet: Outlet) -> None:
        self._outlet, self._terminal = outlet, os.isatty(2)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._terminal

    def fileno(self) -> int:
        return 2

    def write(self, data: Any) -> int:
        self._outlet.put(bytes(data))
        return len(data)

    def flush(self) -> None:
        if not self.closed:
            self._outlet.flush()


class _Output(io.RawIOBase):
    """Standard output's bytes; raises an error that a user can fix."""

    name = "<stdout>"

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        try:
            write_all(self._descriptor, bytes(data))
        except BrokenPipeError:
            raise  # typer ends the program for that without a message, as other programs do
        except OSError as error:
            raise _cannot_write(error) from error
        return len(data)


def _text(raw: Any, encoding: str) -> TextIO:
    # A character that the locale lacks must not end the program. Unbuffered: a buffer that could not be
    # written would be written again, and fail again, when the interpreter ends.
    return io.TextIOWrapper(raw, encoding, "backslashreplace", write_through=True)


def _cannot_write(error: OSError) -> DmddError:
    return DmddError(
        f"Standard output cannot be written: {error.strerror or error}.",
        "Free some space or redirect it elsewhere, then repeat the command.",
    )


def _left_out(lines: int) -> bytes:
    return f"({lines} line{'s' * (lines != 1)} could not be written here.)\n".encode()


def _fill_gaps() -> None:
    """Open the null device on closed standard descriptors, or a result file could receive messages."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number


def _never_block(descriptor: int) -> None:
    """Make native libraries lose messages, too, instead of waiting for a reader that has stopped reading.

    The descriptor gets a separate open file description; without that, the flag would change the stream for
    the shell and for every program that shares it.
    """
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
        return
    with suppress(OSError):  # not allowed after a change of the user, for example
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        os.dup2(own, descriptor)
        os.close(own)
