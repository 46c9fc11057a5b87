"""Preparation of an image: region of interest, rotation, resize, ignore mask.

The order is fixed: source image -> crop to the region -> rotate -> resize to S x S -> fill ignored pixels.
The region is in pixels of the source, before the rotation. Training sets it, the manifest stores it, and the
runtime applies it with the same functions.
"""

from __future__ import annotations

import base64
import functools
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from dmdd_edge.data import images
from dmdd_edge.data.decoding import decode_bytes
from dmdd_edge.data.masks import read_mask
from dmdd_edge.errors import BundleError, DataError, DmddError, OptionError

Roi = tuple[int, int, int, int]

#: The value written over ignored pixels, in all three channels: near the mean of natural images, so that the
#: networks see neither a bright nor a dark patch.
IGNORED_VALUE = 127

#: Largest supported side of an image, in pixels.
LARGEST_IMAGE = 1_000_000

#: The largest stored ignore mask: side in pixels, and characters of base64.
_LARGEST_MASK, _LONGEST_MASK = 8192, 4 << 20

_CLOCKWISE = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Preprocess(BaseModel):
    """Region of interest, rotation and ignore mask of a category; immutable, and JSON through pydantic.

    Attributes:
        roi: x, y, width, height in source pixels before the rotation; None keeps the whole image.
        rotate: 0, 90, 180 or 270 degrees clockwise, after the crop.
        ignore: the ignore mask in the network's view (cropped, rotated, S x S): a bilevel PNG in base64,
            white = ignored. None ignores nothing.
        bits: number of bits used of a 16-bit file, see ``images.read_image``; no effect on 8-bit images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    roi: Roi | None = None
    rotate: Literal[0, 90, 180, 270] = 0
    ignore: str | None = Field(default=None, repr=False, max_length=_LONGEST_MASK)
    bits: Literal[10, 12, 14, 16] = 16

    @field_validator("rotate", mode="before")
    @classmethod
    def _no_boolean(cls, value: object) -> object:
        if isinstance(value, bool):  # False equals 0, so it would be accepted
            raise ValueError("a number of degrees is expected, not a boolean")
        return value

    @field_validator("roi")
    @classmethod
    def _a_region(cls, value: Roi | None) -> Roi | None:
        if value is not None and not (
            all(0 <= part <= LARGEST_IMAGE for part in value) and min(value[2:]) >= images.MIN_SIDE
        ):
            raise ValueError(
                f"x and y must be 0 or more, width and height {images.MIN_SIDE} to {LARGEST_IMAGE} pixels"
            )
        return value

    @field_validator("ignore")
    @classmethod
    def _a_mask(cls, value: str | None) -> str | None:
        if value is not None:
            _check_mask(value)
        return value

    @classmethod
    def from_options(
        cls,
        roi: str | None = None,
        rotate: int = 0,
        ignore_mask: str | Path | None = None,
        bits: int = 16,
        *,
        source_shape: tuple[int, ...] = (0, 0),
        source_name: str | None = None,
        size: int = 256,
    ) -> Preprocess:
        """Build from command-line values.

        Args:
            roi: "x,y,w,h" in source pixels.
            rotate: degrees clockwise.
            ignore_mask: an image file, white = ignored, of the source's size or of the region's (unrotated).
            bits: bits that a 16-bit file uses.
            source_shape: height, width(, channels) of a source image; checks the region, and needed with
                ignore_mask. (0, 0) means unknown.
            source_name: that image's, for messages.
            size: S, the side of the network's input.

        Raises:
            DmddError: a value is invalid; names it and what is allowed.
        """
        if rotate not in (0, 90, 180, 270):
            raise OptionError(
                f"A rotation of {rotate} degrees is not supported.",
                fix="Choose 0, 90, 180 or 270 (clockwise).",
            )
        if bits not in images.BITS:
            raise OptionError(f"--bits {bits} is not supported.", "Choose 10, 12, 14 or 16.")
        plain = cls(roi=parse_roi(roi) if roi else None, rotate=rotate, bits=bits)
        height, width = source_shape[:2]
        if height and width:
            plain.check(source_shape, source_name)
        if ignore_mask is None:
            return plain
        mask = read_mask(ignore_mask)
        if mask.shape == (height, width):
            mask = plain.apply_mask(mask)
        elif plain.roi is not None and mask.shape == (plain.roi[3], plain.roi[2]):
            mask = cls(rotate=plain.rotate).apply_mask(mask)
        else:
            of_region = f" or the region's {plain.roi[2]} x {plain.roi[3]}" if plain.roi else ""
            raise DataError(
                f"{ignore_mask}: the ignore mask has {mask.shape[1]} x {mask.shape[0]} pixels, "
                f"not the image's {width} x {height}{of_region}.",
                fix="Draw the mask over one of the training images at full size.",
            )
        mask = images.resize_mask(mask, size)
        if mask.all():
            raise DataError(
                f"{ignore_mask}: the ignore mask covers the whole image.",
                fix="Paint only what is to be ignored in white, and all else in black.",
            )
        return plain.model_copy(update={"ignore": _encode(mask)}) if mask.any() else plain

    def check(self, source_shape: tuple[int, ...], name: str | None = None) -> None:
        """Raise DmddError, naming both sizes, when the region exceeds an image of this shape.

        Args:
            source_shape: height, width(, channels).
            name: the image's, which the message then begins with.
        """
        if self.roi is None:
            return
        height, width = source_shape[:2]
        x, y, w, h = self.roi
        if x < 0 or y < 0 or x + w > width or y + h > height:
            raise DataError(
                ("" if name is None else f"{name}: ")
                + f"the region of interest {x},{y},{w},{h} (to {x + w}, {y + h}) exceeds the "
                f"image of {width} x {height} pixels.",
                fix=f"Give x,y,w,h with x + w <= {width} and y + h <= {height}.",
            )

    def apply(self, image: NDArray[np.uint8], name: str | None = None) -> NDArray[np.uint8]:
        """Crop to the region and rotate: uint8 H x W x 3 -> uint8 H' x W' x 3, color order unchanged.

        Without a rotation the result is a view.

        Raises:
            DmddError: the region exceeds the image; the message begins with ``name``, if given.
        """
        if self.roi is not None:
            self.check(image.shape, name)
            x, y, w, h = self.roi
            image = image[y : y + h, x : x + w]
        return image if self.rotate == 0 else cv2.rotate(image, _CLOCKWISE[self.rotate])  # type: ignore[return-value]

    def apply_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Apply the same to a bool H x W mask of the source image."""
        return self.apply(mask.view(np.uint8)).view(np.bool_)

    def prepare(self, image: NDArray[np.uint8], size: int, name: str | None = None) -> NDArray[np.uint8]:
        """Make the network's input of a source image: uint8 H x W x 3 BGR -> contiguous uint8 S x S x 3 BGR.

        All work of the host: crop, rotate, resize, fill ignored pixels with 127. May return the image itself
        when no step changes it.

        Raises:
            DmddError: the region exceeds the image; the message begins with ``name``, if given.
        """
        result = images.resize(self.apply(image, name), size)
        ignored = self.ignore_map(size)
        if ignored is not None:
            if np.shares_memory(result, image):
                result = result.copy()
            result[ignored] = IGNORED_VALUE
        return np.ascontiguousarray(result)

    def prepare_mask(self, mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
        """Make the ground truth that fits `prepare`: bool H x W -> bool S x S, False where ignored."""
        result = images.resize_mask(self.apply_mask(mask), size)
        ignored = self.ignore_map(size)
        return result if ignored is None else result & ~ignored

    def ignore_map(self, size: int) -> NDArray[np.bool_] | None:
        """Which pixels of the network's input are ignored: read-only bool S x S, True = ignored, or None."""
        return None if self.ignore is None else _decode(self.ignore, size)

    def box_to_source(
        self, x: int, y: int, width: int, height: int, size: int, source_shape: tuple[int, ...]
    ) -> Roi:
        """Map a box on the S x S map to the smallest box of source pixels that covers it.

        Args:
            x, y, width, height: the box on the map, in map pixels.
            size: S, the side of the map.
            source_shape: height, width(, channels) of the source image.

        Returns:
            x, y, width, height in source pixels.
        """
        left, top, right, bottom = x, y, x + width, y + height
        if self.rotate == 90:
            left, top, right, bottom = top, size - right, bottom, size - left
        elif self.rotate == 180:
            left, top, right, bottom = size - right, size - bottom, size - left, size - top
        elif self.rotate == 270:
            left, top, right, bottom = size - bottom, left, size - top, right
        x0, y0, w, h = self.roi or (0, 0, source_shape[1], source_shape[0])
        # Whole numbers throughout: floor of the near edge, ceiling of the far one.
        left, top = left * w // size, top * h // size
        right, bottom = -(-right * w // size), -(-bottom * h // size)
        return x0 + left, y0 + top, right - left, bottom - top

    def map_to_source(
        self, anomaly_map: NDArray[np.float32], source_shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Lay an S x S map over the source image: float32 S x S -> float32 H x W, 0 outside the region."""
        back = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
        upright = cv2.rotate(anomaly_map, back[self.rotate]) if self.rotate else anomaly_map
        height, width = source_shape[:2]
        x, y, w, h = self.roi or (0, 0, width, height)
        result = np.zeros((height, width), np.float32)
        result[y : y + h, x : x + w] = cv2.resize(upright, (w, h), interpolation=cv2.INTER_LINEAR)
        return result


def parse_roi(text: str) -> Roi:
    """Read "x,y,w,h" (source pixels) into four integers.

    Raises:
        DmddError: when it is not four whole numbers, or the region is smaller than 16 pixels per side.
    """
    try:
        x, y, w, h = (int(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"Invalid region of interest {text!r}: it must be four whole numbers.",
            fix='Write it as "x,y,w,h".',
        ) from None
    if x < 0 or y < 0 or min(w, h) < images.MIN_SIDE:
        raise OptionError(
            f"Invalid region of interest {text!r}: x and y start at 0, w and h at {images.MIN_SIDE}.",
            fix="Give x,y,w,h in pixels of the source image.",
        )
    return x, y, w, h


def _check_mask(text: str) -> None:
    """Reject anything but a PNG in base64 of a network's size, before it is decoded."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("not base64") from None
    # The signature, then the first chunk: its length, its type IHDR, width and height.
    if len(data) < 24 or data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise ValueError("not a PNG in base64")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not (1 <= width <= _LARGEST_MASK and 1 <= height <= _LARGEST_MASK):
        raise ValueError(
            f"a mask of {width} x {height} pixels; at most {_LARGEST_MASK} per side are accepted"
        )


def _encode(mask: NDArray[np.bool_]) -> str:
    encoded, data = cv2.imencode(
        ".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9]
    )
    assert encoded
    return base64.b64encode(data.tobytes()).decode("ascii")


@functools.lru_cache(maxsize=8)
def _decode(text: str, size: int) -> NDArray[np.bool_]:
    try:
        values = decode_bytes(base64.b64decode(text, validate=True), "the stored ignore mask").image
    except (ValueError, DmddError):
        raise BundleError(
            "The stored ignore mask cannot be decoded.", fix="Export the bundle again."
        ) from None
    mask = images.resize_mask(values[..., 0] > 127, size)
    mask.flags.writeable = False
    return mask
