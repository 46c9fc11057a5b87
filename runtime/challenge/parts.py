"""The challenge set on the disk: known-bad parts of a category, their images and one index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dmdd_edge.data.images import IMAGE_SUFFIXES
from dmdd_edge.errors import BundleError, DataError, DmddError
from dmdd_edge.failures import storage_error, storage_errors, unreadable
from dmdd_edge.fields import LongText, Name, Sha256, Text
from dmdd_edge.messages.commands import command
from dmdd_edge.outside_files import inside, read_bounded
from dmdd_edge.runtime.challenge.witness import missing_parts
from dmdd_edge.storage import sha256_of
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: The folder of the challenge set, beside the versions of a category; and its index in it.
FOLDER, INDEX = "challenge", "index.json"
#: The most parts that a set may have: each of them is run at every change.
MOST_PARTS = 1000
#: The largest index that is read, in bytes.
_LARGEST = 32 << 20
#: Parts that a message names.
_NAMED = 5
_SCHEMA = 1

Pixels = Annotated[int, Field(ge=0, le=1 << 20)]
Extent = Annotated[int, Field(ge=1, le=1 << 20)]


class ChallengePart(BaseModel):
    """A known-bad part.

    Attributes:
        name: for people; unique in the set.
        file: name of its image in the folder of the set, a copy of the file that was added.
        sha256: of the image's bytes.
        note: what is wrong with it.
        added: when, ISO 8601 in UTC.
        by: who added it.
        source: path of the file that was added.
        box: x, y, width, height of the defect, in pixels of the image; None when it was not given.
    """

    model_config = ConfigDict(frozen=True)

    name: Name
    file: Name
    sha256: Sha256
    note: LongText = ""
    added: Text
    by: Text = ""
    source: LongText = ""
    box: tuple[Pixels, Pixels, Extent, Extent] | None = None


class Index(BaseModel):
    """The contents of ``challenge/index.json``."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = Field(default=_SCHEMA, ge=1, le=_SCHEMA)
    category: Name
    parts: tuple[ChallengePart, ...] = Field(default=(), max_length=MOST_PARTS)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Index:
        for what in ("name", "file"):
            values = [getattr(part, what).casefold() for part in self.parts]
            twin = next((value for value in values if values.count(value) > 1), None)
            if twin is not None:
                raise ValueError(f"has two parts with the {what} {twin!r}")
        return self


@dataclass(frozen=True)
class ChallengeSet:
    """A challenge set as the disk has it.

    Attributes:
        folder: of the set; it need not exist.
        index: its parts.
        strays: names of images in the folder that the index does not list.
    """

    folder: Path
    index: Index
    strays: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[ChallengePart, ...]:
        """The parts, in the order in which they were added."""
        return self.index.parts

    def path(self, part: ChallengePart) -> Path:
        """The image of a part.

        Raises:
            DmddError: the name leads out of the folder.
        """
        return inside(self.folder, part.file)

    def problem(self, part: ChallengePart) -> DmddError | None:
        """Why the image of a part is not the one that was added; None when it is."""
        restore = "Restore the file, or remove the part and add it again."
        try:
            path = self.path(part)
            if sha256_of(path) != part.sha256.lower():
                return DataError(f"{path} was altered: its SHA-256 is not the one in {INDEX}.", restore)
        except DmddError as error:
            return error if not isinstance(error, OSError) else DataError(error.message, restore)
        except OSError as error:
            return DataError(storage_error(error, self.folder / part.file, "read").message, restore)
        return None


def read_set(category_folder: Path, category: str = "") -> ChallengeSet:
    """The challenge set of a category; an empty one without any.

    Args:
        category_folder: of the category, which holds its versions.
        category: that the bundles are of; empty where that is not known.

    Raises:
        DmddError: the folder or its index cannot be read, belongs to another category, or lacks parts that
            were added and not removed.
    """
    found, missing = read_with_missing(category_folder, category)
    if missing:
        names, count = list(missing), len(missing)
        more = f" and {count - _NAMED} more" if count > _NAMED else ""
        raise BundleError(
            f"The challenge set {found.folder} lacks {count} part{'s' * (count != 1)} that "
            f"{'were' if count != 1 else 'was'} added and not removed: {', '.join(names[:_NAMED])}{more}.",
            _restore(category_folder, names[0] if found.parts else None),
        )
    return found


def read_with_missing(category_folder: Path, category: str = "") -> tuple[ChallengeSet, dict[str, str]]:
    """The challenge set of a category, and the parts that it lacks: the SHA-256 of each, by its name.

    Args:
        category_folder, category: as for ``read_set``.

    Raises:
        DmddError: the folder or its index cannot be read, or belongs to another category.
    """
    folder = category_folder / FOLDER
    name, fix = category or category_folder.resolve().name, _restore(category_folder)
    found = _read_folder(folder, category, name, fix)
    return found, missing_parts(category_folder, {part.sha256.lower() for part in found.parts})


def _restore(category_folder: Path, part: str | None = None) -> str:
    """What to do with a set that lacks a part, or all of them."""
    chosen = {"category": category_folder.name, "models_dir": category_folder.parent}
    named = () if part is None else (part,)
    confirm = command("challenge", "remove", *named, **chosen, all=part is None)
    what = "its parts are" if part is None else f"{part} is"
    return f"Restore {category_folder / FOLDER} from a backup, or confirm that {what} gone: {confirm}"


def _read_folder(folder: Path, category: str, name: str, fix: str) -> ChallengeSet:
    empty = ChallengeSet(folder, Index(category=name))
    with storage_errors(folder, "read"):
        if not folder.is_dir():
            if folder.is_symlink() or folder.exists():
                raise BundleError(f"{folder} is not a folder, so there is no challenge set.", fix)
            return empty
        images = image_names(folder)
    path = folder / INDEX
    try:
        index = validate(Index, parse_object(read_bounded(inside(folder, INDEX), _LARGEST)))
    except FileNotFoundError:
        if images:  # a set without its index would let everything pass
            raise BundleError(f"{folder} holds {len(images)} images, but no {INDEX}.", fix) from None
        return empty
    except OSError as error:
        raise unreadable(error, path, fix) from error
    except NotStrict as error:
        raise BundleError(f"{path} is damaged: {error}.", fix) from None
    if category and index.category != category:
        raise BundleError(f"The challenge set {folder} belongs to {index.category}, not to {category}.", fix)
    known = {part.file for part in index.parts}
    return ChallengeSet(folder, index, tuple(name for name in images if name not in known))


def image_names(folder: Path) -> list[str]:
    """Names of the images in the folder of a set, sorted."""
    return sorted(entry.name for entry in folder.iterdir() if _is_image(entry))


def _is_image(entry: Path) -> bool:
    return not entry.name.startswith(".") and entry.name.lower().endswith(IMAGE_SUFFIXES)
