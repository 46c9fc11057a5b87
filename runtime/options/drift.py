"""The options of ``dmdd-edge drift``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dmdd_edge.options import Option, Options


@dataclass(frozen=True, kw_only=True)
class DriftOptions(Options):
    """Which results are examined, and where the page goes."""

    results: Annotated[
        tuple[Path, ...],
        Option("Files of run --jsonl or of a station; rotated ones are read too.", argument=True),
    ]
    report: Annotated[Path | None, Option("Write a page with charts to this HTML file.")] = None
    drift_frames: Annotated[
        int,
        Option(
            "Frames from one false warning of drift to the next, on average.",
            minimum=10_000,
            maximum=1_000_000_000,
            range_in_help=False,
        ),
    ] = 1_000_000
