"""Overlays: each frame with its map over it, in colours fixed to the threshold, and its regions framed."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.figures import heat_overlay
from dmdd_edge.images import IMAGE_SUFFIXES
from dmdd_edge.preprocess import Preprocess
from dmdd_edge.runtime.frame import BrokenFrame, Frame, as_bgr
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FRAME = (255, 255, 255)
_COLOURS = {"good": (80, 160, 60), "anomalous": (40, 40, 220), "unreliable": (0, 140, 255)}


class Overlays:
    """Writes PNG files that mirror the source's folders, so that no two frames share a name.

    Args:
        folder: where they go; made when missing.
        source_root: the source's folder; nothing is ever written into it but below ``folder``.
        pixel_threshold: what the colours are fixed to, 0..1.
        preprocess: the bundle's; lays the map where it was taken from.
        only_anomalous: leave good frames out.

    Attributes:
        written: how many were written.

    Raises:
        DmddError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        source_root: Path,
        pixel_threshold: float,
        preprocess: Preprocess,
        only_anomalous: bool = False,
    ) -> None:
        self._folder = folder
        self._threshold = pixel_threshold
        self._preprocess = preprocess
        self._only_anomalous = only_anomalous
        self.written = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DmddError(
                f"{folder} cannot be made: {error}.", "Name another folder for --save."
            ) from error
        root = source_root.resolve()
        self._forbidden = None if folder.resolve().is_relative_to(root) else root

    def result(self, frame: Frame, result: Result) -> None:
        """Write the overlay of a frame."""
        if self._only_anomalous and result.status == "good":
            return
        target = self._folder / overlay_name(frame.name or f"frame-{frame.index:06d}")
        if self._forbidden is not None and target.resolve().is_relative_to(self._forbidden):
            raise DmddError(
                f"the overlay {target} would be written among the source's images.",
                "Name another folder for --save.",
            )
        picture = draw_overlay(frame.image, result, self._threshold, self._preprocess)
        done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        try:
            if not done:
                raise OSError("the picture cannot be encoded")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data.tobytes())
        except OSError as error:
            raise DmddError(f"{target} cannot be written: {error}.", "Free some space.") from error
        self.written += 1

    def broken(self, frame: BrokenFrame) -> None:
        """Nothing: there is no picture to draw over."""

    def summary(self, summary: Summary) -> None:
        """Nothing: every picture is written."""

    def close(self) -> None:
        """Nothing is left to do: every picture is written."""


def overlay_name(name: str) -> str:
    """The relative path of the overlay of a frame: ``a/000.png`` stays, ``a/000.jpg`` gets ``.png`` added.

    No two names of frames give the same: what ends in .png and would look like such an addition
    (``000.jpg.png``) gets one more.

    Args:
        name: a frame's name, a relative path with ``/``.
    """
    path = PurePosixPath(name)
    looks_added = path.stem.lower().endswith(IMAGE_SUFFIXES)
    return name if path.suffix == ".png" and not looks_added else f"{name}.png"


def draw_overlay(
    image: NDArray[np.uint8], result: Result, threshold: float, preprocess: Preprocess
) -> NDArray[np.uint8]:
    """Draw a result over its frame.

    Args:
        image: the frame, uint8 H x W x 3 BGR (grey H x W is taken too).
        result: what was found in it.
        threshold: the pixel threshold, 0..1, which the colours are fixed to.
        preprocess: the bundle's.

    Returns:
        uint8 (H + a strip with the verdict) x W x 3 BGR; the picture keeps the frame's coordinates.
    """
    bgr = as_bgr(image)
    picture = heat_overlay(bgr, preprocess.map_to_source(result.anomaly_map, bgr.shape), threshold)
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
    (long, high), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    scale = min(0.94 * width / long, max(width / 1000, 0.5))
    height = max(round(2.2 * high * scale), 8)
    strip = np.full((height, width, 3), 255, np.uint8)
    origin = (round(0.03 * width), round(height / 2 + high * scale / 2))
    thick = max(1, round(1.6 * scale))
    cv2.putText(strip, text, origin, _FONT, scale, colour, thick, cv2.LINE_AA)
    return strip
