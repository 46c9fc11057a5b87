"""The files of a bundle's folder: which there are, and what is wrong with one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dmdd_edge.bundle.manifest import MANIFEST_NAME, SIGNATURE_NAME
from dmdd_edge.errors import BundleError, DmddError
from dmdd_edge.outside_files import COPY_AGAIN, MOST_FILES, kind_of
from dmdd_edge.storage import sha256_of

#: Files that file managers create in folders they show; not part of a bundle and never used.
_LITTER = {"Thumbs.db", "desktop.ini"}


def problem_with(
    folder: Path, path: Path, name: str, expected: str, right_size: int | None, hashes: bool
) -> DmddError | None:
    """What is wrong with one listed file; None when it is as the manifest says."""
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            what = kind_of(state.st_mode)
            return BundleError(f"{folder}: `{name}` is {what}, not a regular file.", COPY_AGAIN)
        size = state.st_size
        if right_size is not None and size < right_size:
            return BundleError(
                f"{folder}: `{name}` is truncated: {size:,} of {right_size:,} bytes.", COPY_AGAIN
            )
        if right_size is not None and size > right_size:
            return BundleError(
                f"{folder}: `{name}` was altered: it has {size:,} bytes, the manifest says {right_size:,}.",
                COPY_AGAIN,
            )
        if hashes and sha256_of(path) != expected.lower():
            return BundleError(
                f"{folder}: `{name}` was altered: its SHA-256 is not the one in the manifest.", COPY_AGAIN
            )
    except FileNotFoundError:
        return BundleError(f"{folder}: the file `{name}` is missing.", COPY_AGAIN)
    except OSError as error:
        return BundleError(
            f"{folder}: `{name}` cannot be read: {error.strerror or error}.",
            "Make it readable for the user who runs this.",
        )
    return None


def listed_files(folder: Path) -> list[str]:
    """The paths of a bundle's files (with ``/``) but the manifest, its signature and what file managers leave
    behind.

    A link is named, not followed.

    Raises:
        DmddError: there are more than a bundle may have.
    """
    names: list[str] = []
    folders, seen = [folder], 0
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > 2 * MOST_FILES:
                    raise BundleError(
                        f"{folder} holds more than {2 * MOST_FILES} files and folders; a bundle has a few.",
                        COPY_AGAIN,
                    )
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif (
                    entry.name not in (MANIFEST_NAME, SIGNATURE_NAME)
                    and not entry.name.startswith(".")
                    and entry.name not in _LITTER
                ):
                    names.append(Path(entry.path).relative_to(folder).as_posix())
    return sorted(names)
