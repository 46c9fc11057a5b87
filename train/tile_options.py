"""The options that cut large images into tiles; loads neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options, Rule
from dmdd_edge.train.option_values import AUTO, check_tile, parse_extent

_TILES = "Large images"


def _tiled(values: Mapping[str, Any]) -> bool:
    return bool(values["tile"] or values["resume"] or values["continue_run"])


@dataclass(frozen=True, kw_only=True)
class TileOptions(Options):
    """How large images are cut into tiles."""

    tile: Annotated[
        str | None,
        Option(
            "Side of a tile in pixels of the source image, or auto. Default: the whole image is one input.",
            number=True,
            check=check_tile,
            suggested=(AUTO,),
            example='"512"',
            metavar="PX",
            panel=_TILES,
        ),
    ] = None
    overlap: Annotated[
        int | None,
        Option(
            "Pixels of the source image by which tiles overlap. Default: a quarter of the tile.",
            metavar="PX",
            panel=_TILES,
            minimum=0,
            maximum=4096,
            range_in_help=False,
        ),
    ] = None
    coarse: Annotated[
        bool,
        Option(
            "Evaluate the whole image too, scaled down to one tile: for large, bent and missing things.",
            name="--coarse/--no-coarse",
            panel=_TILES,
        ),
    ] = False
    score: Annotated[
        Literal["auto", "map", "place"],
        Option(
            "What decides on a tiled image: the peak of its map (map), or of its map beside good parts at "
            "the same place (place); auto takes what finds more synthetic damage on held-out images.",
            metavar="HOW",
            panel=_TILES,
        ),
    ] = "auto"
    smallest_defect: Annotated[
        str | None,
        Option(
            "Extent of the smallest defect to find, for --tile auto: 12px of the source image, or 0.5mm.",
            number=True,
            check=parse_extent,
            example='"12px"',
            metavar="EXTENT",
            panel=_TILES,
        ),
    ] = None
    mm_per_px: Annotated[
        float | None,
        Option(
            "Millimeters per pixel of the source image, for --smallest-defect in mm.",
            panel=_TILES,
            above=0,
            maximum=1e6,
        ),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(("overlap",), _tiled, "has no effect without --tile", "add --tile PX"),
        Rule(
            ("coarse",),
            lambda values: _tiled(values) or not values["coarse"],
            "has no effect without --tile",
            "add --tile PX",
        ),
        Rule(
            ("score",),
            lambda values: _tiled(values) or values["score"] == AUTO,
            "has no effect without --tile",
            "add --tile PX",
        ),
        Rule(
            ("smallest_defect",),
            lambda values: values["tile"] == AUTO,
            "has no effect without --tile auto",
            "give --tile auto",
        ),
        Rule(
            ("mm_per_px",),
            lambda values: (
                values["smallest_defect"] is not None and parse_extent(values["smallest_defect"])[1] == "mm"
            ),
            "has no effect without --smallest-defect in millimeters",
            "add --smallest-defect 0.5mm",
        ),
    )

    def check(self) -> None:
        """Raise an ``OptionError`` for an overlap of half a tile or more, or millimeters without a scale."""
        super().check()
        if self.tile not in (None, AUTO) and self.overlap is not None and 2 * self.overlap >= int(self.tile):
            raise OptionError(
                f"--overlap {self.overlap} is half of the tile of {self.tile} pixels or more.",
                f"Give less than {int(self.tile) // 2}, or leave it out.",
            )
        if self.smallest_defect is None or self.mm_per_px is not None:
            return
        if parse_extent(self.smallest_defect)[1] == "mm":
            raise OptionError(
                f"--smallest-defect {self.smallest_defect} needs the size of a pixel.",
                "Add --mm-per-px, the millimeters per pixel of the source image.",
            )
