"""The options of ``dmdd-edge sample``; ``write_sample`` takes the same values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dmdd_edge.options import Option, Options


@dataclass(frozen=True, kw_only=True)
class SampleOptions(Options):
    """Where a category is drawn, and how many images of which size."""

    folder: Annotated[Path, Option("Data set folder to draw into.", argument=True)]
    category: Annotated[str, Option("Name of the category.")] = "plate"
    train: Annotated[int, Option("Good training images.", minimum=1, range_in_help=False)] = 60
    test_good: Annotated[int, Option("Good test images.", minimum=0, range_in_help=False)] = 12
    test_bad: Annotated[int, Option("Defective test images per type.", minimum=0, range_in_help=False)] = 8
    size: Annotated[
        int, Option("Side of the images in pixels.", minimum=64, maximum=2048, range_in_help=False)
    ] = 256
    seed: Annotated[int, Option("Same seed, same images.", minimum=0, range_in_help=False)] = 0
    overwrite: Annotated[bool, Option("Replace a category drawn before.")] = False
