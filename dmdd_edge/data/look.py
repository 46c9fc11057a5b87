"""What images look like, whatever they show: compression, size, light, color, sharpness.

The manifest keeps the look of the training images. When a line calls most of its first frames anomalous, the
difference between their look and that one names the likely cause.

JPEG codes blocks of 8 x 8 pixels and rounds their frequencies to multiples of a step. Both can be seen in the
decoded pixels: high frequencies vanish in blocks on JPEG's grid and not in blocks beside it, and the steps
tell the quality. Nothing is read from the file, so that it works for cameras and streams too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from dmdd_edge.data.jpeg_traces import grid_contrast, jpeg_quality
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.spread import spread
from dmdd_edge.errors import DataError
from dmdd_edge.fields import Text

Image = NDArray[np.uint8]
Pixels = Annotated[int, Field(ge=1, le=1 << 20)]

#: Side of the middle part that sharpness and compression are measured on, in pixels.
_SIDE = 512
#: Sizes and kinds of files that are kept, the most frequent first.
_MOST = 8
#: Images whose JPEG quality is estimated, which takes longer than the rest.
_QUALITIES = 12


class Range(BaseModel):
    """How a measure is spread over some images: smallest, median, largest."""

    model_config = ConfigDict(frozen=True)

    low: float = Field(ge=-1e9, le=1e9)
    middle: float = Field(ge=-1e9, le=1e9)
    high: float = Field(ge=-1e9, le=1e9)

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low <= self.middle <= self.high:
            raise ValueError("low, middle and high are not in order")
        return self

    @classmethod
    def of(cls, values: Iterable[float]) -> Range:
        """The range of at least one value."""
        listed = np.asarray(list(values), np.float64)
        low, middle, high = (round(float(v), 4) for v in (listed.min(), np.median(listed), listed.max()))
        return cls(low=low, middle=middle, high=high)

    def excess(self, value: float) -> float:
        """How far a value is outside: negative below, positive above, 0 within."""
        return min(value - self.low, 0.0) + max(value - self.high, 0.0)


class Look(BaseModel):
    """The look of the training images; the manifest's ``look``.

    Attributes:
        images: how many were measured.
        sizes: width and height of the files in pixels, the most frequent first.
        kinds: suffixes of the files without their dot, likewise.
        jpeg_quality: median JPEG quality, from the pixels, 1..100; None when most are not compressed.
        blocks: see ``ImageLook``; likewise the next five.
        light: see ``ImageLook``.
        ``colour``: see ``ImageLook``.
        red: see ``ImageLook``.
        blue: see ``ImageLook``.
        sharpness: see ``ImageLook``.
    """

    model_config = ConfigDict(frozen=True)

    images: int = Field(ge=1, le=10**9)
    sizes: tuple[tuple[Pixels, Pixels], ...] = Field(min_length=1, max_length=_MOST)
    kinds: tuple[Text, ...] = Field(default=(), max_length=_MOST)
    jpeg_quality: int | None = Field(default=None, ge=1, le=100)
    blocks: Range
    light: Range
    colour: Range
    red: Range
    blue: Range
    sharpness: Range


@dataclass(frozen=True)
class ImageLook:
    """Measurements of one image.

    Attributes:
        size: width and height of the whole image in pixels.
        blocks: share of high frequencies that vanish in blocks on JPEG's grid, less that in blocks beside it;
            -1..1, above 0.1 only where JPEG compressed the image.
        light: mean gray level, 0..255.
        ``colour``: mean difference between an image's strongest and weakest channel, 0..255; 0 if gray.
        red: red less green, in percent of the light.
        blue: blue less green, likewise.
        sharpness: energy of the Laplacian over the variance of the gray image; the light cancels out.
        part: the gray middle that sharpness and compression were measured on, for the JPEG quality.
    """

    size: tuple[int, int]
    blocks: float
    light: float
    colour: float
    red: float
    blue: float
    sharpness: float
    part: NDArray[np.uint8]


def look_at(image: Image, preprocess: Preprocess) -> ImageLook:
    """Measure one image, at a cost that does not grow with its size.

    Args:
        image: uint8 H x W x 3 BGR, as it was read.
        preprocess: whose region of interest is measured; where it does not fit, the whole image.
    """
    height, width = image.shape[:2]
    left, top, w, h = preprocess.roi or (0, 0, width, height)
    if left + w > width or top + h > height:
        left, top, w, h = 0, 0, width, height
    step = max(1, min(w, h) // 256)
    thin = np.ascontiguousarray(image[top : top + h : step, left : left + w : step])
    blue, green, red, _ = cv2.mean(thin)
    channels = cv2.split(thin)
    strongest, weakest = (
        cv2.max(cv2.max(*channels[:2]), channels[2]),
        cv2.min(cv2.min(*channels[:2]), channels[2]),
    )
    light = 0.114 * blue + 0.587 * green + 0.299 * red
    # On JPEG's grid, which begins at the image's corner.
    x = -(-(left + max(0, (w - _SIDE) // 2)) // 8) * 8
    y = -(-(top + max(0, (h - _SIDE) // 2)) // 8) * 8
    middle = image[y : min(y + _SIDE, top + h), x : min(x + _SIDE, left + w)]
    if min(middle.shape[:2]) < 16:  # a region of few pixels between two lines of the grid
        middle = image
    gray = np.asarray(cv2.cvtColor(np.ascontiguousarray(middle), cv2.COLOR_BGR2GRAY), np.uint8)
    energy = float(cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))[1][0, 0]) ** 2
    return ImageLook(
        size=(width, height),
        blocks=grid_contrast(gray),
        light=light,
        colour=float(cv2.mean(cv2.subtract(strongest, weakest))[0]),
        red=100 * (red - green) / max(light, 1.0),
        blue=100 * (blue - green) / max(light, 1.0),
        sharpness=energy / max(float(gray.std()) ** 2, 1.0),
        part=gray,
    )


def quality_of(looks: list[ImageLook]) -> int | None:
    """The JPEG quality of some images, 1..100, the median of a few; None when most show none."""
    if not looks:
        return None
    chosen = spread(len(looks), _QUALITIES)
    found = [jpeg_quality(looks[i].part) for i in chosen]
    known = [quality for quality in found if quality is not None]
    return round(float(np.median(known))) if 2 * len(known) > len(found) else None


def look_of(images: list[ImageLook], suffixes: Iterable[str] = ()) -> Look:
    """The look of several images together.

    Args:
        images: as ``look_at`` gives them.
        suffixes: of their files.

    Raises:
        DmddError: there is no image.
    """
    if not images:
        raise DataError("There is no image to measure.", "Give at least one.")

    kinds = Counter(suffix.lower().lstrip(".") for suffix in suffixes)

    def spread(name: str) -> Range:
        return Range.of(getattr(image, name) for image in images)

    return Look(
        images=len(images),
        sizes=tuple(size for size, _ in Counter(image.size for image in images).most_common(_MOST)),
        kinds=tuple(kind for kind, _ in kinds.most_common(_MOST)),
        jpeg_quality=quality_of(images),
        **{name: spread(name) for name in ("blocks", "light", "colour", "red", "blue", "sharpness")},
    )
