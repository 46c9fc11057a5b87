"""Errors of the operating system as a user can read them: which path, what is wrong, what to do."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmdd_edge.errors import DmddError, StorageError
from dmdd_edge.outside_files import NOT_REGULAR

_ANOTHER = "or name another folder"
_REASONS: dict[int, tuple[str, str]] = {
    errno.EACCES: ("permission is denied", f"Check who owns it (ls -ld), {_ANOTHER}."),
    errno.EPERM: ("the operation is not permitted", f"Check who owns it (ls -ld), {_ANOTHER}."),
    errno.EROFS: ("the file system is read-only", f"Mount it writable, {_ANOTHER}."),
    errno.ENOSPC: ("no space is left on the disk", "Free some space, or name a folder on another disk."),
    errno.EDQUOT: ("the disk quota is exceeded", "Free some space, or name a folder on another disk."),
    errno.EFBIG: ("the file exceeds the largest size allowed here", "Raise the limit (ulimit -f)."),
    errno.EIO: ("the disk reports an input/output error", "Check the disk and its connection (dmesg)."),
    errno.ENOENT: ("it does not exist", "Check the path."),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "Check the path."),
    errno.EISDIR: ("it is a folder, not a file", "Name a file."),
    errno.EEXIST: ("it exists already", "Name another one, or remove it."),
    errno.ENOTEMPTY: ("the folder is not empty", "Name another one, or remove its files."),
    errno.ENAMETOOLONG: ("the name is too long", "Use a shorter name: most file systems take 255 bytes."),
    errno.EINVAL: ("the file system does not take this name or operation", "Use another name or folder."),
    errno.ELOOP: ("symbolic links form a loop", "Check the links (ls -l)."),
    errno.EBUSY: ("another program uses it", "Close that program."),
    errno.ETXTBSY: ("another program uses it", "Close that program."),
    errno.ESTALE: ("the network share is gone (stale file handle)", "Mount the share again."),
    errno.EHOSTDOWN: ("the server of the network share is down", "Check the server and the network."),
    errno.ETIMEDOUT: ("the server of the network share does not answer", "Check the server and the network."),
    errno.EMFILE: ("too many files are open", "Raise the limit: ulimit -n 4096."),
    errno.ENFILE: ("too many files are open on this machine", "Close other programs."),
    errno.ENOMEM: ("memory has run out", "Close other programs."),
}


def storage_error(
    error: OSError, path: Path | str | None = None, doing: str = "used", fix: str = ""
) -> StorageError:
    """An ``OSError`` with its path, its meaning and what to do.

    Args:
        error: what the system raised.
        path: what was worked on; otherwise what the error names.
        doing: past participle: ``written``, ``read``, ``removed``.
        fix: what to do; otherwise what usually helps against this error.
    """
    if isinstance(error, StorageError):
        return error
    own = error.strerror or str(error) or type(error).__name__
    reason, usual = _REASONS.get(error.errno or 0, (own, ""))
    if error.errno and error.strerror and error.strerror != os.strerror(error.errno):
        reason, usual = own, ""  # whoever raised it knew more than the system
        if own.endswith(NOT_REGULAR):
            usual = "Replace it by the file itself, or remove it."
    named = path if path is not None else (error.filename2 or error.filename)
    if isinstance(named, bytes):
        named = os.fsdecode(named)
    if error.errno == errno.ENOENT:
        if (gone := current_folder_gone(named)) is not None:
            return gone
        folder = Path(named).parent if isinstance(named, (str, Path)) and doing == "written" else None
        if folder is not None and not folder.exists():
            reason = f"the folder {folder} does not exist"
            usual = f"Make it (mkdir -p {shlex.quote(str(folder))}), {_ANOTHER}."
    what = "a file or a folder" if named is None or isinstance(named, int) else str(named)
    return StorageError(f"{what} cannot be {doing}: {reason}.", fix or usual, error.errno, reason)


def current_folder_gone(named: Path | str | int | None) -> StorageError | None:
    """The error of a relative path that is not found because the current folder was removed; or None."""
    if isinstance(named, (str, Path)) and Path(named).is_absolute():
        return None
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError as error:
        reason = "The current folder does not exist any more"
        return StorageError(f"{reason}.", "Change to one that exists: cd DIR.", error.errno, reason)
    return None


def unreadable(error: OSError | UnicodeDecodeError, path: Path | str, fix: str = "") -> DmddError:
    """The error of a text file that cannot be read: the system's reason, or that it is not text."""
    if isinstance(error, OSError):
        return storage_error(error, path, "read", fix)
    return DmddError(f"{path} cannot be read: it is not UTF-8 text.", fix)


@contextmanager
def storage_errors(path: Path | str, doing: str = "written", fix: str = "") -> Iterator[None]:
    """Turn an ``OSError`` of the block into a ``StorageError``; the arguments are those of ``storage_error``.

    Raises:
        StorageError: the system refused.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error, path, doing, fix) from error
