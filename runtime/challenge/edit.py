"""Add parts to a challenge set, and remove them: wholly or not at all, one process at a time."""

from __future__ import annotations

import getpass
import hashlib
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from dmdd_edge.data.decoding import decode_bytes
from dmdd_edge.data.images import checked
from dmdd_edge.errors import BundleError, DataError, DmddError, OptionError
from dmdd_edge.failures import storage_errors
from dmdd_edge.fields import LONGEST_TEXT
from dmdd_edge.locking import locked
from dmdd_edge.messages.suggest import did_you_mean
from dmdd_edge.messages.text import is_plain_name, visible
from dmdd_edge.outside_files import read_bounded
from dmdd_edge.runtime.challenge.parts import (
    FOLDER,
    INDEX,
    MOST_PARTS,
    ChallengePart,
    ChallengeSet,
    Index,
    image_names,
    read_set,
    read_with_missing,
)
from dmdd_edge.runtime.challenge.witness import write_witness
from dmdd_edge.storage import fsync_path, make_folder, write_atomically

Box = tuple[int, int, int, int]
#: The largest image file that is added, in bytes.
_LARGEST_IMAGE = 1 << 30
#: How long a second process waits for the first, in seconds, and how often it looks.
_PATIENCE, _LOOK = 10.0, 0.05


class _BusyError(BundleError):
    """Another process changes the set."""


@dataclass(frozen=True)
class Added:
    """What was added.

    Attributes:
        challenge: the set now.
        parts: the new ones.
        known: files whose image the set has already, with the name of its part.
    """

    challenge: ChallengeSet
    parts: tuple[ChallengePart, ...]
    known: tuple[tuple[Path, str], ...] = ()


def add_parts(
    category_folder: Path,
    paths: Sequence[Path],
    note: str = "",
    name: str | None = None,
    box: Box | None = None,
    by: str | None = None,
    category: str = "",
) -> Added:
    """Copy images of known-bad parts into a category's challenge set; all of them, or none.

    Each file is copied byte by byte. A kill at any moment leaves the index as it was or with all the parts;
    at worst an image is there that the index does not list, and adding it again uses it.

    Args:
        category_folder: of the category, which holds its versions.
        paths: image files.
        note: what is wrong with the parts.
        name: of the part, for one image; default: the file's name without its suffix.
        box: x, y, width, height of the defect in pixels, for one image.
        by: who adds them; default: the user and the machine.
        category: that the bundles are of; empty for the folder's name.

    Raises:
        OptionError: there is no image, or a name or a box does not fit.
        DataError: a file is not a readable image.
        BundleError: the set is damaged, full, or being changed by another process.
        StorageError: the disk refuses. The set is as before, or has all the parts: add them again.
    """
    if not paths:
        raise OptionError("There is no image to add.", "Name image files of known-bad parts.")
    if len(paths) > 1 and (name is not None or box is not None):
        raise OptionError("A name or a box is for a single image.", "Add one image at a time.")
    digests = [hashlib.sha256(_read(path, box)).hexdigest() for path in paths]
    with _changing(category_folder, category) as challenge, ExitStack() as undo:
        hashes = {part.sha256: part.name for part in challenge.parts}
        parts, known, new = list(challenge.parts), [], []
        for path, digest in zip(paths, digests, strict=True):
            if digest in hashes:
                known.append((path, hashes[digest]))
                continue
            part = ChallengePart(
                **_names(challenge, parts, path, name, digest),
                sha256=digest,
                note=visible(note)[:LONGEST_TEXT],
                added=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                by=visible(by if by is not None else somebody())[:1000],
                source=visible(str(path.absolute()))[:LONGEST_TEXT],
                box=box,
            )
            hashes[digest] = part.name
            parts.append(part)
            new.append(part)
            target, data = challenge.folder / part.file, read_bounded(path, _LARGEST_IMAGE)
            if hashlib.sha256(data).hexdigest() != digest:
                raise DataError(f"{path} was changed while it was read.", "Add it again.")
            if part.file not in challenge.strays:  # what is there already has the same bytes, and may stay
                undo.callback(_remove, target)
            write_atomically(target, data)
        if len(parts) > MOST_PARTS:
            raise BundleError(
                f"The challenge set would have {len(parts)} parts; at most {MOST_PARTS} are kept.",
                "Remove parts that others make unnecessary.",
            )
        index = Index(category=challenge.index.category, parts=tuple(parts))
        if new:
            _write(challenge.folder, index)
        undo.pop_all()
        write_witness(category_folder, _digests(parts))
    return Added(ChallengeSet(challenge.folder, index), tuple(new), tuple(known))


def remove_part(category_folder: Path, name: str) -> ChallengePart | None:
    """Remove a part from the challenge set, with its image.

    Returns:
        the part; None for one that the set lacked already, whose removal is confirmed by this.

    Raises:
        BundleError: the set is damaged, or being changed by another process.
        OptionError: there is no part of this name.
        StorageError: the disk refuses.
    """
    with _held(category_folder / FOLDER):
        challenge, missing = read_with_missing(category_folder)
        part = next((part for part in challenge.parts if part.name == name), None)
        rest = tuple(each for each in challenge.parts if each is not part)
        if part is None and name not in missing:
            names = [*(part.name for part in challenge.parts), *missing]
            there = f"it has {', '.join(names[:20])}" if names else "it is empty"
            raise OptionError(
                f"The challenge set of {category_folder.name} has no part {name!r}: {there}.",
                did_you_mean(name, names) or "Name one that it has.",
            )
        if part is None:
            del missing[name]
        write_witness(category_folder, {**missing, **_digests(rest)})
        if part is not None:
            # The index before the image: an image that no part names does no harm.
            _write(challenge.folder, Index(category=challenge.index.category, parts=rest))
            _remove(challenge.folder / part.file)
    return part


