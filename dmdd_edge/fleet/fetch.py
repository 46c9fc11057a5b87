"""Fetches one file: continues where an earlier attempt ended, and keeps it only with the right hash."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from dmdd_edge.errors import BundleError, FleetError
from dmdd_edge.failures import storage_error, storage_errors
from dmdd_edge.fleet.store import BLOCK, NotThere, Store
from dmdd_edge.messages.reporter import Reporter
from dmdd_edge.storage import sha256_of

#: Waits before further attempts, in seconds; each byte that arrives starts them again.
_WAITS = (0.5, 1.0, 2.0)

#: Called with the number of bytes that were added to a file.
Added = Callable[[int], None]


def fetch(store: Store, path: str, target: Path, size: int, sha256: str, added: Added) -> int:
    """Fetch a file.

    What is in ``target`` is continued. It counts for nothing until all of it has the right hash; otherwise
    the file is fetched once more from its beginning.

    Args:
        store: where from.
        path: in the store.
        target: where to; its folder exists, and nobody else writes there.
        size: the right number of bytes.
        sha256: the right hash, in hex.
        added: called with the bytes that are added.

    Returns:
        The bytes that were fetched; 0 when all of it was there.

    Raises:
        DmddError: the store cannot be read, or has another file; or the disk refuses.
    """
    with storage_errors(target, "written"):
        # A link, a pipe or a file of another size cannot be the beginning of it.
        before = 0
        if os.path.lexists(target):
            state = target.lstat()
            if stat.S_ISREG(state.st_mode) and state.st_size <= size:
                before = state.st_size
            else:
                target.unlink()
    got = _complete(store, path, target, size, added)
    if sha256_of(target) == sha256.lower():
        return got
    if before:
        with storage_errors(target, "written"):
            target.unlink()
        added(-before - got)
        got = _complete(store, path, target, size, added)
        if sha256_of(target) == sha256.lower():
            return got
    with storage_errors(target, "written"):
        target.unlink()
    raise BundleError(
        f"{store.name}/{path} is damaged or was altered: its SHA-256 is not the one in the manifest.",
        "Push the version again from where it was exported; that replaces the file.",
    )


def _complete(store: Store, path: str, target: Path, size: int, added: Added) -> int:
    """Add what is missing, with new attempts as long as the file grows."""
    got = failures = largest = 0
    while True:
        try:
            return got + _append(store, path, target, size, added)
        except NotThere:
            raise
        except FleetError as error:
            problem = error
        except _Interrupted as error:
            got, problem = got + error.count, error.problem
        # A store that always begins at the first byte sends many and gets nowhere.
        length = target.stat().st_size
        failures = 0 if length > largest else failures + 1
        largest = max(largest, length)
        if failures > len(_WAITS):
            raise problem
        time.sleep(_WAITS[max(failures - 1, 0)])


class _Interrupted(Exception):  # noqa: N818 - not an error yet
    def __init__(self, count: int, problem: FleetError) -> None:
        super().__init__(count, problem)
        self.count, self.problem = count, problem


def _append(store: Store, path: str, target: Path, size: int, added: Added) -> int:
    """One attempt; returns the bytes that were added."""
    with storage_errors(target, "written"):
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "wb", buffering=0) as stream:
        have = os.fstat(handle).st_size
        if have == size and size:
            return 0
        count = 0
        with store.opened(path, have) as (begin, source):
            if begin != have:
                added(begin - have)
                have = begin
                os.ftruncate(handle, begin)
            stream.seek(begin)
            try:
                # One byte more than is right, so that a file that is too long is noticed.
                while piece := source.read(min(BLOCK, size - have + 1)):
                    have += len(piece)
                    if have > size:
                        raise BundleError(
                            f"{store.name}/{path} is larger than the {size:,} bytes in the manifest.",
                            "Push the version again from where it was exported; remove this file first.",
                        )
                    try:
                        _write(handle, piece)
                    except OSError as error:
                        raise storage_error(error, target, "written") from error
                    count += len(piece)
                    added(len(piece))
            except FleetError as error:
                raise _Interrupted(count, error) from error
        if have < size:
            problem = FleetError(
                f"{store.name}/{path} ended after {have:,} of {size:,} bytes.",
                "Repeat the command: it continues there. If it ends there again, push the version again.",
            )
            raise _Interrupted(count, problem)
    return count


def _write(handle: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(handle, view) :]


def share_of(work: Reporter, phase: str, size: int) -> Added:
    """Turns bytes that are added into the share of a phase."""
    done = 0

    def added(count: int) -> None:
        nonlocal done
        done += count
        work.update(phase, done / max(size, 1), 1.0)

    return added
