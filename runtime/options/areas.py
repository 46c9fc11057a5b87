"""The options that say how large a region must be, alike for all commands that decide on parts."""

from __future__ import annotations

from typing import Annotated

from dmdd_edge.bundle.area import parse_area
from dmdd_edge.options import Option

MinArea = Annotated[
    str | None,
    Option(
        "Smallest area of a region that makes a part anomalous: 120px of the source image, or 2.5mm2. "
        "Of a run, 0 is any.",
        number=True,
        check=parse_area,
        example='"120px"',
        metavar="AREA",
    ),
]
PixelSize = Annotated[
    float | None,
    Option("Millimeters per pixel of the source image, for areas in mm2.", above=0, maximum=1e6),
]
