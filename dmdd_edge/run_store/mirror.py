"""Where the runs and bundles of a store are on this machine, and what is noted of them there."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from dmdd_edge.data_address import is_address, last_name, store_address
from dmdd_edge.storage import expand_home, make_folder, write_atomically

#: The environment variable that names the folder of what is worked on here.
CACHE_VARIABLE = "DMDD_STORE_CACHE"
#: Beside a mirror: its address, and a number that no other mirror has.
_NAME = "mirror.json"


def runs_place(text: str | Path) -> str | Path:
    """Read ``--runs-dir``: a folder, or an address, which stays a text.

    Raises:
        OptionError: the address cannot be used, or holds a password or a key.
    """
    return store_address(text, "--runs-dir", "a run is named by its address")


def models_place(text: str | Path) -> str | Path:
    """Read ``--models-dir``; see ``runs_place``."""
    return store_address(text, "--models-dir", "commands are printed with the address")


def local_folder(place: str | Path) -> Path:
    """The folder on this machine: of an address, where its runs are worked on; nothing is made.

    Raises:
        DmddError: the user has no home folder, and ``DMDD_STORE_CACHE`` names no other.
    """
    if not is_address(place):
        return Path(place)
    address = str(place)
    base = os.environ.get(CACHE_VARIABLE, "").strip()
    folder = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dmdd-edge/stores"
    key = hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return expand_home(folder, CACHE_VARIABLE).absolute() / key / last_name(address)


def address_of(folder: Path) -> str | None:
    """The address that a folder is the mirror of; None for any other folder."""
    try:
        address = json.loads((folder.parent / _NAME).read_text(encoding="utf-8")).get("address")
    except (OSError, ValueError, AttributeError):
        return None
    return address if isinstance(address, str) and local_folder(address) == folder.absolute() else None


def shown(folder: Path) -> str:
    """A run's or a bundle's folder for people: in a mirror its address."""
    address = address_of(folder.parent)
    return str(folder) if address is None else f"{address}/{folder.name}"


def make_mirror(address: str) -> Path:
    """Make the mirror of an address; returns its folder.

    Raises:
        StorageError: it cannot be made.
    """
    folder = local_folder(address)
    if address_of(folder) is None or not folder.is_dir():
        make_folder(folder, f"Name another folder: export {CACHE_VARIABLE}=DIR")
        write_atomically(folder.parent / _NAME, json.dumps({"address": address, "id": uuid.uuid4().hex}))
    return folder


def mirror_id(folder: Path) -> str:
    """The number of a mirror, which no other one has."""
    return str(json.loads((folder.parent / _NAME).read_text(encoding="utf-8"))["id"])


@dataclass(frozen=True)
class Note:
    """What a mirror knows of one of its runs.

    Attributes:
        head: the list in the store that was fetched or sent last; empty for none.
        open: whether the run may have changed here since.
        whole: False while it is being fetched.
    """

    head: str = ""
    open: bool = False
    whole: bool = True


def read_note(folder: Path) -> Note | None:
    """What is noted of a run; None where nothing usable is."""
    try:
        return Note(**json.loads(_note(folder).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_note(folder: Path, note: Note) -> None:
    """Note how a run stands.

    Raises:
        StorageError: it cannot be written.
    """
    write_atomically(_note(folder), json.dumps(asdict(note)))


def forget(folder: Path) -> None:
    """Remove what is noted of a run."""
    _note(folder).unlink(missing_ok=True)


def _note(folder: Path) -> Path:
    return folder.with_name(f".{folder.name[:200]}.sent.json")
