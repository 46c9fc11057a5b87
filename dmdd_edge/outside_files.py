"""Files that come from elsewhere: regular ones, of a bounded size, inside the folder that they belong to.

A bundle is copied from another machine. A link in it may lead anywhere, a pipe keeps whoever opens it
waiting, and a device never ends.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dmdd_edge.errors import BundleError
from dmdd_edge.messages.text import unfit_character, visible

COPY_AGAIN = "Copy the bundle again from where it was exported, or export it again."

#: The most files that a bundle may have.
MOST_FILES = 256

#: Ends the name of a link, pipe, socket, device or folder in the place of a file.
NOT_REGULAR = ", not a regular file"
#: The longest line that is read, in bytes.
LONGEST_LINE = 1 << 16

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
}


def inside(folder: Path, name: str) -> Path:
    """``folder / name``, when that stays in the folder with symbolic links followed.

    Args:
        folder: may itself be reached through a link.
        name: a relative path with ``/``.

    Raises:
        DmddError: it leaves the folder.
    """
    parts = PurePosixPath(name)
    unfit = unfit_character(name) is not None or "\\" in name
    if not name or parts.is_absolute() or ".." in parts.parts or unfit:
        raise BundleError(f"{folder}: the path `{visible(name)}` leaves the folder.", COPY_AGAIN)
    require_encodable(name)
    path = folder / parts
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise BundleError(
            f"{folder}: `{name}` is a link that leaves the folder.",
            "Replace the link by the file itself; a bundle must be whole to be copied.",
        )
    return path


def require_encodable(name: str) -> None:
    """Refuse a name that this process cannot give to a file, as in a locale without UTF-8.

    Raises:
        DmddError: it cannot.
    """
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        raise BundleError(
            f"The name `{name}` cannot be used: the locale of this process has no such characters.",
            "Set one with UTF-8: export LC_ALL=C.UTF-8",
        ) from None


def kind_of(mode: int) -> str:
    """What a file is, from its mode, in words: ``a FIFO``."""
    return _KINDS.get(stat.S_IFMT(mode), "not a file")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; never waits, whatever else the path names.

    Raises:
        FileNotFoundError: there is nothing.
        OSError: it cannot be opened, or it is a pipe, socket, device or folder.
    """
    # Not blocking: a pipe without a writer is opened at once, and refused like the rest.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"it is {kind_of(mode)}{NOT_REGULAR}", str(path))
    return os.fdopen(handle, "rb")


def read_lines(path: Path, position: int = 0, longest: int = LONGEST_LINE) -> Iterator[tuple[int, bytes]]:
    """The whole lines of a regular file from a position on, each with the position after it.

    The last line is left out while its line break is missing: it is being written, or a power cut tore it. A
    line that is longer than ``longest`` bytes is empty: memory does not depend on what the file holds.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it cannot be read, or is not a regular file.
    """
    with open_regular(path) as stream:
        stream.seek(position)
        length, whole = 0, True
        while piece := stream.readline(longest):
            length += len(piece)
            ends = piece.endswith(b"\n")
            if ends:
                position, length = position + length, 0
                yield position, piece if whole else b""
            elif len(piece) < longest:  # others may add the rest meanwhile: it is for the next look
                return
            whole = ends


def open_to_append(path: Path) -> int:
    """Open a regular file of a folder for reading and appending; it is created if missing.

    Raises:
        OSError: it cannot be opened, or it is a link, pipe or device: what is added, or cut off as torn,
            would be another file's.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.EINVAL, f"it is a link{NOT_REGULAR}", str(path)) from None
        raise
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"it is {kind_of(mode)}{NOT_REGULAR}", str(path))
    return handle


def read_bounded(path: Path, limit: int) -> bytes:
    """The contents of a regular file of at most ``limit`` bytes.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it cannot be read, is not a regular file, or is larger.
    """
    with open_regular(path) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit:,} bytes", str(path))
    return data
