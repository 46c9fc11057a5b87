"""Recorded images for a simulated camera: a folder, a video, an image or a glob, shown again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.sources.file_source import open_files
from dmdd_edge.runtime.sources.options import SourceOptions


class RecordedImages:
    """Images of files.

    Args:
        path: a folder with its subfolders, a video, an image or a glob.
    """

    def __init__(self, path: str) -> None:
        self.name, self._path = f"images:{path}", path

    def images(self, stop: threading.Event) -> Iterator[NDArray[np.uint8] | DmddError]:
        """The images once, in order; see ``Album``."""
        for frame in open_files(self._path, SourceOptions()):
            yield frame.error if isinstance(frame, BrokenFrame) else frame.image
