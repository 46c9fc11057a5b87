"""Which backend runs the graph, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dmdd_edge.options import Option, Options


@dataclass(frozen=True, kw_only=True)
class EngineCacheOption(Options):
    """Where engines built on this machine are."""

    engine_cache: Annotated[Path | None, Option("Folder of engines built on this machine.")] = None
