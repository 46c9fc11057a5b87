"""The index of a store: what there is, for web servers, which cannot be listed. It decides nothing."""

from __future__ import annotations

import json
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from dmdd_edge.errors import FleetError
from dmdd_edge.fields import Name
from dmdd_edge.fleet.store import INDEX_NAME
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: The largest index that is read, in bytes; one of 80 categories with 20 versions has 60 kB.
LARGEST_INDEX = 4 << 20

_SCHEMA = 1


class _Readable(Protocol):
    name: str

    def read(self, path: str, limit: int) -> bytes | None:
        """See ``Store``."""


class _Index(BaseModel):
    model_config = ConfigDict(frozen=True)

    schema_version: int = Field(ge=1, le=_SCHEMA)
    categories: dict[Name, list[Name]]


def read_index(store: _Readable) -> dict[str, list[str]] | None:
    """The versions of each category, as the index has them; None without one.

    Raises:
        DmddError: it is malformed or too large, or the store cannot be read.
    """
    data = store.read(INDEX_NAME, LARGEST_INDEX)
    if data is None:
        return None
    try:
        index = validate(_Index, parse_object(data))
    except NotStrict as error:
        raise FleetError(
            f"{store.name}/{INDEX_NAME}: {error}.", "Write it again with `dmdd-edge models push`."
        ) from None
    return {category: sorted(versions) for category, versions in sorted(index.categories.items())}


def index_bytes(versions: dict[str, list[str]]) -> bytes:
    """The index as it is written: JSON with a final line break."""
    return (json.dumps({"schema_version": _SCHEMA, "categories": versions}, indent=1) + "\n").encode()
