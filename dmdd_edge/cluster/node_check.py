"""What a node of a cluster says about itself; runs there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge._version import __version__
from dmdd_edge.data_address import is_address
from dmdd_edge.errors import DmddError


@dataclass(frozen=True)
class Seen:
    """What a node says.

    Attributes:
        version: of dmdd-edge.
        missing: what it does not see.
    """

    version: str
    missing: list[str]


def look(paths: Sequence[str]) -> Seen:
    """Which version this is, and which of some paths and addresses of stores cannot be used here."""
    return Seen(__version__, [path for path in paths if not _is_there(path)])


def _is_there(path: str) -> bool:
    """Whether a file or a folder is here, or a store answers from here."""
    if not is_address(path):
        return Path(path).exists()
    from dmdd_edge.fleet.fsspec_store import FsspecStore

    try:
        FsspecStore(path).names()
    except DmddError:
        return False
    return True
