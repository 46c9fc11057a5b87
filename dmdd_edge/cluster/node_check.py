"""What a node of a cluster says about itself; runs there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge._version import __version__


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
    """Which version this is, and which of some paths are not here."""
    return Seen(__version__, [path for path in paths if not Path(path).exists()])
