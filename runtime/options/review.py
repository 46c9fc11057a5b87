"""The options of ``dmdd-edge review``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dmdd_edge.options import Option, Options


@dataclass(frozen=True, kw_only=True)
class ReviewServing(Options):
    """How the review page is served."""

    serve: Annotated[
        str, Option("Serve the review page at 8080, or at 127.0.0.1:8080.", number=True, example='"8080"')
    ] = "8080"
    serve_token_env: Annotated[
        str | None, Option("Environment variable with the token that may give verdicts.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class ArchiveName(Options):
    """Which archive is meant."""

    archive: Annotated[Path, Option("Folder of an archive.", argument=True, metavar="DIR")]
