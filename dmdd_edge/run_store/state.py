"""The whole states of a run in a store: their lists, written and read, and what is not needed any more."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dmdd_edge.errors import DmddError, FleetError
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.fleet.push import hash_in
from dmdd_edge.messages.text import unfit_character

_LIST = re.compile(r"whole-(\d{6})-(\d{6})-([0-9a-f]{16})\.json")
_LARGEST = 16 << 20
#: Ends no name: a file of the run that is below a folder keeps its path.
FILES = "files"


@dataclass(frozen=True)
class Part:
    """A file of a state: its hash (hex) and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Whole:
    """A whole state of a run.

    Attributes:
        name: of its list in the store.
        mirror: the number of the mirror that sent it.
        machine: that sent it, for people.
        files: by their path in the run.
    """

    name: str
    mirror: str
    machine: str
    files: dict[str, Part]


def stored_name(name: str, part: Part) -> str:
    """Where a file of a run is, relative to the run's folder in the store."""
    path = PurePosixPath(FILES, name)
    return str(path.with_name(f"{part.sha256[:16]}-{path.name}"))


def list_names(names: Iterable[str]) -> list[str]:
    """Those of names that are of lists, newest first."""
    return sorted((name for name in names if _LIST.fullmatch(name)), reverse=True)


def numbers_of(name: str) -> tuple[int, int]:
    """The numbers of a list: of the lease that it was written under, and its own."""
    found = _LIST.fullmatch(name)
    assert found is not None
    return int(found[1]), int(found[2])


def wholes(store: FsspecStore, run: str) -> list[Whole]:
    """The states of a run, newest first; lists that are damaged are left out.

    Raises:
        DmddError: the store cannot be read.
    """
    found = (read_list(store, run, name) for name in list_names(store.names(run)))
    return [whole for whole in found if whole is not None]


def read_list(store: FsspecStore, run: str, name: str) -> Whole | None:
    """A list; None where it is damaged or not there any more.

    Raises:
        DmddError: the store cannot be read.
    """
    data = store.read(f"{run}/{name}", _LARGEST)
    match = _LIST.fullmatch(name)
    if data is None or match is None or hashlib.sha256(data).hexdigest()[:16] != match[3]:
        return None
    try:
        content = json.loads(data)
        files = {
            path: Part(str(part["sha256"]), int(part["size"])) for path, part in content["files"].items()
        }
        whole = Whole(name, str(content["mirror"]), str(content["machine"]), files)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return whole if all(map(_fits, whole.files)) else None


def _fits(path: str) -> bool:
    parts = path.split("/")
    return not any(part in ("", ".", "..") for part in parts) and unfit_character(path) is None


def write_list(
    store: FsspecStore, run: str, numbers: tuple[int, int], mirror: str, machine: str, files: dict[str, Part]
) -> str:
    """Write the list that makes a state visible; returns its name.

    Raises:
        DmddError: the store refuses.
    """
    content = {
        "mirror": mirror,
        "machine": machine,
        "files": {path: {"sha256": part.sha256, "size": part.size} for path, part in files.items()},
    }
    data = json.dumps(content, indent=1).encode()
    name = f"whole-{numbers[0]:06d}-{numbers[1]:06d}-{hashlib.sha256(data).hexdigest()[:16]}.json"
    store.create(f"{run}/{name}", data, replace=True)
    return name


def send_part(store: FsspecStore, run: str, name: str, file: Path, part: Part) -> None:
    """Send a file, unless it is there with the right hash.

    Raises:
        DmddError: the store refuses, or has another size afterwards.
    """
    path = f"{run}/{stored_name(name, part)}"
    if store.size(path) == part.size and hash_in(store, path, part.size) == part.sha256:
        return
    store.create(path, file, replace=True)
    if (size := store.size(path)) != part.size:
        raise FleetError(f"{store.name}/{path} has {size} bytes after {part.size} were sent.")


def sweep(store: FsspecStore, run: str, keep: int) -> None:
    """Remove all but the newest states, and files that none of them needs; what cannot be removed stays."""
    with suppress(DmddError):
        names = list_names(store.names(run))
        for name in names[keep:]:
            store.remove(f"{run}/{name}")
        kept = [read_list(store, run, name) for name in names[:keep]]
        needed = {
            stored_name(path, part)
            for whole in kept
            if whole is not None
            for path, part in whole.files.items()
        }
        for path in store.names(f"{run}/{FILES}", below=True):
            if f"{FILES}/{path}" not in needed:
                store.remove(f"{run}/{FILES}/{path}")


def remove_states(store: FsspecStore, run: str) -> None:
    """Remove a run: its lists first, so that a kill leaves files that no list names.

    Raises:
        DmddError: the store refuses.
    """
    for name in list_names(store.names(run)):
        store.remove(f"{run}/{name}")
    for path in store.names(f"{run}/{FILES}", below=True):
        store.remove(f"{run}/{FILES}/{path}")
