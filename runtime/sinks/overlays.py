"""Overlays: each frame with its map over it, in colours fixed to the threshold, and its regions framed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.figures import heat_overlay
from dmdd_edge.runtime.frame import Frame, as_bgr
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.pictures import PictureFolder

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FRAME = (255, 255, 255)
_COLOURS = {"good": (80, 160, 60), "anomalous": (40, 40, 220), "unreliable": (0, 140, 255)}


class Overlays(PictureFolder):
    """Writes PNG files that mirror the source's folders; see ``PictureFolder`` and ``draw_overlay``."""

    suffix = ".png"
    option = "--save"

    def encode(self, frame: Frame, result: Result) -> bytes:
        """A PNG of the frame with its map over it."""
        # The lowest compression: a third larger, several times quicker.
        done, data = cv2.imencode(".png", shared_overlay(frame, result), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise DmddError(f"the overlay of {frame.source} cannot be encoded.", "This OpenCV lacks PNG.")
        return data.tobytes()


_last: tuple[Result, NDArray[np.uint8]] | None = None


def shared_overlay(frame: Frame, result: Result) -> NDArray[np.uint8]:
    """``draw_overlay`` of a frame, drawn once for all the sinks that show it, one after the other.

    Returns:
        read-only uint8, as ``draw_overlay``.
    """
    global _last
    last = _last
    if last is not None and last[0] is result:
        return last[1]
    picture = draw_overlay(frame.image, result)
    picture.flags.writeable = False
    _last = (result, picture)
    return picture


def draw_overlay(image: NDArray[np.uint8], result: Result) -> NDArray[np.uint8]:
    """Draw a result over its frame; the colours are fixed to the result's pixel threshold.

    Args:
        image: the frame, uint8 H x W x 3 BGR (grey H x W is taken too).
        result: what was found in it.

    Returns:
        uint8 (H + a strip with the verdict) x W x 3 BGR; the picture keeps the frame's coordinates. Frames of
        one size give pictures of one size.
    """
    bgr = as_bgr(image)
    anomaly_map, preprocess = result.anomaly_map, result.preprocess
    if preprocess.roi is not None or preprocess.rotate:
        anomaly_map = preprocess.map_to_source(anomaly_map, bgr.shape)
    # A map of the whole frame is stretched by heat_overlay, after colouring: several times quicker.
    picture = heat_overlay(bgr, anomaly_map, result.pixel_threshold)
    line = max(1, round(min(bgr.shape[:2]) / 400))
    for region in result.regions:
        corner = (region.x + region.width - 1, region.y + region.height - 1)
        cv2.rectangle(picture, (region.x, region.y), corner, _FRAME, line)
    text = f"{result.status}  {result.score:.4f}  (threshold {result.threshold:.4f})"
    if result.reason:
        text = f"{result.status}: {result.reason}"
    return np.vstack([picture, _strip(text, bgr.shape[1], _COLOURS[result.status])])


def _strip(text: str, width: int, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A line of text on white, as large as the width allows, up to a size that reads well."""
    (long, _), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    (_, high), _ = cv2.getTextSize("Ag", _FONT, 1.0, 1)
    largest = max(width / 1000, 0.5)
    scale = min(0.94 * width / long, largest)
    # Of the largest text, so that the height is the same for every text: a video has one size.
    height = max(round(2.2 * high * largest), 8)
    strip = np.full((height, width, 3), 255, np.uint8)
    origin = (round(0.03 * width), round(height / 2 + high * scale / 2))
    thick = max(1, round(1.6 * scale))
    cv2.putText(strip, text, origin, _FONT, scale, colour, thick, cv2.LINE_AA)
    return strip
