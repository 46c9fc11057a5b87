"""What a detector accepts as an image: a path, a Pillow image or an array, each as a frame in BGR order."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import to_uint8
from dmdd_edge.errors import DataError, OptionError
from dmdd_edge.runtime.frame import BrokenFrame, Frame, as_bgr

#: The order of an array's channels.
Color = Literal["bgr", "rgb"]


class PillowImage(Protocol):
    """The part of ``PIL.Image.Image`` that is used; Pillow itself is never imported."""

    @property
    def mode(self) -> str:
        """The kind of pixels, such as ``RGB``."""
        ...

    def convert(self, mode: str, /) -> Any:
        """The image with another kind of pixels."""
        ...

    def getexif(self) -> Any:
        """The EXIF tags by number."""
        ...


#: An image file, a Pillow image, or an array: uint8 H x W x 3, H x W x 4 or H x W.
ImageLike: TypeAlias = "str | os.PathLike[str] | NDArray[np.uint8] | PillowImage"

_EXIF_ORIENTATION = 0x0112
#: Modes of Pillow whose array is 8-bit gray or RGB as it is, and those with up to 16 bits per pixel.
_PLAIN, _DEEP = ("L", "RGB"), ("I;16", "I;16L", "I;16B", "I;16N", "I")


def check_color(color: str) -> None:
    """Check the name of a channel order.

    Raises:
        OptionError: the name is unknown.
    """
    if color not in get_args(Color):
        raise OptionError(f"color is {color!r}; it must be 'bgr' or 'rgb'.", "OpenCV delivers 'bgr'.")


def frame_of(image: ImageLike, color: Color, bits: int, index: int) -> Frame:
    """Make a frame of an image from a file or from memory.

    Args:
        image: see ``ImageLike``. A file is read as ``images.read_image`` reads it; a Pillow image is turned
            by its EXIF orientation, as a file is.
        color: the order of an array's channels.
        bits: how many bits a 16-bit file or Pillow image uses.
        index: the frame's number.

    Raises:
        DataError: the file cannot be read, or the image has an unsupported type or shape.
    """
    if isinstance(image, (str, os.PathLike)):
        from dmdd_edge.runtime.sources.files import read_frame

        frame = read_frame(Path(image), "", index, bits)
        if isinstance(frame, BrokenFrame):
            raise frame.error
        return frame
    if isinstance(image, np.ndarray):
        bgr = as_bgr(image)
        if color == "rgb" and image.ndim == 3 and image.shape[2] > 1:
            bgr = np.ascontiguousarray(bgr[:, :, ::-1])
        return Frame(bgr, index=index, time=time.time())
    if hasattr(image, "getexif") and hasattr(image, "convert"):
        return _of_pillow(image, bits, index)
    raise DataError(
        f"An image must be a path, a Pillow image or a NumPy array, not {type(image).__name__}.",
        "Pass one of these, or a list of them.",
    )


def _of_pillow(image: PillowImage, bits: int, index: int) -> Frame:
    peak: int | None = None
    if image.mode in _DEEP:
        values = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        peak = int(values.max(initial=0))
        pixels = to_uint8(values, bits)
    else:
        pixels = np.asarray(image if image.mode in _PLAIN else image.convert("RGB"), dtype=np.uint8)
    upright = as_bgr(_upright(pixels, image.getexif().get(_EXIF_ORIENTATION, 1)))
    bgr = cv2.cvtColor(np.ascontiguousarray(upright), cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else upright
    return Frame(np.asarray(bgr, dtype=np.uint8), index=index, time=time.time(), peak=peak)


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo the turning and mirroring that an EXIF orientation (1 to 8) states."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
