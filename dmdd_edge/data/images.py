"""Reading images, the one resize function, and listing image files. Masks are read by ``masks``.

Training, evaluation and the runtime all use this module, so a pixel means the same in each of them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.decoding import Decoded, read_file, readable_suffixes
from dmdd_edge.data.masks import read_mask as read_mask
from dmdd_edge.errors import DataError

#: Suffixes, in lower case, of what every stage accepts as an image file: the formats that OpenCV reads here.
IMAGE_SUFFIXES = readable_suffixes()

#: The smallest side, in pixels, that is still taken for an image of a part.
MIN_SIDE = 16

#: How many bits of a 16-bit file a camera may use.
BITS = (10, 12, 14, 16)

#: Rows of a 16-bit image that are scaled at once.
_BAND = 64


def read_image(path: str | Path, bits: int = 16) -> NDArray[np.uint8]:
    """Read an image file as uint8 H x W x 3 in BGR order, 0..255.

    - Gray becomes three equal channels. An alpha channel is dropped: cameras on the line do not have one.
    - 16 bits are scaled by their full range, 65535 -> 255, rounded, never by what the image holds, so that
      equal light gives equal values in every image. Where a camera writes fewer bits into the low end of a
      16-bit file, ``bits`` says how many: with 12, 4095 -> 255, and what is above is white.
    - The EXIF orientation of a photograph is applied. Of a file with several pages or animation frames the
      first is read.

    Args:
        path: the file.
        bits: bits that a 16-bit file uses, one of ``BITS``.

    Raises:
        DmddError: naming the file, when it is missing, empty, cut off, damaged, not a readable image, of a
            pixel type other than 8 or 16 bits, larger than ``decoding.limit_megapixels()`` or smaller than 16
            pixels per side.
    """
    return to_uint8(checked(read_file(Path(path)), str(path)).image, bits)


def checked(decoded: Decoded, name: str) -> Decoded:
    """Return the image unless it is too small to show a part.

    Raises:
        DmddError: it has fewer than ``MIN_SIDE`` pixels per side.
    """
    height, width = decoded.image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise DataError(
            f"{name}: {width} x {height} pixels is too small for an image (at least {MIN_SIDE} per side).",
            "Remove the file, or replace it by the full image.",
        )
    return decoded


def to_uint8(image: NDArray[Any], bits: int = 16) -> NDArray[np.uint8]:
    """Scale an image of uint8 or uint16, H x any, to uint8; uint8 is not changed, whatever ``bits`` is."""
    if image.dtype != np.uint16:
        return image.astype(np.uint8, copy=False)
    scaled, values = np.empty(image.shape, np.uint8), _scale(bits)
    # NumPy makes 8 bytes of each index: of 100 megapixels at once it would take 2.4 GB.
    for top in range(0, len(image), _BAND):
        scaled[top : top + _BAND] = values[image[top : top + _BAND]]
    return scaled


@lru_cache(maxsize=4)
def _scale(bits: int) -> NDArray[np.uint8]:
    """The scaled value of each of the 65536 values."""
    top = (1 << bits) - 1
    values = np.minimum(np.arange(1 << 16, dtype=np.int64), top)
    return ((2 * 255 * values + top) // (2 * top)).astype(np.uint8)  # rounded to the nearest


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Stretch an image to size x size: uint8 H x W x 3 -> uint8 S x S x 3, the color order unchanged.

    Averages over areas (INTER_AREA) where an axis shrinks, interpolates (INTER_LINEAR) where it grows. An
    image already of that size is returned itself, not a copy.
    """
    return stretch(image, size, size)


def is_gray(image: NDArray[np.uint8]) -> bool:
    """Whether the three channels of H x W x 3 are the same everywhere."""
    return bool((image == image[..., :1]).all())


def resize_mask(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Stretch a mask to size x size: bool H x W -> bool S x S.

    A pixel is True where at least half of its area is marked. A mask that marks something never comes out
    empty: when no pixel reaches half, every pixel touched counts.
    """
    return fit_mask(mask, (size, size))


def fit_mask(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Stretch a mask to its image's size: bool H x W -> bool of ``shape``'s height and width.

    A pixel is True where at least half of its area is marked, and where any is when that would be nowhere.
    """
    height, width = shape[:2]
    if mask.shape == (height, width):
        return mask
    covered = stretch(mask.astype(np.float32), width, height)
    result: NDArray[np.bool_] = covered >= 0.5
    if not result.any() and mask.any():
        result = covered > 0
    return result


def list_images(
    folder: str | Path, recursive: bool = False, passed_over: Counter[str] | None = None
) -> list[Path]:
    """List the image files in a folder, in natural order (2.png before 10.png), hidden files left out.

    Args:
        folder: where to look.
        recursive: look in subfolders too (links to folders are not followed).
        passed_over: counts what is left out, by ``kind_of_file``, or as ``hidden``, ``linked folder``,
            ``unreadable folder`` or, unless recursive, ``subfolder``.

    Raises:
        DmddError: when the folder does not exist, or may not be entered.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder.", fix="Check the path.")
    counted: Counter[str] = Counter() if passed_over is None else passed_over

    def unreadable(error: OSError) -> None:
        if error.filename == os.fspath(folder):
            raise error
        counted["unreadable folder"] += 1

    images: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable):
        wanted = []
        for name in folders:
            if name.startswith("."):
                counted["hidden"] += 1
            elif os.path.islink(os.path.join(parent, name)):  # noqa: PTH114, PTH118  (a string is faster)
                counted["linked folder"] += 1
            elif recursive:
                wanted.append(name)
            else:
                counted["subfolder"] += 1
        folders[:] = wanted
        for name in names:
            if name.startswith("."):
                counted["hidden"] += 1
            elif name.lower().endswith(IMAGE_SUFFIXES):
                images.append(Path(parent) / name)
            else:
                counted[kind_of_file(name)] += 1
    return sorted(images, key=natural_key)


def kind_of_file(name: str) -> str:
    """Kind of a file that is not an image: its suffix in lower case, such as ``.heic``."""
    return os.path.splitext(name)[1].lower() or "no suffix"  # noqa: PTH122


def describe_passed_over(counts: Mapping[str, int]) -> str:
    """Counts of what was passed over, in words: ``3 .heic, 2 linked folder``; empty when nothing was."""
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items(), key=lambda item: -item[1]))


def natural_key(path: Path) -> str:
    """The sorting key of natural order: digits compare as numbers, folder by folder.

    One string per path, since a folder may hold a million of them.
    """
    return "\0".join(_natural(part) for part in path.parts)


def in_order(path: Path) -> tuple[str, str]:
    """The sorting key of natural order, in which names that differ by their case alone have an order too."""
    return natural_key(path), str(path)


def _natural(part: str) -> str:
    """A name as text that compares as its pieces would: text in lower case, numbers by their size.

    No name holds NUL, which parts folders, so that a name comes before a longer one; ``\1`` ends a piece.
    """
    pieces = re.split(r"(\d+)", part)
    for index in range(1, len(pieces), 2):
        digits = str(int(pieces[index]))
        pieces[index] = f"{chr(len(digits) + 1)}{digits}\1{pieces[index]}"
    return "\1".join(piece if index % 2 else piece.lower() for index, piece in enumerate(pieces))


def stretch(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Stretch an image of any type to width x height, as ``resize`` does."""
    # OpenCV turns INTER_AREA into interpolation as soon as one axis grows, and the other one would alias.
    # So what shrinks is shrunk first, then what grows is grown.
    h, w = image.shape[:2]
    shrunk = (min(w, width), min(h, height))
    if shrunk != (w, h):
        image = cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image
