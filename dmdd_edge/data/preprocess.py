"""Preparation of an image: region of interest, rotation, fit or tiles, resize, ignore mask.

The order is fixed: source image -> crop to the region -> rotate -> resize to the view -> fill ignored pixels.
The view is S x S, or with tiles as large as the region at the scale of the tiles. The region is in pixels of
the source, before the rotation. Training sets it, the manifest stores it, and the runtime applies it with the
same functions.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, field_validator

from dmdd_edge.data import images, stored_png
from dmdd_edge.data.decoding import NO_MEMORY
from dmdd_edge.data.geometry import Fit, Geometry, turned
from dmdd_edge.data.masks import read_mask
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import DataError, OptionError
from dmdd_edge.fields import Sparse

Roi = tuple[int, int, int, int]

#: The value written over ignored pixels, in all three channels: near the mean of natural images, so that the
#: networks see neither a bright nor a dark patch.
IGNORED_VALUE = 127

#: Largest supported side of an image, in pixels.
LARGEST_IMAGE = 1_000_000

#: The largest stored ignore mask: side in pixels, and characters of base64.
_LARGEST_MASK, _LONGEST_MASK = 8192, 4 << 20

#: Most pixels of a view: small tiles enlarge an image, and a larger one is a mistake in the bundle.
LARGEST_VIEW = 1 << 30

#: Side of the stored ignore mask of a tiled category, in pixels.
_MASK_OF_TILES = 2048


class Preprocess(Sparse):
    """Region of interest, rotation, tiles and ignore mask of a category; immutable, JSON through pydantic.

    Attributes:
        roi: x, y, width, height in source pixels before the rotation; None keeps the whole image.
        rotate: 0, 90, 180 or 270 degrees clockwise, after the crop.
        ignore: the ignore mask of the cropped and rotated region, stretched to a square: a bilevel PNG in
            base64, white = ignored. None ignores nothing.
        bits: number of bits used of a 16-bit file, see ``images.read_image``; no effect on 8-bit images.
        fit: how a region that is not square becomes one input of the network; no effect with tiles, whose
            scale is the same in both directions.
        tiling: how the region is cut into tiles; None makes it one input.
    """

    SPARSE = ("fit", "tiling")

    model_config = ConfigDict(frozen=True, extra="forbid")

    roi: Roi | None = None
    rotate: Literal[0, 90, 180, 270] = 0
    ignore: str | None = Field(default=None, repr=False, max_length=_LONGEST_MASK)
    bits: Literal[10, 12, 14, 16] = 16
    fit: Fit = "stretch"
    tiling: Tiling | None = None

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
        fit: Fit = "stretch",
        tiling: Tiling | None = None,
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
            fit, tiling: see the attributes.
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
        plain = cls(roi=parse_roi(roi) if roi else None, rotate=rotate, bits=bits, fit=fit, tiling=tiling)
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
        mask = images.resize_mask(mask, size if tiling is None else _MASK_OF_TILES)
        if mask.all():
            raise DataError(
                f"{ignore_mask}: the ignore mask covers the whole image.",
                fix="Paint only what is to be ignored in white, and all else in black.",
            )
        return plain.model_copy(update={"ignore": _encode(mask)}) if mask.any() else plain

    @property
    def only_size(self) -> tuple[int, int] | None:
        """Rows and columns that all images have, where maps have levels of places; None for any size."""
        return None if self.tiling is None or self.tiling.levels is None else self.tiling.levels.source

    def check(self, source_shape: tuple[int, ...], name: str | None = None) -> None:
        """Raise DmddError, naming both sizes, when the region exceeds an image of this shape.

        Likewise when the levels of places are of images of another size.

        Args:
            source_shape: height, width(, channels).
            name: the image's, which the message then begins with.
        """
        if self.tiling is not None and self.tiling.levels is not None:
            self.tiling.levels.require(source_shape, name)
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
        self.check(image.shape, name)
        if self.roi is not None:
            x, y, w, h = self.roi
            image = image[y : y + h, x : x + w]
        return turned(image, self.rotate)

    def apply_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Apply the same to a bool H x W mask of the source image."""
        return self.apply(mask.view(np.uint8)).view(np.bool_)

    def geometry(self, source_shape: tuple[int, ...], size: int) -> Geometry:
        """Where the pixels of an image of this shape are in its view; remembered for the last few shapes.

        Args:
            source_shape: height, width(, channels) of the source image, which the region fits.
            size: S, side of the network's input.

        Raises:
            DmddError: at the scale of the tiles the image has more than ``LARGEST_VIEW`` pixels.
        """
        geometry = _geometry(self, source_shape[0], source_shape[1], size)
        rows, columns = geometry.shape
        if rows * columns > LARGEST_VIEW and self.tiling is not None:
            raise DataError(
                f"An image of {source_shape[1]} x {source_shape[0]} pixels is too large for tiles of "
                f"{self.tiling.tile} px: it would be enlarged to {columns} x {rows}.",
                "Crop it (--roi), or train with a larger --tile.",
            )
        return geometry

    def prepare(self, image: NDArray[np.uint8], size: int, name: str | None = None) -> NDArray[np.uint8]:
        """Make the view of a source image: uint8 H x W x 3 BGR -> contiguous uint8 rows x columns x 3 BGR.

        All work of the host but the cutting of tiles: crop, rotate, resize, fill ignored pixels with 127. The
        view is S x S unless the category is tiled; see ``geometry``. May return the image itself when no
        step changes it.

        Raises:
            DmddError: the region exceeds the image, where the message begins with ``name``, if given; or the
                image is too large, see ``geometry``, or for the memory that is free.
        """
        geometry = self.geometry(image.shape, size)
        try:
            return self._view(self.apply(image, name), image, geometry)
        except (MemoryError, cv2.error) as error:
            if isinstance(error, cv2.error) and getattr(error, "code", 0) != NO_MEMORY:
                raise
            height, width = image.shape[:2]
            raise DataError(
                ("" if name is None else f"{name}: ")
                + f"too little memory is free for an image of {width} x {height} pixels, which takes "
                f"{geometry.memory_mb:.0f} MiB with its map.",
                "Close other programs, crop it (--roi), or train with a larger --tile.",
            ) from None

    def _view(
        self, region: NDArray[np.uint8], image: NDArray[np.uint8], geometry: Geometry
    ) -> NDArray[np.uint8]:
        """The view of a region of an image."""
        px, py, pw, ph = geometry.part
        x, y, width, height = geometry.content
        result = images.stretch(region[py : py + ph, px : px + pw], width, height)
        if (height, width) != geometry.shape:
            padded = np.full((*geometry.shape, 3), IGNORED_VALUE, np.uint8)
            padded[y : y + height, x : x + width] = result
            result = padded
        if geometry.ignored is not None and self.ignore is not None:
            if np.shares_memory(result, image):
                result = result.copy()
            result[geometry.ignored] = IGNORED_VALUE
        return np.ascontiguousarray(result)

    def prepare_mask(self, mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
        """Make the ground truth that fits `prepare`: bool H x W -> bool of the view, False where ignored."""
        geometry = self.geometry(mask.shape, size)
        px, py, pw, ph = geometry.part
        x, y, width, height = geometry.content
        result = np.zeros(geometry.shape, np.bool_)
        shown = self.apply_mask(mask)[py : py + ph, px : px + pw]
        result[y : y + height, x : x + width] = images.fit_mask(shown, (height, width))
        return result if geometry.ignored is None else result & ~geometry.ignored


@functools.lru_cache(maxsize=8)
def _geometry(preprocess: Preprocess, rows: int, columns: int, size: int) -> Geometry:
    mask = None if preprocess.ignore is None else _decode(preprocess.ignore)
    return Geometry.of(
        (rows, columns), preprocess.roi, preprocess.rotate, preprocess.fit, preprocess.tiling, mask, size
    )


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
    width, height = stored_png.size_of(text)
    if not (1 <= width <= _LARGEST_MASK and 1 <= height <= _LARGEST_MASK):
        raise ValueError(
            f"a mask of {width} x {height} pixels; at most {_LARGEST_MASK} per side are accepted"
        )


def _encode(mask: NDArray[np.bool_]) -> str:
    return stored_png.to_text(mask.astype(np.uint8) * 255, (cv2.IMWRITE_PNG_BILEVEL, 1))


@functools.lru_cache(maxsize=8)
def _decode(text: str) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = stored_png.from_text(text, "the stored ignore mask") > 127
    return mask
