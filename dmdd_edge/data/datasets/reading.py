"""Read the images of a category one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import read_image
from dmdd_edge.errors import DmddError


def read_images(
    paths: Iterable[Path], on_error: Callable[[Path, str], None], bits: int = 16
) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """Read images one by one, skipping broken ones.

    Args:
        paths: the files.
        on_error: called with the path and the reason for each file that cannot be read; `Category.skip` fits.
        bits: bits that a 16-bit file uses; see `read_image`.

    Yields:
        path and image, uint8 H x W x 3 BGR.
    """
    for path in paths:
        try:
            image = read_image(path, bits)
        except DmddError as error:
            on_error(path, error.message.removeprefix(f"{path}: "))
            continue
        yield path, image