@dataclass(frozen=True)
class Removed:
    """What the removal of a whole set did.

    Attributes:
        parts: that the index had, in its order.
        problem: what was wrong with the set; empty when it was whole.
        kept: names of images in the folder that no index listed; they stay.
    """

    parts: tuple[ChallengePart, ...]
    problem: str
    kept: tuple[str, ...]


def remove_all(category_folder: Path, category: str = "") -> Removed:
    """Empty the challenge set, also one that is damaged or gone.

    Images that a damaged index does not name stay.

    Args:
        category_folder: of the category, which holds its versions.
        category: that the bundles are of; empty for the folder's name.

    Raises:
        BundleError: the set is being changed by another process, or its folder is something else.
        StorageError: the disk refuses.
    """
    folder, problem = category_folder / FOLDER, ""
    parts: tuple[ChallengePart, ...] = ()
    with _held(folder):
        make_folder(folder)
        try:
            found, missing = read_with_missing(category_folder, category)
            parts = found.parts
            problem = f"the set lacked {', '.join(missing)}" if missing else ""
        except DmddError as error:
            problem = error.message
        write_witness(category_folder, {})
        _write(folder, Index(category=category or category_folder.resolve().name))
        for part in parts:
            _remove(folder / part.file)
        with storage_errors(folder, "read"):
            kept = tuple(image_names(folder))
    return Removed(parts, problem, kept)


def somebody() -> str:
    """The user and the machine, for a record."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without an account, as in a container
        user = "unknown user"
    return f"{user} on {socket.gethostname()}"


@contextmanager
def _changing(category_folder: Path, category: str = "") -> Iterator[ChallengeSet]:
    """The set, which no other process changes meanwhile."""
    folder = category_folder / FOLDER
    with _held(folder):
        challenge = read_set(category_folder, category)
        make_folder(folder)
        if not (folder / INDEX).exists():
            # Before any image: images without an index are a damaged set.
            _write(folder, challenge.index)
            fsync_path(category_folder)
        with storage_errors(folder):
            for torn in folder.glob(".*.part"):  # of a writer that was killed
                torn.unlink(missing_ok=True)
        yield challenge


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    def busy(holder: str) -> DmddError:
        return _BusyError(f"The challenge set {folder} is being changed by {holder}.", "Try again.")

    with ExitStack() as stack:
        _enter_patiently(lambda: stack.enter_context(locked(folder, busy)))
        yield


def _enter_patiently(enter: Callable[[], object]) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            enter()
            return
        except _BusyError:
            if time.monotonic() >= end:
                raise
        time.sleep(_LOOK)


def _read(path: Path, box: Box | None) -> bytes:
    """The bytes of an image file that can be decoded."""
    try:
        data = read_bounded(path, _LARGEST_IMAGE)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.", "Check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).", "Check the file.") from None
    height, width = checked(decode_bytes(data, str(path)), str(path)).image.shape[:2]
    if box is not None:
        x, y, w, h = box
        if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
            raise OptionError(
                f"The box {x},{y},{w},{h} is not inside {path}, which has {width} x {height} pixels.",
                "Give x,y,width,height in pixels of the image.",
            )
    return data


def _names(
    challenge: ChallengeSet, parts: Sequence[ChallengePart], path: Path, name: str | None, digest: str
) -> dict[str, str]:
    """The name of a new part, and of its file."""
    taken = {part.name.casefold() for part in parts}
    if name is not None and name.casefold() in taken:
        raise OptionError(f"The challenge set has a part {name!r} already.", "Give another name.")
    stem, suffix = (path.stem if name is None else name), path.suffix.lower()
    if not is_plain_name(f"{stem}-9999{suffix}"):
        raise OptionError(
            f"{visible(stem)!r} cannot name a part.", "Give another name: letters, digits, - and _."
        )
    candidates = [stem, *(f"{stem}-{number}" for number in range(2, MOST_PARTS + 2))]
    for candidate in candidates if name is None else [stem]:
        file = f"{candidate}{suffix}"
        if candidate.casefold() in taken or file.casefold() in {part.file.casefold() for part in parts}:
            continue
        if _is_free(challenge.folder / file, digest):
            return {"name": candidate, "file": file}
    raise OptionError(
        f"{challenge.folder / (stem + suffix)} is another image, which the index does not list.",
        "Remove that file, or give another name.",
    )


def _is_free(target: Path, digest: str) -> bool:
    """Whether a file may be written: nothing is there, or the same bytes, which a killed command left."""
    try:
        return hashlib.sha256(read_bounded(target, _LARGEST_IMAGE)).hexdigest() == digest
    except FileNotFoundError:
        return not target.is_symlink()
    except OSError:
        return False


def _digests(parts: Iterable[ChallengePart]) -> dict[str, str]:
    return {part.name: part.sha256 for part in parts}


def _write(folder: Path, index: Index) -> None:
    write_atomically(folder / INDEX, index.model_dump_json(indent=2) + "\n")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
