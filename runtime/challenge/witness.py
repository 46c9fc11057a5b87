"""What a challenge set had, kept beside its folder: without it, a set that is gone looks like none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dmdd_edge.errors import BundleError
from dmdd_edge.failures import unreadable
from dmdd_edge.fields import Name, Sha256
from dmdd_edge.outside_files import inside, read_bounded
from dmdd_edge.storage import write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: The file, in the folder of the category; hidden, because listings of versions skip hidden names.
WITNESS = ".challenge.json"
_LARGEST = 4 << 20
_SCHEMA = 1


class _Witness(BaseModel):
    """The contents of the file: the SHA-256 of each part's image, by the part's name."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = Field(default=_SCHEMA, ge=1, le=_SCHEMA)
    parts: Annotated[dict[Name, Sha256], Field(max_length=10_000)] = Field(default_factory=dict)


def write_witness(category_folder: Path, parts: dict[str, str]) -> None:
    """Note the parts that the set must have; the caller holds the set.

    A new part goes into the index before it goes here, and a removed one leaves here first: a kill between
    the two never makes a whole set look short.

    Args:
        category_folder: of the category, which holds its versions.
        parts: the SHA-256 of each image, by the part's name.

    Raises:
        StorageError: the disk refuses.
    """
    text = _Witness(parts=parts).model_dump_json(indent=2) + "\n"
    write_atomically(category_folder / WITNESS, text)


def missing_parts(category_folder: Path, present: set[str]) -> dict[str, str]:
    """The parts that were added, and that the set has no longer; none without a witness.

    Args:
        category_folder: of the category.
        present: the SHA-256 of each image that the set has, in lower case.

    Returns:
        the SHA-256 of each image, by the part's name.

    Raises:
        DmddError: the witness cannot be read.
    """
    path = category_folder / WITNESS
    fix = f"See that the parts are whole, then remove {path}; the next `challenge add` writes it again."
    try:
        witness = validate(_Witness, parse_object(read_bounded(inside(category_folder, WITNESS), _LARGEST)))
    except FileNotFoundError:  # of a set that was copied without it, or was made before there was one
        return {}
    except OSError as error:
        raise unreadable(error, path, fix) from error
    except NotStrict as error:
        raise BundleError(f"{path} is damaged: {error}.", fix) from None
    return {name: digest for name, digest in witness.parts.items() if digest.lower() not in present}
