"""Decodes an image file, or one image of a camera, to pixels; every fault is one clear error.

Files, snapshots, MJPEG images and masks all pass ``decode_image``. The header is read first, so that a small
file that claims to be a huge image costs nothing.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data import jpeg
from dmdd_edge.data.image_header import Header, read_header
from dmdd_edge.errors import DataError, DmddError, OptionError
from dmdd_edge.messages.quiet import imdecode

#: Megapixels above which nothing is decoded, unless this environment variable says otherwise. A sensor with
#: 100 megapixels by its name has up to 102.
MAX_MEGAPIXELS = 120.0
LIMIT_VARIABLE = "DMDD_MAX_MEGAPIXELS"
#: Most bytes per pixel that a file may have: 16 bits, four channels, and room for its other contents.
_BYTES_A_PIXEL, _BYTES_BESIDE = 8, 64 << 20

if "OPENCV_LOG_LEVEL" not in os.environ:
    # A broken file is reported by our own error, with its name; OpenCV's warnings would only repeat it.
    # The function moved from cv2 to cv2.utils.logging between OpenCV 4 and 5; 1 = fatal errors only.
    _set_level = getattr(getattr(cv2.utils, "logging", cv2), "setLogLevel", None)
    if _set_level is not None:
        _set_level(1)

#: What OpenCV calls a lack of memory.
NO_MEMORY = -4
_REPLACE = "Replace the file by a whole one, or remove it."
_CONVERT = "Convert it to an 8-bit or 16-bit PNG."


@dataclass(frozen=True)
class Decoded:
    """A decoded image.

    Attributes:
        image: uint8 or uint16 H x W x 3, BGR.
        header: facts from the file's header.
    """

    image: NDArray[Any] = field(repr=False)
    header: Header


def read_file(path: Path) -> Decoded:
    """Read and decode an image file; see ``decode_image``.

    Raises:
        DmddError: naming the file, when it is missing, not regular, not readable, or not a complete image.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
            raise DataError(f"{path}: cannot be read as an image, it is {kind}.", "Name an image file.")
        limit = largest_file()
        if status.st_size > limit:
            raise DataError(
                f"{path}: the file has {status.st_size} bytes; at most {limit} are read.", _limit_fix()
            )
        # Not cv2.imread: it fails on some paths (Windows, non-ASCII) and says nothing about why.
        data = np.zeros(status.st_size + jpeg.PADDING, np.uint8)
        with path.open("rb", buffering=0) as file:
            size = _fill(file, memoryview(data)[: status.st_size])  # type: ignore[arg-type]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.", "Check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).", "Check the file.") from None
    except ValueError:  # a NUL character, which no path can hold
        raise DataError(f"{str(path)!r}: no file can have this name.", "Check the path.") from None
    if size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes).", _REPLACE)
    return decode_image(data, size, str(path))


