"""Reading images and masks, the one resize function, and listing image files.

Training, evaluation and the runtime all come through here, so a pixel means the same in each of them.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError

#: What `list_images` takes for an image; compared in lower case.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

#: The smallest side, in pixels, that is still taken for an image of a part.
MIN_SIDE = 16

if "OPENCV_LOG_LEVEL" not in os.environ:
    # A broken file is reported by our own error, with its name; OpenCV's warnings would only repeat it.
    # The function moved from cv2 to cv2.utils.logging between OpenCV 4 and 5; 1 = fatal errors only.
    _set_level = getattr(getattr(cv2.utils, "logging", cv2), "setLogLevel", None)
    if _set_level is not None:
        _set_level(1)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as uint8 H x W x 3 in BGR order, 0..255.

    - Grey becomes three equal channels. An alpha channel is dropped: a camera on the line has none.
    - 16 bits are scaled by their full range, 65535 -> 255 (v * 255 / 65535, rounded), never by what the image
      holds, so that equal light gives equal values in every image. A camera that writes 12 bits into the low
      end of a 16-bit file (0..4095) therefore gives a nearly black image of 0..16: have it write the high
      bits ("MSB aligned"), or convert first.
    - The EXIF orientation of a photograph is applied. Of a file with several pages the first is read.

    Raises:
        DmddError: naming the file, when it is missing, empty, cut off, not a readable image, of a pixel type
            other than 8 or 16 bits, or smaller than 16 pixels a side.
    """
    path = Path(path)
    image = _decode(path)
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise DmddError(
            f"{path}: {width} x {height} pixels is too small for an image (at least {MIN_SIDE} a side)",
            fix="remove the file or replace it by the full image",
        )
    if image.dtype == np.uint16:
        # 65535 = 255 * 257, so this is v * 255 / 65535 rounded to the nearest, without leaving integers.
        return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return image.astype(np.uint8, copy=False)


def read_mask(path: str | Path) -> NDArray[np.bool_]:
    """Read a ground-truth or ignore mask as bool H x W, True where marked.

    Marked is what reaches half of the largest value in the file: this takes 0/1, 0/255 and smoothed edges
    alike. A file of zeros marks nothing. Of a coloured mask the brightest channel counts.

    Raises:
        DmddError: naming the file, when it cannot be read.
    """
    values = _decode(Path(path)).max(axis=2).astype(np.uint32)
    marked: NDArray[np.bool_] = (values > 0) & (2 * values >= values.max())
    return marked


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Stretch an image to size x size: uint8 H x W x 3 -> uint8 S x S x 3, the colour order unchanged.

    Averages over areas (INTER_AREA) where an axis shrinks, interpolates (INTER_LINEAR) where it grows. An
    image already of that size is returned itself, not a copy.
    """
    return _stretch(image, size, size)


def is_grey(image: NDArray[np.uint8]) -> bool:
    """Whether the three channels of H x W x 3 are the same everywhere."""
    return bool((image == image[..., :1]).all())


def resize_mask(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Stretch a mask to size x size: bool H x W -> bool S x S.

    A pixel is True where at least half of its area is marked. A mask that marks something never comes out
    empty: when no pixel reaches half, every pixel touched counts.
    """
    if mask.shape == (size, size):
        return mask
    covered = _stretch(mask.astype(np.float32), size, size)
    result: NDArray[np.bool_] = covered >= 0.5
    if not result.any() and mask.any():
        result = covered > 0
    return result


def list_images(folder: str | Path, recursive: bool = False) -> list[Path]:
    """List the image files in a folder, in natural order (2.png before 10.png), hidden files left out.

    Args:
        folder: where to look.
        recursive: look in subfolders too (links to folders are not followed).

    Raises:
        DmddError: when the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DmddError(f"{folder}: no such folder", fix="check the path")
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")] if recursive else []
        for name in names:
            if not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES):
                found.append(Path(parent) / name)
    return sorted(found, key=natural_key)


def natural_key(path: Path) -> list[list[tuple[int, int, str]]]:
    """The sorting key of natural order: digits compare as numbers, folder by folder."""
    return [
        [
            (0, int(piece), piece) if piece.isdecimal() else (1, 0, piece.lower())
            for piece in re.split(r"(\d+)", part)
        ]
        for part in path.parts
    ]


def _stretch(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    # OpenCV turns INTER_AREA into interpolation as soon as one axis grows, and the other one would alias.
    # So what shrinks is shrunk first, then what grows is grown.
    h, w = image.shape[:2]
    shrunk = (min(w, width), min(h, height))
    if shrunk != (w, h):
        image = cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image


def _decode(path: Path) -> NDArray[Any]:
    """Decode a file into uint8 or uint16 H x W x 3, BGR."""
    try:
        # Not cv2.imread: it fails on some paths (Windows, non-ASCII) and says nothing about why.
        data = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise DmddError(f"{path}: no such file", fix="check the path") from None
    except OSError as error:
        raise DmddError(f"{path}: cannot be read ({error.strerror or error})", fix="check the file") from None
    remedy = "replace the file by a whole one, or remove it"
    if data.size == 0:
        raise DmddError(f"{path}: the file is empty (0 bytes)", fix=remedy)
    if _is_cut_off(data):
        raise DmddError(f"{path}: the file ends too early (a broken copy?)", fix=remedy)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise DmddError(f"{path}: cannot be decoded ({error.err})", fix=remedy) from None
    if image is None:
        raise DmddError(f"{path}: not an image that can be read (png, jpg, bmp, tif)", fix=remedy)
    if image.dtype not in (np.uint8, np.uint16):
        raise DmddError(
            f"{path}: holds {image.dtype} pixels; 8 or 16 bits can be read", fix="convert it to 8 or 16 bits"
        )
    return image


def _is_cut_off(data: NDArray[np.uint8]) -> bool:
    """Whether a file ends before its end mark; decoders return such an image half grey, as if whole."""
    raw = data.tobytes()
    if raw.startswith(b"\x89PNG"):
        return b"IEND" not in raw
    if raw.startswith(b"\xff\xd8"):
        # The end mark must follow the last start of a scan: a thumbnail in the header has its own end mark.
        return raw.rfind(b"\xff\xd9") < raw.rfind(b"\xff\xda")
    if raw.startswith(b"BM") and len(raw) >= 34:
        offset, width, height, bits, compression = struct.unpack("<10xI4xii2xHI", raw[:34])
        row = (abs(width) * bits + 31) // 32 * 4
        return compression in (0, 3) and len(raw) < offset + row * abs(height)
    return False
