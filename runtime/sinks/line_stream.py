"""Result lines to a stream that a program reads: standard output into a pipe, a file or a terminal."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from typing import TextIO

from dmdd_edge.errors import DmddError
from dmdd_edge.messages.outlet import Outlet
from dmdd_edge.runtime.sinks.file_options import PAUSE, FileOptions, is_of_the_volume, reason

#: Seconds without a read after which it is reported that nothing reads the stream.
STILL = 5.0

#: How long a run over files waits for its reader, in seconds: people page through output, programs hang.
READER_PATIENCE = 600.0

#: How long the end of a live run waits for its reader, in seconds.
LAST_WAIT = 5.0


class LineStream:
    """Writes lines to a stream, which stays open, as UTF-8 in any locale.

    A live run never waits for it: lines that a full disk or a stalled reader does not accept wait in memory,
    up to ``options.backlog``, then the oldest are dropped and counted. A run over files waits: for a disk up
    to ``options.patience``, for a reader up to ``READER_PATIENCE``; then it ends with an error. A message is
    given when the wait begins and when it is over. A reader that closes the stream ends the run.

    Args:
        stream: for example standard output. One in memory, without a descriptor, is written to directly.
        options: of the run.
    """

    def __init__(self, stream: TextIO, options: FileOptions) -> None:
        self._stream, self._options = stream, options
        self._outlet: Outlet | None = None
        self._noted, self._lost_before = False, 0  # in the current outage
        with suppress(OSError, ValueError):
            self._descriptor = stream.fileno()
            # One more than may wait: the first may be in progress.
            self._outlet = Outlet(self._descriptor, max(options.backlog, 1) + 1, "old")
            stream.flush()

    def write(self, line: bytes) -> None:
        """Write a line, its break included.

        Raises:
            DmddError: the reader closed the stream, it cannot be written at all, or a run over files has
                waited long enough.
        """
        if self._outlet is None:
            self._write_directly(line)
            return
        if self._options.live:
            self._check(self._outlet)  # first: what waits now has waited since the last line, at least
            self._outlet.put(line)
        else:
            self._outlet.put(line)
            self._wait(self._outlet)

    def close(self) -> None:
        """Write waiting lines as far as possible; a live run counts the rest."""
        outlet = self._outlet
        if outlet is None:
            return
        if outlet.close(LAST_WAIT if self._options.live else 0):
            self._note_recovery(outlet)
            return
        if outlet.torn:
            self._cut_off(outlet.torn)
        if self._options.live and not isinstance(outlet.error, BrokenPipeError):
            lost = outlet.lost + outlet.waiting
            self._options.note(f"Standard output: {lost} results could not be written and are lost.")

    def _write_directly(self, line: bytes) -> None:
        try:
            self._stream.write(line.decode())
            self._stream.flush()
        except OSError as error:
            raise _failure(error) from error

    def _check(self, outlet: Outlet) -> None:
        """In a live run: report the state of the stream when it changes."""
        error = outlet.error
        if error is not None and not is_of_the_volume(error):
            raise _failure(error) from error
        if not outlet.waiting:
            self._note_recovery(outlet)
        elif not self._noted and (error is not None or outlet.still_for >= STILL):
            self._options.note(
                f"{_state(error)} The run continues; up to {self._options.backlog} results wait in memory, "
                "then the oldest are dropped."
            )
            self._noted = True

    def _note_recovery(self, outlet: Outlet) -> None:
        if self._noted:
            lost = outlet.lost - self._lost_before
            what = f"{lost} results are lost" if lost else "no result is lost"
            self._options.note(f"Standard output is written again; {what}.")
            self._noted, self._lost_before = False, outlet.lost

    def _wait(self, outlet: Outlet) -> None:
        """In a run over files: wait until the line is written."""
        noted = False
        while not outlet.wait(PAUSE):
            error, still = outlet.error, outlet.still_for
            if error is not None and not is_of_the_volume(error):
                raise _failure(error) from error
            patience = READER_PATIENCE if error is None else self._options.patience
            if not noted and (error is not None or still >= STILL):
                self._options.note(
                    f"{_state(error)} The run waits up to {patience:g} s for that to change, "
                    "then ends with an error."
                )
                noted = True
            if still >= patience or self._options.stopping():
                raise _failure(error) from error
            if error is not None:
                time.sleep(PAUSE)
        if noted:
            self._options.note("Standard output is written again.")

    def _cut_off(self, torn: int) -> None:
        """Cut off the part of a line that a full disk accepted, if it is the end of a file."""
        with suppress(OSError):
            status = os.fstat(self._descriptor)
            if stat.S_ISREG(status.st_mode) and os.lseek(self._descriptor, 0, os.SEEK_CUR) == status.st_size:
                os.ftruncate(self._descriptor, status.st_size - torn)
                os.lseek(self._descriptor, -torn, os.SEEK_CUR)


def _state(error: OSError | None) -> str:
    if error is None:
        return f"Nothing has read standard output for {STILL:g} s."
    return f"Standard output cannot be written: {reason(error)}."


def _failure(error: OSError | None) -> DmddError:
    fix = "Repeat the run. With --jsonl FILE instead of --json, --resume continues an interrupted run."
    if isinstance(error, BrokenPipeError):
        return DmddError("Standard output was closed by its reader; the run stops.", fix)
    if error is None:
        return DmddError("Nothing reads standard output; the run stops.", fix)
    return DmddError(
        f"Standard output cannot be written: {reason(error)}.", f"{fix} A full disk needs free space first."
    )
