"""Files that are either wholly there or not at all, when they reach the disk, and their hashes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Literal, get_args

from dmdd_edge.outside_files import open_regular

#: When what was written is forced onto the disk.
Fsync = Literal["never", "second", "always"]
#: The values of ``--fsync``.
FSYNC_POLICIES: tuple[Fsync, ...] = get_args(Fsync)


def sha256_of(path: Path) -> str:
    """SHA-256 of a regular file, in hex.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fsync_path(path: Path) -> None:
    """Wait until a file's contents, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write ``content`` so that a crash at any moment leaves the old file or the new one, never a part.

    The folder must exist. Text is written as UTF-8.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(0o644)  # mkstemp makes it private; a bundle is read by whoever runs the line
        os.replace(part, path)  # noqa: PTH105 - the one call that replaces atomically, by its name
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    fsync_path(path.parent)
