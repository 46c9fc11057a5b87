"""The options of an archive: what it keeps, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from dmdd_edge.options import Option, Options, Rule, needs
from dmdd_edge.runtime.options.sizes import parse_size, written_size

_PANEL = "Archive"
ArchiveFormat = Literal["png", "jpg"]


@dataclass(frozen=True, kw_only=True)
class ArchivePlace(Options):
    """Where the archive is."""

    archive: Annotated[
        Path | None,
        Option(
            "Keep images worth a look in this folder, for review: those that are not good or close to the "
            "threshold, and a random sample.",
            panel=_PANEL,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions(ArchivePlace):
    """What the archive keeps."""

    archive_size: Annotated[
        int,
        Option(
            "Size of the archive at most; the oldest images are deleted.",
            panel=_PANEL,
            parse=partial(parse_size, option="--archive-size"),
            written=written_size,
            minimum=1_000_000,
            show_default="2GB",
            example='"10GB"',
        ),
    ] = 2_000_000_000
    archive_sample: Annotated[
        float,
        Option(
            "Share of the good parts that the random sample keeps, 0..1.", panel=_PANEL, minimum=0, maximum=1
        ),
    ] = 0.01
    archive_margin: Annotated[
        float,
        Option(
            "Keep good parts whose normalized score is this close to the threshold, which is at 0.5.",
            panel=_PANEL,
            minimum=0,
            maximum=0.5,
        ),
    ] = 0.05
    archive_format: Annotated[
        ArchiveFormat,
        Option(
            "Format of the images: png, without loss, or jpg, several times smaller.", panel=_PANEL, parse=str
        ),
    ] = "png"

    RULES: ClassVar[tuple[Rule, ...]] = (
        needs(("archive_size", "archive_sample", "archive_margin", "archive_format"), "archive"),
    )
