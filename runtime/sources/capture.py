"""Shared by the devices that OpenCV reads: decoding a grabbed frame, and closing."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.messages.quiet import silent
from dmdd_edge.runtime.sources.live_device import damaged


class CaptureDevice:
    """The part of a ``Device`` common to everything OpenCV reads; ``open`` sets ``_capture``.

    Args:
        name: for a person, without user names and passwords.
        label: a name for its frames, valid as a folder name.
    """

    def __init__(self, name: str, label: str) -> None:
        self.name, self.label = name, label
        self._capture: cv2.VideoCapture | None = None

    def retrieve(self) -> NDArray[np.uint8]:
        """Decode the grabbed frame.

        Returns:
            uint8 H x W x 3 BGR, which owns its memory.

        Raises:
            DmddError: the frame is damaged; the next may be intact.
        """
        assert self._capture is not None
        with silent():  # libjpeg warns at every frame of a camera that pads its JPEGs
            done, image = self._capture.retrieve()
        # OpenCV may report success for an empty frame.
        if not done or image is None or image.size == 0:
            raise damaged(self.name)
        return np.asarray(image, dtype=np.uint8)

    def close(self) -> None:
        """Release the device; no-op if it is not open."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None
