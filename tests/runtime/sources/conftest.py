"""What the tests of the sources share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.runtime.sources import Source
from tests.runtime.sources.reading import Reader


@pytest.fixture
def read() -> Iterator[Callable[[Source], Reader]]:
    """Iterate over a source in a separate thread, as a run does; what still reads at the end is stopped."""
    readers: list[Reader] = []

    def start(source: Source) -> Reader:
        readers.append(Reader(source))
        return readers[-1]

    yield start
    for reader in readers:
        reader.stop()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("grab ")]
    for thread in threading.enumerate():
        if thread.name.startswith("grab "):
            thread.join(20)
            assert not thread.is_alive(), left


def write_video(path: Path, count: int, fps: float = 30.0, size: tuple[int, int] = (64, 48)) -> None:
    """A video whose frame ``i`` is plain gray of level ``8 * (i % 30) + 8``."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write a video")
    for number in range(count):
        writer.write(np.full((size[1], size[0], 3), 8 * (number % 30) + 8, np.uint8))
    writer.release()


def level(image: NDArray[np.uint8]) -> int:
    """Which frame of ``write_video`` it is, modulo 30."""
    return round((float(image.mean()) - 8) / 8)


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """``write_video`` into ``tmp_path/line.avi``."""

    def make(count: int, fps: float = 30.0) -> Path:
        write_video(tmp_path / "line.avi", count, fps)
        return tmp_path / "line.avi"

    return make
