"""A frame on its way through the runtime, and the check that every frame passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import MIN_SIDE
from dmdd_edge.errors import DataError, DmddError

#: As many pixels as OpenCV decodes: a larger frame is a mistake, or an attack on the memory.
LARGEST_FRAME = 1 << 30


@dataclass(frozen=True)
class Frame:
    """One picture, and where it came from.

    Attributes:
        image: uint8 H x W x 3 BGR.
        source: what a person would call it: a path, a video.
        name: a relative path, unique within the run, that names what is written about this frame.
        index: its number within the run, from 0.
        time: when it was grabbed, in seconds since 1970 (UTC).
        capture_ms: how long reading and decoding took.
        dropped: frames that a live source dropped just before this one.
        peak: the largest value of a 16-bit file before it was scaled to 8 bits; None of other frames.
        more: whether the file holds pages or animation frames after this one, which are not judged.
    """

    image: NDArray[np.uint8] = field(repr=False)
    source: str = ""
    name: str = ""
    index: int = 0
    time: float = 0.0
    capture_ms: float = 0.0
    dropped: int = 0
    peak: int | None = None
    more: bool = False


@dataclass(frozen=True)
class BrokenFrame:
    """A frame that could not be read or prepared: reported, counted as skipped, and the run continues.

    Attributes:
        source: as in ``Frame``.
        index: as in ``Frame``.
        error: what is wrong with it.
        frame: the frame itself on its way to the graph, if it could be read; sinks never get it.
    """

    source: str
    index: int
    error: DmddError
    frame: Frame | None = field(default=None, repr=False, compare=False)


def as_bgr(image: Any) -> NDArray[np.uint8]:
    """A frame as the runtime takes it: uint8 H x W x 3 BGR.

    Args:
        image: uint8 H x W x 3 in BGR order, as OpenCV delivers it; grey H x W or H x W x 1 becomes three
            equal channels; of BGRA, H x W x 4, the alpha is dropped.

    Raises:
        DmddError: it is no array, of another type or shape, smaller than 16 pixels a side, or larger than
            2^30 pixels.
    """
    if not isinstance(image, np.ndarray):
        raise DataError(
            f"a frame is a numpy array, not {type(image).__name__}.",
            "Read a file with dmdd_edge.data.images.read_image(path).",
        )
    if image.dtype != np.uint8:
        raise DataError(
            f"a frame holds uint8 values 0..255, not {image.dtype}.",
            "Floats in 0..1: (frame * 255).round().astype('uint8'); 16 bits: (frame // 257).astype('uint8').",
        )
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4):
        shape = " x ".join(map(str, image.shape)) or "a single number"
        raise DataError(
            f"a frame has the shape H x W x 3 (BGR) or H x W (grey), not {shape}.",
            "Move the channels last: frame.transpose(1, 2, 0)."
            if image.ndim == 3 and image.shape[0] in (1, 3, 4)
            else "Read a file with dmdd_edge.data.images.read_image(path).",
        )
    if min(image.shape[:2]) < MIN_SIDE:
        raise DataError(
            f"a frame of {image.shape[1]} x {image.shape[0]} pixels is too small.",
            f"It needs at least {MIN_SIDE} pixels a side.",
        )
    if image.shape[0] * image.shape[1] > LARGEST_FRAME:
        raise DataError(
            f"a frame of {image.shape[1]} x {image.shape[0]} pixels is too large.",
            f"At most {LARGEST_FRAME:,} pixels are accepted: cut it into parts.",
        )
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    return image[:, :, :3]
