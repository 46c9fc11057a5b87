"""Files that are either wholly there or not at all, when they reach the disk, and their hashes.

Every function raises ``StorageError``, which names the path, the reason and what to do.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Literal, get_args

from dmdd_edge.errors import OptionError
from dmdd_edge.failures import storage_error, storage_errors
from dmdd_edge.outside_files import open_regular

#: When what was written is forced onto the disk.
Fsync = Literal["never", "second", "always"]
#: The values of ``--fsync``.
FSYNC_POLICIES: tuple[Fsync, ...] = get_args(Fsync)

#: What a file system without fsync for folders, or without fsync at all, answers.
_NO_FSYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def sha256_of(path: Path) -> str:
    """SHA-256 of a regular file, in hex.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    digest = hashlib.sha256()
    with storage_errors(path, "read"), open_regular(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fsync_path(path: Path) -> None:
    """Wait until a file's contents, or a folder's entries, are on the disk."""
    with storage_errors(path, "forced onto the disk"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in _NO_FSYNC:
                raise
        finally:
            os.close(handle)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write ``content`` so that a crash at any moment leaves the old file or the new one, never a part.

    The folder must exist. Text is written as UTF-8.
    """
    with storage_errors(path, "written"):
        handle, name = tempfile.mkstemp(prefix=_part_prefix(path), suffix=".part", dir=path.parent)
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


def publish_folder(unfinished: Path, target: Path) -> None:
    """Make a finished folder appear under its name, whole: its files are on the disk before.

    Args:
        unfinished: beside the target; nobody writes into it any more.
        target: does not exist yet.
    """
    with storage_errors(target, "written"):
        for folder, _, files in os.walk(unfinished, topdown=False):
            for name in files:
                fsync_path(Path(folder, name))
            fsync_path(Path(folder))
        os.rename(unfinished, target)  # noqa: PTH104 - the step that makes the folder appear whole
        fsync_path(target.parent)


def make_folder(path: Path, fix: str = "") -> None:
    """Make a folder and those above it, unless it is there.

    Args:
        fix: what to do where it cannot be made; otherwise what usually helps.
    """
    with storage_errors(path, "made", fix):
        path.mkdir(parents=True, exist_ok=True)


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it."""
    with storage_errors(path, "removed"):
        shutil.rmtree(path)


def require_writable(folder: Path, option: str = "") -> None:
    """See that files can be written into a folder, before work begins whose result is to go there.

    Nothing is left behind: where the folder is not there yet, the nearest one above it is tried.

    Args:
        folder: what the user named.
        option: the option that names it, for the fix.

    Raises:
        StorageError: it cannot be written.
    """
    fix = f"Make it writable, or name another folder{f': {option} DIR' if option else ''}."
    try:
        # A part of the path that is too long or a file shows here, whatever there is of it.
        os.stat(folder)  # noqa: PTH116 - Path.exists keeps the reason to itself
    except FileNotFoundError:
        pass
    except OSError as error:
        raise storage_error(error, folder, "used") from error
    existing = folder.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    # Access bits say little: of root, of a read-only mount, of a full disk. A file says it all.
    with storage_errors(folder, "written", fix), tempfile.TemporaryFile(dir=existing):
        pass


def expand_home(path: Path, option: str) -> Path:
    """A path with ``~`` replaced by the user's home folder.

    Args:
        path: may begin with ``~``.
        option: the option that names another folder, for the fix.

    Raises:
        DmddError: the user has no home folder, as under a user id without an account in a container.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise OptionError(
            f"{path} cannot be found: this user has no home folder.",
            f"Set HOME to a folder, or name one: {option} DIR.",
        ) from None


def _part_prefix(path: Path) -> str:
    """A name for the unfinished file; short, since a long name may leave no room for what is added."""
    return f".{path.name[:40]}-"
