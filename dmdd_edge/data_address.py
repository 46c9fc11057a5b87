"""Where a data set is: a folder, or an address such as ``s3://plant/mvtec`` whose images are copied here.

The copy of a category is in a cache, in a folder that depends on the address alone; so a run names the
address, and any machine finds its own copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TypeAlias

from dmdd_edge.errors import OptionError
from dmdd_edge.fleet.address import check_address
from dmdd_edge.messages.addresses import looks_secret, redacted, split_address
from dmdd_edge.storage import expand_home

#: A folder; or, as a text, an address.
DataPlace: TypeAlias = str | Path

#: The environment variable that names the folder of the copies.
CACHE_VARIABLE = "DMDD_DATA_CACHE"
#: Beside a copy: its address, and the size and the mark of each file in the store.
STATE_NAME = "copied.json"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_address(place: DataPlace) -> bool:
    """Whether a place is an address in a store."""
    return isinstance(place, str) and _ADDRESS.match(place) is not None


def data_place(text: DataPlace) -> DataPlace:
    """Read a folder or an address; a folder becomes a ``Path``, and an address stays a text.

    Raises:
        OptionError: the address cannot be used, or holds a password or a key.
    """
    return store_address(text, "--data", "a run keeps the address of its images")


def store_address(text: DataPlace, option: str, kept: str) -> DataPlace:
    """Read a folder or an address of an option.

    Args:
        text: as it was given.
        option: as it is spelled.
        kept: why an address may hold no secret, to follow "and".

    Raises:
        OptionError: the address cannot be used, or holds a password or a key.
    """
    if not isinstance(text, str) or not text:
        return text
    if not is_address(text) and "::" not in text:
        return Path(text)
    check_address(text)
    parts = split_address(text)
    if parts.scheme in ("http", "https"):
        raise OptionError(
            f"{option} {redacted(text)}: the files of a web server cannot be listed.",
            "Download the data set and give its folder, or give the address of an object store: "
            "s3://BUCKET/FOLDER."
            if option == "--data"
            else "Give a folder, or the address of an object store: s3://BUCKET/FOLDER.",
        )
    if parts.password is not None or parts.query or parts.fragment or looks_secret(parts.username or ""):
        raise OptionError(
            f"{option} {redacted(text)} holds a password or a key, and {kept}.",
            "Leave it out, and give it to the store's library: by its environment variables, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by fsspec's, such as FSSPEC_SFTP_PASSWORD.",
        )
    return text.rstrip("/") if not text.endswith("://") else text


def settled(place: DataPlace, *, links: bool = True) -> DataPlace:
    """A place that no longer depends on the current folder.

    Args:
        place: folder or address.
        links: whether links on a folder's path are followed.
    """
    if isinstance(place, str):
        return place
    return place.resolve() if links else place.absolute()


def local_place(address: str) -> Path:
    """The folder of an address's copy on this machine, which may not exist.

    Raises:
        DmddError: the user has no home folder, and ``DMDD_DATA_CACHE`` names no other.
    """
    base = os.environ.get(CACHE_VARIABLE, "").strip()
    folder = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dmdd-edge/data"
    key = hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return expand_home(folder, CACHE_VARIABLE).absolute() / key / last_name(address)


def last_name(address: str) -> str:
    """The name of an address's folder."""
    name = address.partition("://")[2].rstrip("/").rpartition("/")[2]
    return "images" if name in ("", ".", "..") or "\0" in name else name


def copied_from(folder: Path) -> str | None:
    """The address that a folder is the copy of; None for any other folder."""
    try:
        state = json.loads((folder.parent / STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    address = state.get("address") if isinstance(state, dict) else None
    return address if isinstance(address, str) and local_place(address) == folder.absolute() else None