def decode_bytes(data: bytes, name: str) -> Decoded:
    """Decode an image that a camera sent; see ``decode_image``."""
    padded = np.zeros(len(data) + jpeg.PADDING, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    return decode_image(padded, len(data), name)


def decode_image(data: NDArray[np.uint8], size: int, name: str) -> Decoded:
    """Decode an image.

    Args:
        data: uint8, the file and ``jpeg.PADDING`` bytes of room behind it; may be written to.
        size: bytes of the file.
        name: what the error calls it.

    Raises:
        DmddError: it is larger than ``limit_megapixels()``, cut off, damaged inside (of a JPEG), of a format
            or pixel type that OpenCV does not read.
    """
    view = memoryview(data)[:size]  # type: ignore[arg-type]
    header = read_header(view)
    if header is None:
        raise _no_image(view, name)
    check_size(header, name)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        if header.kind == "JPEG":
            image = _decode_jpeg(data, view, name, flags)
        else:
            if _is_cut_off(header, view):
                raise DataError(f"{name}: the file ends too early (a broken copy?).", _REPLACE)
            image = imdecode(data[:size], flags)
    except (cv2.error, MemoryError) as error:
        no_memory = isinstance(error, MemoryError) or getattr(error, "code", 0) == NO_MEMORY
        fix = "Close other programs, or use a smaller image." if no_memory else _REPLACE
        raise DataError(f"{name}: cannot be decoded ({_reason(error)}).", fix) from None
    if image is None:
        raise _not_read(header, name)
    if image.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{name}: holds {image.dtype} pixels; 8 or 16 bits can be read.", _CONVERT)
    if image.ndim != 3 or image.shape[2] != 3:  # a flag that a reader of OpenCV does not follow
        raise _not_read(header, name)
    return Decoded(image, header)


def check_size(header: Header, name: str) -> None:
    """Reject an image that is larger than ``limit_megapixels()`` or has no size.

    Raises:
        DmddError: naming it and its size.
    """
    if header.width < 1 or header.height < 1:
        raise DataError(f"{name}: the file ends too early, or its {header.kind} header is damaged.", _REPLACE)
    limit = limit_megapixels()
    if header.width * header.height > limit * 1e6:
        raise DataError(
            f"{name}: the image has {header.width} x {header.height} pixels; "
            f"at most {limit:g} megapixels are decoded.",
            _limit_fix(),
        )


def limit_megapixels() -> float:
    """The largest image that is decoded, in millions of pixels.

    Raises:
        DmddError: the environment variable does not hold a number above 0.
    """
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return MAX_MEGAPIXELS
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise OptionError(f"{LIMIT_VARIABLE} is {text!r}; it must be a number above 0.", "For example 200.")
    return value


def largest_file() -> int:
    """Most bytes of a file that is read.

    Raises:
        DmddError: see ``limit_megapixels``.
    """
    return int(limit_megapixels() * 1e6) * _BYTES_A_PIXEL + _BYTES_BESIDE


@lru_cache(maxsize=1)
def readable_suffixes() -> tuple[str, ...]:
    """Suffixes of the image formats that this OpenCV reads, in lower case, the usual ones first."""
    always = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff")
    optional = (".webp", ".pgm", ".ppm", ".pbm", ".pnm", ".jp2", ".avif", ".gif")
    return (*always, *(suffix for suffix in optional if _has_codec(suffix)))


def _has_codec(suffix: str) -> bool:
    """Whether OpenCV was built with a format: its readers and writers are switched on together."""
    try:
        return bool(cv2.haveImageWriter(f"x{suffix}"))
    except cv2.error:
        return False


def _decode_jpeg(data: NDArray[np.uint8], view: memoryview, name: str, flags: int) -> NDArray[Any] | None:
    parts = jpeg.parse(view)
    if parts is None:
        raise DataError(f"{name}: the JPEG is damaged.", _REPLACE)
    if parts.file_end is None:
        raise DataError(f"{name}: the file ends too early (a broken copy?).", _REPLACE)
    image, whole = jpeg.decode(data, parts, flags)
    if not whole:
        raise DataError(f"{name}: the JPEG is damaged inside; part of the image data is lost.", _REPLACE)
    return image


def _is_cut_off(header: Header, data: memoryview) -> bool:
    """Whether a file ends before its end mark; decoders return such an image half gray, as if whole."""
    if header.kind == "PNG":
        at = 8
        while at + 12 <= len(data):
            if bytes(data[at + 4 : at + 8]) == b"IEND":
                return False
            at += 12 + int.from_bytes(data[at : at + 4], "big")
        return True
    if header.kind == "BMP" and not header.layout.endswith(", run lengths"):
        offset = int.from_bytes(data[10:14], "little")
        bits = int(header.layout.split()[0])
        return len(data) < offset + (header.width * bits + 31) // 32 * 4 * header.height
    if header.kind == "WebP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return False


def _no_image(data: memoryview, name: str) -> DmddError:
    if bytes(data[:40]).startswith(b"version https://git-lfs"):
        return DataError(
            f"{name}: is a Git LFS pointer, not the image itself.", "Fetch the images with git lfs pull."
        )
    known = ", ".join(suffix[1:] for suffix in readable_suffixes())
    return DataError(f"{name}: not an image that can be read.", f"{_REPLACE} Readable formats: {known}.")


def _not_read(header: Header, name: str) -> DmddError:
    if header.kind == "TIFF" and header.layout not in ("uint1", "uint8", "uint16"):
        return DataError(f"{name}: holds {header.layout} pixels; 8 or 16 bits can be read.", _CONVERT)
    layout = f" ({header.layout})" if header.layout else ""
    return DataError(
        f"{name}: the {header.kind} file{layout} is damaged, or of a kind that OpenCV cannot read.",
        "Replace it by a whole file, or convert it to PNG.",
    )


def _reason(error: BaseException) -> str:
    return str(getattr(error, "err", "")) or "not enough memory"


def _limit_fix() -> str:
    return f"Crop or shrink it, or set the environment variable {LIMIT_VARIABLE}."


def _fill(file: Any, room: memoryview) -> int:
    size = 0
    while size < len(room) and (read := file.readinto(room[size:])):
        size += read
    return size
