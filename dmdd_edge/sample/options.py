"""The options of ``dmdd-edge sample``; ``write_sample`` takes the same values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options

#: What can be drawn; see ``SampleOptions.part``.
Part = Literal["plate", "panel", "web"]

#: Smallest and largest ``--size`` of each part, in pixels.
SIZES: dict[Part, tuple[int, int]] = {"plate": (64, 2048), "panel": (512, 8192), "web": (256, 4096)}

#: Largest size at which the plate is drawn where no part is named.
LARGEST_PLATE = 1024

#: Smallest and largest side of a small defect, in pixels.
DEFECT_SIZES = (3, 64)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Parse a list of defects' sizes such as ``6,12,24``.

    Raises:
        OptionError: not a list of sizes.
    """
    try:
        sizes = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        sizes = ()
    low, high = DEFECT_SIZES
    if not sizes or not all(low <= size <= high for size in sizes):
        raise OptionError(
            f"--defect-sizes: {text!r} is not a list of sizes.",
            f"Give whole numbers from {low} to {high}, for example 6,12,24.",
        )
    return sizes


@dataclass(frozen=True, kw_only=True)
class SampleOptions(Options):
    """Where a category is drawn, and how many images of which size."""

    folder: Annotated[Path, Option("Data set folder to draw into.", argument=True)]
    category: Annotated[str, Option("Name of the category.")] = "plate"
    train: Annotated[int, Option("Good training images.", minimum=1, range_in_help=False)] = 60
    test_good: Annotated[int, Option("Good test images.", minimum=0, range_in_help=False)] = 12
    test_bad: Annotated[int, Option("Defective test images per type.", minimum=0, range_in_help=False)] = 8
    size: Annotated[
        int,
        Option(
            "Side of the images in pixels; of a web the height, which is an eighth of its width.",
            minimum=64,
            maximum=8192,
            range_in_help=False,
        ),
    ] = 256
    part: Annotated[
        Part | None,
        Option(
            "plate, panel (detail and defects of a few pixels, for large images) or web (8 times as wide as "
            f"high). Default: plate up to {LARGEST_PLATE} px, panel above."
        ),
    ] = None
    defect_sizes: Annotated[
        tuple[int, ...],
        Option(
            "Longest side in pixels of the small defects of a panel or web; besides them there are three "
            "that cover a quarter of the part.",
            parse=parse_sizes,
            one_text=True,
            example='"6,12,24"',
            minimum=DEFECT_SIZES[0],
            maximum=DEFECT_SIZES[1],
            show_default="6,12,24",
        ),
    ] = (6, 12, 24)
    seed: Annotated[int, Option("Same seed, same images.", minimum=0, range_in_help=False)] = 0
    overwrite: Annotated[bool, Option("Replace a category drawn before.")] = False
