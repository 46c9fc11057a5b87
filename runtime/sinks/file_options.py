"""What all sinks that write files share: what to do about earlier files, a full disk, a loss of power."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.runtime.sinks.quota import DiskQuota
from dmdd_edge.storage import Fsync

Existing = Literal["refuse", "append", "resume", "replace"]

#: Pauses between two tries to write to a disk that takes nothing, in seconds.
PAUSE = 0.25

# What may pass by itself or by somebody's hand: no space, a cable, a share that is away. Not: no permission.
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

    What a full disk (or one that is away) does depends on the source. Of a live one the run goes on: result
    lines wait in memory, up to ``backlog`` of them a file, and are written in order once the disk takes them;
    beyond that the oldest are dropped, counted and said; pictures are not written, which is counted and
    said too. Of files, each result is owed exactly once: the run waits for up to ``patience`` seconds, and
    ends with an error that names ``--resume`` if nothing has changed by then.

    Attributes:
        live: whether the source is live.
        existing: what is done about results of an earlier run at the same place: ``refuse`` to start,
            ``append`` to them, ``resume`` (append what they lack), ``replace`` them.
        fsync: when what was written is forced onto the disk. A killed process loses nothing under any of
            them, since what was written is the kernel's already. A loss of power takes with it: under
            ``never`` what the kernel had not written yet, usually the last 30 seconds; under ``second`` the
            lines of about the last second, and pictures of the last 30; under ``always`` nothing that a
            sink had taken, as far as the disk keeps its word, for a wait of milliseconds a frame (tens on
            an SD card).
        rotate: the size in bytes that no file exceeds: it is put aside before, and a new one begun. None
            never; see ``rotate_at``.
        keep: bounds what is kept on disk; None keeps everything.
        patience: see above, in seconds.
        backlog: see above, in lines.
        stopping: asked while waiting for the disk; true ends the wait, as when the user wants the run to end.
        note: told what a person should know, in whole sentences; from the writer thread.
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
        """Where files are rotated, in bytes: at ``rotate``, and at a quarter of ``keep`` at most.

        What is in use is never deleted, so a file that grew beyond that could not be bounded.
        """
        if self.keep is None:
            return self.rotate
        quarter = max(1, self.keep.limit // 4)
        return quarter if self.rotate is None else min(self.rotate, quarter)


def existing_policy(live: bool, resume: bool, overwrite: bool) -> Existing:
    """What is done about earlier results, from what the user asked for.

    Nothing asked: a live run appends, so that a service that starts again goes on with its file; a run over
    files refuses, since the same images would be in it twice and nothing is overwritten unasked.

    Args:
        live: whether the source is live.
        resume: whether ``--resume`` was given.
        overwrite: whether ``--overwrite`` was given.

    Raises:
        DmddError: the two were given together, or ``--resume`` for a live source.
    """
    if resume and overwrite:
        raise OptionError("--resume and --overwrite contradict each other.", "Give one of them.")
    if resume and live:
        raise OptionError(
            "--resume is for files: what a live source showed does not come back.",
            "Leave it out; the results of a live run are appended to the file.",
        )
    if resume:
        return "resume"
    if overwrite:
        return "replace"
    return "append" if live else "refuse"


def reason(error: OSError) -> str:
    """What is wrong, without Python's number and the path again."""
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
    """Call ``write`` until it succeeds, for a run over files; it must go on where it stopped.

    Args:
        write: writes; called again after an error that may pass.
        path: of the file, for messages.
        options: how long to wait, and whom to tell.
        owed: whether the file must be written in spite of an error; false raises the error itself.

    Raises:
        DmddError: it failed for a reason that does not pass, or for longer than ``patience``.
        OSError: it failed for a reason for which ``owed`` is false.
    """
    deadline: float | None = None
    while True:
        try:
            write()
        except OSError as error:
            if not owed(error):
                raise
            now = time.monotonic()
            passing = is_of_the_volume(error)
            if deadline is None:
                deadline = now + options.patience
                if passing:
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


def cannot_write(path: Path, error: OSError) -> DmddError:
    """The error that ends a run over files."""
    return OptionError(
        f"{path} cannot be written: {reason(error)}.",
        "Fix the cause (for example free some space), then rerun the same command with --resume to continue.",
    )
