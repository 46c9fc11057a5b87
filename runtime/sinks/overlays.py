"""Overlays: each frame with its map over it, in colors fixed to the threshold, and its regions framed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.options.files import OverlayFormat
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.closeups import with_closeups
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.image_folder import ImageFolder
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay

# PNG: the lowest compression is a third larger and several times faster.
_SETTINGS: dict[OverlayFormat, list[int]] = {
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
    "jpg": [cv2.IMWRITE_JPEG_QUALITY, 90],
    "webp": [cv2.IMWRITE_WEBP_QUALITY, 85],
}


class OverlayCache:
    """The last overlay, so that sinks that share the cache draw a frame once."""

    def __init__(self) -> None:
        self._last: tuple[Result, int | None, bool, NDArray[np.uint8]] | None = None

    def draw(
        self, frame: Frame, result: Result, longest: int | None = None, caption: bool = True
    ) -> NDArray[np.uint8]:
        """``draw_overlay`` of a frame, or the same image again; safe from several threads.

        Returns:
            Read-only uint8, as of ``draw_overlay``.
        """
        last = self._last
        if last is not None and last[0] is result and last[1:3] == (longest, caption):
            return last[3]
        image = draw_overlay(frame.image, result, longest, caption)
        image.flags.writeable = False
        self._last = (result, longest, caption, image)
        return image


class Overlays(ImageFolder):
    """Writes overlays that mirror the source's folders; see ``ImageFolder`` and ``draw_overlay``.

    Args:
        folder, source_root, only_anomalous, options: as for ``ImageFolder``.
        format: of the files; PNG keeps every pixel, JPEG and WebP are many times smaller.
        longest: largest longer side of the image in pixels, without caption and close-ups; None: as for
            ``draw_overlay``.
        caption: add the line with the verdict below the image.
        cache: shared with the run's other sinks that show overlays; None for an own one.
    """

    option = "--save"

    def __init__(
        self,
        folder: Path,
        source_root: Path,
        only_anomalous: bool = False,
        options: FileOptions = FileOptions(),
        format: OverlayFormat = "png",
        longest: int | None = None,
        caption: bool = True,
        cache: OverlayCache | None = None,
    ) -> None:
        self.suffix = f".{format}"
        self._format, self._longest, self._caption = format, longest, caption
        self._cache = cache or OverlayCache()
        super().__init__(folder, source_root, only_anomalous, options)

    def encode(self, frame: Frame, result: Result) -> bytes:
        """The overlay of a frame in the chosen format; of a large one with close-ups of its regions below."""
        overlay = self._cache.draw(frame, result, self._longest, self._caption)
        image = with_closeups(overlay, frame.image, result, self._longest)
        done, data = cv2.imencode(self.suffix, image, _SETTINGS[self._format])
        if not done:
            raise DmddError(f"The overlay of {frame.source} cannot be encoded as {self._format}.")
        return data.tobytes()
