"""Raw frames: each frame as the source delivered it, for a data set or a second look."""

from __future__ import annotations

import cv2

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.image_folder import ImageFolder


class RawFrames(ImageFolder):
    """Writes each frame as a PNG with the pixels of the source, before region of interest and resize.

    Names mirror the source's folders. A camera's frames are named ``LABEL/DATE/TIME-INDEX.png`` in UTC, so
    they sort by time and can be copied into a training folder. A frame that could not be read has no file.
    Arguments and errors as for ``ImageFolder``.
    """

    suffix = ".png"
    option = "--save-frames"

    def encode(self, frame: Frame, result: Result) -> bytes:
        """A PNG of the frame."""
        # The lowest compression: a third larger, several times faster.
        done, data = cv2.imencode(".png", frame.image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise DmddError(f"The frame {frame.source} cannot be encoded as a PNG.")
        return data.tobytes()
