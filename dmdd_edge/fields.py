"""Types of fields that come from elsewhere: each has its pattern, its range and its longest value."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from dmdd_edge.messages.text import LONGEST_NAME, is_plain_name, unfit_character, visible

#: The longest text that a file keeps, in characters.
LONGEST_TEXT = 8000

#: Folders deep that a file of a bundle may be.
_DEEPEST = 8


def _plain_text(text: str) -> str:
    unfit = unfit_character(text)
    if unfit is not None:
        raise ValueError(f"the character {visible(unfit)} is not accepted")
    return text


def _plain_name(name: str) -> str:
    if not is_plain_name(name):
        raise ValueError(
            f"{visible(name[:LONGEST_NAME])!r} cannot name a folder: one part, not hidden, printable, "
            f"at most {LONGEST_NAME} bytes"
        )
    return name


def _file_name(name: str) -> str:
    parts = PurePosixPath(name)
    if not name or parts.is_absolute() or ".." in parts.parts or "\\" in name:
        raise ValueError(f"the path `{visible(name)}` leaves the bundle's folder")
    if (
        parts.as_posix() != name
        or len(parts.parts) > _DEEPEST
        or any(len(p.encode()) > 255 for p in parts.parts)
    ):
        raise ValueError(f"the path `{visible(name)}` is not in its plain form, as engines/a.engine")
    return name


#: Text for a person: one line.
Text = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_plain_text)]
#: A source as a user gave it, such as a path or an address.
LongText = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_plain_text)]
#: The name of a category or version: names a folder.
Name = Annotated[str, StringConstraints(max_length=LONGEST_NAME), AfterValidator(_plain_name)]
#: A file's path inside a bundle, with ``/``.
FileName = Annotated[
    str, StringConstraints(max_length=1000), AfterValidator(_plain_text), AfterValidator(_file_name)
]
#: SHA-256 in hex.
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]
#: 0..1.
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
#: A number of things.
Count = Annotated[int, Field(ge=0, le=10**9)]
#: The side of the network's input, in pixels.
Side = Annotated[int, Field(ge=16, le=8192)]
#: The size of a file.
Bytes = Annotated[int, Field(ge=0, le=1 << 40)]
#: A length, such as that of a pixel in millimeters.
PositiveLength = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class Sparse(BaseModel):
    """A model that is written without those of its fields that have their default.

    For fields that came later: a file that does not use them stays as earlier releases write and read it.

    Attributes:
        SPARSE: the fields that are left out when they have their default.
    """

    SPARSE: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _leave_out(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = write(self)
        known = type(self).model_fields
        return {
            name: value
            for name, value in fields.items()
            if name not in self.SPARSE or getattr(self, name) != known[name].default
        }
