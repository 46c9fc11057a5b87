"""What the devices that OpenCV reads have in common: how a grabbed frame is decoded, and the end."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.messages.quiet import silent
from dmdd_edge.runtime.sources.device import damaged


class CaptureDevice:
    """The half of a ``Device`` that is the same whatever OpenCV reads from; ``open`` sets ``_capture``.

    Args:
        name: what a person calls it, without user names and passwords.
        label: a name for its frames, fit for a folder.
    """

    def __init__(self, name: str, label: str) -> None:
        self.name, self.label = name, label
        self._capture: cv2.VideoCapture | None = None

    def retrieve(self) -> NDArray[np.uint8]:
        """Decode what was grabbed.

        Returns:
            uint8 H x W x 3 BGR, an array of its own.

        Raises:
            DmddError: it is damaged; the next may be fine.
        """
        assert self._capture is not None
        with silent():  # of a camera that fills its JPEGs up, libjpeg would say so at every frame
            done, image = self._capture.retrieve()
        # OpenCV may call a frame done that is empty.
        if not done or image is None or image.size == 0:
            raise damaged(self.name)
        return np.asarray(image, dtype=np.uint8)

    def close(self) -> None:
        """Give it back; also when it is not open."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None
