"""The frame: an image on its way through the runtime, and the check that every frame passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import MIN_SIDE
from dmdd_edge.errors import DataError, DmddError

if TYPE_CHECKING:
    from dmdd_edge.runtime.strips import Strip

#: Largest number of pixels that OpenCV decodes: a larger frame is a mistake, or an attack on the memory.
LARGEST_FRAME = 1 << 30


@dataclass(frozen=True)
class Frame:
    """One image, and where it came from.

    Attributes:
        image: uint8 H x W x 3 BGR.
        source: a name for people: a path, a video.
        name: relative path, unique within the run, for files that are written about this frame.
        index: number within the run, from 0.
        time: when it was grabbed, in seconds since 1970 (UTC).
        capture_ms: duration of reading and decoding.
        dropped: frames that a live source dropped just before this one.
        peak: largest value of a 16-bit file before it was scaled to 8 bits; None for other frames.
        frame_id: the number that the camera gave it; None for other sources.
        device_time_ns: the camera's own clock at the exposure, in nanoseconds; None for other sources.
        strip: which part of a web it shows; None of other frames.
        more: whether the file has further pages or animation frames, which are ignored.
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
    frame_id: int | None = None
    device_time_ns: int | None = None
    strip: Strip | None = None


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
    """Convert an image to the frame format of the runtime: uint8 H x W x 3 BGR.

    Args:
        image: uint8 H x W x 3 in BGR order, as OpenCV delivers it; gray H x W or H x W x 1 becomes three
            equal channels; the alpha channel of BGRA, H x W x 4, is dropped.

    Raises:
        DataError: not an array, wrong dtype or shape, a side under 16 pixels, or more than 2^30 pixels.
    """
    if not isinstance(image, np.ndarray):
        raise DataError(
            f"Frames must be NumPy arrays, got {type(image).__name__}.",
            "Read a file with dmdd_edge.data.images.read_image(path).",
        )
    if image.dtype != np.uint8:
        raise DataError(
            f"Frames must be uint8 (0..255), got {image.dtype}.",
            "Convert floats in 0..1 with (frame * 255).round().astype('uint8'), 16 bits with "
            "(frame // 257).astype('uint8').",
        )
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4):
        shape = " x ".join(map(str, image.shape)) or "a single number"
        raise DataError(
            f"Frames must have the shape H x W x 3 (BGR) or H x W (gray), got {shape}.",
            "Move the channels last: frame.transpose(1, 2, 0)."
            if image.ndim == 3 and image.shape[0] in (1, 3, 4)
            else "Read a file with dmdd_edge.data.images.read_image(path).",
        )
    if min(image.shape[:2]) < MIN_SIDE:
        raise DataError(
            f"A frame of {image.shape[1]} x {image.shape[0]} pixels is too small.",
            f"Use frames of at least {MIN_SIDE} x {MIN_SIDE} pixels.",
        )
    if image.shape[0] * image.shape[1] > LARGEST_FRAME:
        raise DataError(
            f"A frame of {image.shape[1]} x {image.shape[0]} pixels is too large.",
            f"Cut it into parts of at most {LARGEST_FRAME:,} pixels.",
        )
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    return image[:, :, :3]
