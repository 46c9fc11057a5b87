"""Options of all sinks that write files: existing files, a full disk, a power cut."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dmdd_edge.errors import OptionError, StorageError
from dmdd_edge.runtime.sinks.quota import DiskQuota
from dmdd_edge.storage import Fsync

Existing = Literal["refuse", "append", "resume", "replace"]

#: Pause between two attempts to write to a disk that rejects writes, in seconds.
PAUSE = 0.25

# Errors that may pass, by themselves or by somebody's action: no space, a cable, a share. Not: permissions.
_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EIO", "EROFS", "ESTALE", "ETIMEDOUT", "ENOTCONN", "ENODEV", "ENXIO"),
        *("EHOSTDOWN", "EHOSTUNREACH", "ENETUNREACH", "EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ENOBUFS"),
    )
)


@dataclass(frozen=True)
class FileOptions:
    """How files are written.

    The effect of a full or missing disk depends on the source. A live run continues: result lines wait in
    memory, up to ``backlog`` of them per file, and are written in order once the disk accepts them; beyond
    that the oldest are dropped, counted and reported. Images are not written, which is counted and reported
    too. A run over files owes each result exactly once: it waits for up to ``patience`` seconds, then ends
    with an error that names ``--resume``.

    Attributes:
        live: whether the source is live.
        existing: how results of an earlier run at the same place are handled: ``refuse`` to start,
            ``append`` to them, ``resume`` (append what they lack), ``replace`` them.
        fsync: when data is forced onto the disk. A killed process loses nothing under any policy. A power
            cut loses: under ``never`` what the kernel had not written yet, usually the last 30 seconds;
            under ``second`` the lines of about the last second, and images of the last 30; under ``always``
            no data that a sink had received, if the disk keeps its promise, at a cost of milliseconds per
            frame (tens on an SD card).
        rotate: largest size of a file in bytes; it is renamed before that, and a new one begun. None never
            rotates; see ``rotate_at``.
        keep: limits the size of all files; None keeps everything.
        patience: see above, in seconds.
        backlog: see above, in lines.
        stopping: polled while waiting for the disk; true ends the wait, as when the user stops the run.
        note: receives messages for a person, in whole sentences; from the writer thread.
    """

    live: bool = False
    existing: Existing = "refuse"
    fsync: Fsync = "second"
    rotate: int | None = None
    keep: DiskQuota | None = None
    patience: float = 60.0
    backlog: int = 10_000
    stopping: Callable[[], bool] = lambda: False
    note: Callable[[str], None] = field(default=logging.getLogger("dmdd_edge").warning)

    @property
    def rotate_at(self) -> int | None:
        """Size at which files are rotated, in bytes: ``rotate``, at most a quarter of ``keep``.

        A file in use is never deleted, so a larger one could not be limited.
        """
        if self.keep is None:
            return self.rotate
        quarter = max(1, self.keep.limit // 4)
        return quarter if self.rotate is None else min(self.rotate, quarter)


def existing_policy(live: bool, resume: bool, overwrite: bool) -> Existing:
    """How results of an earlier run are handled, from the user's options.

    Without an option, a live run appends, so that a restarted service continues its file; a run over files
    refuses, because the same images would be in it twice, and overwriting needs a request.

    Args:
        live: whether the source is live.
        resume: whether ``--resume`` was given.
        overwrite: whether ``--overwrite`` was given.

    Raises:
        DmddError: both were given, or ``--resume`` for a live source.
    """
    if resume and overwrite:
        raise OptionError("--resume and --overwrite contradict each other.", "Use one of them.")
    if resume and live:
        raise OptionError(
            "--resume applies to files only: a live source cannot repeat its frames.",
            "Omit it; the results of a live run are appended to the file.",
        )
    if resume:
        return "resume"
    if overwrite:
        return "replace"
    return "append" if live else "refuse"


def reason(error: OSError) -> str:
    """Reason of an error, without Python's number and the path."""
    return error.strerror or str(error)


def is_of_the_volume(error: OSError) -> bool:
    """Whether an error is about the disk or the share as a whole, not about one file: it may pass."""
    return error.errno in _PASSING


def insist(
    write: Callable[[], None],
    path: Path,
    options: FileOptions,
    owed: Callable[[OSError], bool] = lambda error: True,
) -> None:
    """Call ``write`` until it succeeds, for a run over files; it must continue where it stopped.

    Args:
        write: writes; called again after an error that may pass.
        path: of the file, for messages.
        options: how long to wait, and where to report.
        owed: whether the file must be written despite an error; false raises the error itself.

    Raises:
        DmddError: it failed for a reason that does not pass, or for longer than ``patience``.
        OSError: it failed for a reason for which ``owed`` is false.
    """
    deadline: float | None = None
    while True:
        try:
            write()
        except CannotWriteError:
            raise
        except OSError as error:
            if not owed(error):
                raise
            now = time.monotonic()
            passing = is_of_the_volume(error)
            if deadline is None:
                deadline = now + options.patience
                if passing and options.patience:
                    options.note(
                        f"{path} cannot be written: {reason(error)}. The run waits up to "
                        f"{options.patience:g} s for that to change."
                    )
            if not passing or now >= deadline or options.stopping():
                raise cannot_write(path, error) from error
            time.sleep(min(PAUSE, max(0.0, deadline - now)))
        else:
            if deadline is not None:
                options.note(f"{path} can be written again.")
            return


class CannotWriteError(StorageError):
    """The error that ends a run over files; it is not tried again, although it is an ``OSError``."""


def cannot_write(
    path: Path,
    error: OSError,
    fix: str = "Fix the cause (for example free some space), then rerun the same command with --resume to "
    "continue.",
) -> CannotWriteError:
    """The error of a file that cannot be written or opened."""
    return CannotWriteError(f"{path} cannot be written: {reason(error)}.", fix, error.errno, reason(error))
