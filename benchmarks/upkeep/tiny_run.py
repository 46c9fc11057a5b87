"""A run whose graph costs next to nothing, over images from memory: what else a frame costs shows."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from blue_bundle import write_blue_bundle
from numpy.typing import NDArray

from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.sources.base import SourceState, say_nothing, take_all

SIZE = 64


def tiny_detector(folder: Path) -> Detector:
    """A detector whose map is the blue channel; its score is the largest value, its threshold 0.5."""
    write_blue_bundle(folder, "tiny", SIZE)
    return Detector.load(folder / "tiny", "cpu")


def drawn(width: int, height: int, number: int, anomalous: bool = False) -> NDArray[np.uint8]:
    """A soft texture with the noise of a camera, uint8 height x width x 3 BGR; its score is about 0.35."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(20, 70, (height // 64, width // 64, 3)).astype(np.float32)
    soft = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    image = np.clip(soft + rng.normal(0, 2.5, soft.shape), 0, 110).astype(np.uint8)
    if anomalous:
        image[height // 3 : height // 2, width // 3 : width // 2, 0] = 220
    return image


class FromMemory:
    """A source of frames that are in memory, in turn; see ``Source``.

    Args:
        images: shown in turn.
        order: the number of the image of each frame.
        fps: frames per second; None is as fast as they are taken.
    """

    def __init__(self, images: Sequence[NDArray[np.uint8]], order: Sequence[int], fps: float | None) -> None:
        self.total: int | None = len(order)
        self.root, self.live, self.bits = Path(os.devnull), True, 8
        self.skip: Callable[[str, int], bool] = take_all
        self.say: Callable[[str], None] = say_nothing
        self._images, self._order, self._fps = images, order, fps
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each when it is due."""
        due = time.perf_counter()
        for index, number in enumerate(self._order):
            if self._fps is not None:
                due = max(due + 1 / self._fps, time.perf_counter() - 1 / self._fps)
                self._stopped.wait(max(due - time.perf_counter(), 0))
            if self._stopped.is_set():
                return
            yield Frame(self._images[number], "memory", f"{index}.png", index, time.time())

    def stop(self) -> None:
        """End soon."""
        self._stopped.set()

    def state(self) -> SourceState:
        """Always the same."""
        return SourceState("memory", live=True)
