"""Overlays: each frame with its map over it, in colours fixed to the threshold, and its regions framed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.image_folder import ImageFolder
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay

Format = Literal["png", "jpg", "webp"]
#: The values of ``--save-format``.
FORMATS: tuple[Format, ...] = get_args(Format)

# PNG: the lowest compression is a third larger and several times quicker.
_SETTINGS: dict[Format, list[int]] = {
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
    "jpg": [cv2.IMWRITE_JPEG_QUALITY, 90],
    "webp": [cv2.IMWRITE_WEBP_QUALITY, 85],
}


class Overlays(ImageFolder):
    """Writes overlays that mirror the source's folders; see ``ImageFolder`` and ``draw_overlay``.

    Args:
        folder, source_root, only_anomalous, options: as for ``ImageFolder``.
        format: of the files; PNG keeps every pixel, JPEG and WebP are many times smaller.
        longest: the longer side of the picture in pixels at most, without the caption; None: the frame's.
        caption: add the line with the verdict below the picture.
    """

    option = "--save"

    def __init__(
        self,
        folder: Path,
        source_root: Path,
        only_anomalous: bool = False,
        options: FileOptions = FileOptions(),
        format: Format = "png",
        longest: int | None = None,
        caption: bool = True,
    ) -> None:
        self.suffix = f".{format}"
        self._format, self._longest, self._caption = format, longest, caption
        super().__init__(folder, source_root, only_anomalous, options)

    def encode(self, frame: Frame, result: Result) -> bytes:
        """The frame with its map over it, in the format asked for."""
        picture = shared_overlay(frame, result, self._longest, self._caption)
        done, data = cv2.imencode(self.suffix, picture, _SETTINGS[self._format])
        if not done:
            raise DmddError(f"the overlay of {frame.source} cannot be encoded as {self._format}.")
        return data.tobytes()


_last: tuple[Result, int | None, bool, NDArray[np.uint8]] | None = None


def shared_overlay(
    frame: Frame, result: Result, longest: int | None = None, caption: bool = True
) -> NDArray[np.uint8]:
    """``draw_overlay`` of a frame, drawn once for all the sinks that show it, one after the other.

    Returns:
        read-only uint8, as ``draw_overlay``.
    """
    global _last
    last = _last
    if last is not None and last[0] is result and last[1:3] == (longest, caption):
        return last[3]
    picture = draw_overlay(frame.image, result, longest, caption)
    picture.flags.writeable = False
    _last = (result, longest, caption, picture)
    return picture
