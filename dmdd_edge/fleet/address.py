"""The address of a store: a folder, ``file://``, ``http(s)://``, or whatever else fsspec knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from dmdd_edge.errors import FleetError, OptionError
from dmdd_edge.messages.addresses import redacted, split_address
from dmdd_edge.storage import expand_home

if TYPE_CHECKING:
    from dmdd_edge.fleet.folder_store import FolderStore
    from dmdd_edge.fleet.fsspec_store import FsspecStore
    from dmdd_edge.fleet.http_store import HttpStore

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def check_address(url: str) -> None:
    """Check what can be checked without any package.

    Raises:
        OptionError: it is empty, or chains several file systems.
    """
    if not url.strip():
        raise OptionError(
            "the address of the store is empty.", "Give a folder, or an address such as s3://BUCKET."
        )
    if "::" in url and "://" in url:
        raise OptionError(
            f"{redacted(url)} chains several file systems (::).", "Give the address of one of them."
        )


def local_folder(url: str) -> Path | None:
    """The folder that an address names; None if it is on a server."""
    found = _SCHEME.match(url)
    if found is None:
        return expand_home(Path(url), "the store's address")
    if found[1].lower() not in ("file", "local"):
        return None
    parts = split_address(url)
    if parts.netloc not in ("", "localhost"):
        raise OptionError(
            f"{redacted(url)} names a host; a file:// address is one of this machine.",
            "Write file:///FOLDER with three slashes, or mount the share and give its folder.",
        )
    return Path(unquote(parts.path))


def open_store(url: str) -> FolderStore | HttpStore | FsspecStore:
    """A store to read from.

    Raises:
        DmddError: the address is wrong, or a package for it is missing.
    """
    check_address(url)
    if (folder := local_folder(url)) is not None:
        from dmdd_edge.fleet.folder_store import FolderStore

        return FolderStore(folder)
    if url.lower().startswith(("http://", "https://")):
        from dmdd_edge.fleet.http_store import HttpStore

        return HttpStore(url)
    from dmdd_edge.fleet.fsspec_store import FsspecStore

    return FsspecStore(url)


def open_to_write(url: str) -> Path | FsspecStore:
    """A store to push to: a folder, or an object store.

    Raises:
        DmddError: the address is wrong, a package for it is missing, or it can only be read.
    """
    check_address(url)
    if (folder := local_folder(url)) is not None:
        return folder
    if url.lower().startswith(("http://", "https://")):
        raise FleetError(
            f"{redacted(url)} can only be read.",
            "Push to the folder that the web server shows, or to an object store: s3://BUCKET/FOLDER.",
        )
    from dmdd_edge.fleet.fsspec_store import FsspecStore

    return FsspecStore(url)
