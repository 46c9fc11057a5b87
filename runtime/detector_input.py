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
from dmdd_edge.errors import DataError, DmddError, OptionError
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

    def load(self) -> Any:
        """Decode the pixels of an image that was only opened."""
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
    if hasattr(image, "getexif") and hasattr(image, "convert") and not isinstance(image, type):
        try:
            return _of_pillow(image, bits, index)
        except DmddError:
            raise
        except Exception as error:  # Pillow's readers raise anything, and only now decode the pixels
            raise DataError(
                f"A Pillow image of mode {image.mode} cannot be read: {str(error).rstrip('.')}.",
                "Check that its file is whole and still open, or convert it first: image.convert('RGB').",
            ) from error
    what = f"the class {image.__name__}" if isinstance(image, type) else type(image).__name__
    raise DataError(
        f"An image must be a path, a Pillow image or a NumPy array, not {what}.",
        "Pass one of these, or a list of them.",
    )


def _of_pillow(image: PillowImage, bits: int, index: int) -> Frame:
    peak: int | None = None
    image.load()
    if image.mode == "F":
        raise DataError(
            "A Pillow image of mode F holds floating-point numbers, and their range is unknown.",
            "Convert it to 8 bits; of values in 0..1: (np.asarray(image) * 255).round().astype('uint8').",
        )
    if image.mode in _DEEP:
        values = np.asarray(image)
        if image.mode == "I":
            _check_deep(values)
        values = values.astype(np.uint16)
        peak = int(values.max(initial=0))
        pixels = to_uint8(values, bits)
    else:
        plain = image if image.mode in _PLAIN else image.convert("LA" if image.mode == "La" else "RGB")
        pixels = np.asarray(plain if plain.mode in _PLAIN else plain.convert("RGB"), dtype=np.uint8)
    upright = as_bgr(_upright(pixels, image.getexif().get(_EXIF_ORIENTATION, 1)))
    bgr = cv2.cvtColor(np.ascontiguousarray(upright), cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else upright
    return Frame(np.asarray(bgr, dtype=np.uint8), index=index, time=time.time(), peak=peak)


def _check_deep(values: NDArray[Any]) -> None:
    """Check the 32-bit integers of mode ``I``, which Pillow uses for some 16-bit files.

    Raises:
        DataError: they do not fit into 16 bits, or 8 bits are as likely.
    """
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high > 65535:
        raise DataError(
            f"A Pillow image of mode I holds values from {low} to {high}; 0..65535 can be used.",
            "Scale it to 8 bits first.",
        )
    if high <= 255:
        raise DataError(
            f"A Pillow image of mode I with no value above {high} may have 8 or 16 bits.",
            "Convert it: image.convert('L') for 8 bits, image.convert('I;16') for 16.",
        )


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo the turning and mirroring that an EXIF orientation (1 to 8) states."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
