"""One batch in flight: its memory, its stream, and its launcher."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.cuda import Cuda, DeviceMemory, Event
from dmdd_edge.runtime.engines.buffers import Buffer
from dmdd_edge.runtime.engines.launcher import GraphUse, Launcher
from dmdd_edge.runtime.engines.loaded import IMAGE, MAP, SCORE, LoadedEngine

#: Most batch sizes whose contexts and graphs a slot keeps; the least recently used is dropped first.
KEPT_LAUNCHERS = 8


@dataclass(frozen=True)
class DeviceTimes:
    """Where a batch spent its time on the GPU, in milliseconds.

    Attributes:
        upload: from the host; about 0 with mapped memory.
        compute: the engine.
        download: to the host; about 0 with mapped memory.
    """

    upload: float
    compute: float
    download: float


class Slot:
    """Memory, stream and events for one batch; all of it allocated once, for the largest batch.

    Args:
        cuda: the driver.
        loaded: the engine.
        mapped: let the GPU access the host's memory instead of copies.
        blocking: sleep while waiting for the GPU.
        graphs: whether to capture.

    Raises:
        DmddError: not enough memory; what was allocated is released.
    """

    def __init__(
        self, cuda: Cuda, loaded: LoadedEngine, mapped: bool, blocking: bool, graphs: GraphUse
    ) -> None:
        self._cuda, self._loaded, self._graphs = cuda, loaded, graphs
        self._size, largest = loaded.layout.size, loaded.layout.batch.maximum
        self._launchers: OrderedDict[int, Launcher] = OrderedDict()
        self._running: tuple[int, Launcher] | None = None
        pixels = self._size * self._size
        with ExitStack() as undo:
            self._stream = cuda.stream()
            undo.callback(self._stream.free)
            self._marks: list[Event] = []
            for _ in range(4):
                self._marks.append(cuda.event(blocking))
                undo.callback(self._marks[-1].free)
            self._scratch: DeviceMemory | None = None
            if loaded.scratch_bytes:
                self._scratch = cuda.device_memory(loaded.scratch_bytes)
                undo.callback(self._scratch.free)
            self._buffers: dict[str, Buffer] = {}
            for name, nbytes in {IMAGE: 3 * pixels, MAP: 4 * pixels, SCORE: 4}.items():
                self._buffers[name] = Buffer(cuda, largest * nbytes, mapped)
                undo.callback(self._buffers[name].free)
            self._owned = undo.pop_all()

    def start(self, images: NDArray[np.uint8]) -> None:
        """Copy a batch in and queue all of its work.

        Args:
            images: uint8 n x S x S x 3, n at most the largest batch; the caller may change them afterwards.

        Raises:
            DmddError: the engine or CUDA failed; the slot is idle then.
        """
        count, size = len(images), self._size
        padded = max(count, self._loaded.layout.batch.minimum)
        pinned = self._buffers[IMAGE].view((padded, size, size, 3), np.uint8)
        pinned[:count] = images
        pinned[count:] = 0
        try:
            launcher = self._launcher(padded)
            self._queue(padded, launcher)
        except BaseException:
            self.settle()
            raise
        self._running = count, launcher

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float32], DeviceTimes]:
        """Wait for the batch.

        Returns:
            Maps float32 n x S x S and scores float32 n, which own their memory, and the times.

        Raises:
            DmddError: the GPU failed.
        """
        assert self._running is not None, "the slot is idle"
        (count, launcher), self._running = self._running, None
        marks = self._marks
        self._cuda.wait(marks[-1])
        launcher.done()
        times = DeviceTimes(*(self._cuda.milliseconds(a, b) for a, b in pairwise(marks)))
        maps = self._buffers[MAP].view((count, self._size, self._size), np.float32)
        scores = self._buffers[SCORE].view((count,), np.float32)
        return np.array(maps, np.float32), np.array(scores, np.float32), times

    def settle(self) -> None:
        """Wait until the slot is idle, even after an error."""
        self._running = None
        with suppress(DmddError):
            self._cuda.synchronize(self._stream)

    def free(self) -> None:
        """Release everything, in reverse order of allocation."""
        self.settle()
        with ExitStack() as last_first:
            last_first.push(self._owned)
            while self._launchers:
                last_first.callback(self._launchers.popitem()[1].free)

    def _queue(self, count: int, launcher: Launcher) -> None:
        cuda, stream, marks, pixels = self._cuda, self._stream, self._marks, self._size * self._size
        cuda.record(marks[0], stream)
        self._buffers[IMAGE].upload(count * 3 * pixels, stream)
        cuda.record(marks[1], stream)
        launcher.run()
        cuda.record(marks[2], stream)
        self._buffers[MAP].download(count * 4 * pixels, stream)
        self._buffers[SCORE].download(count * 4, stream)
        cuda.record(marks[3], stream)

    def _launcher(self, count: int) -> Launcher:
        launcher = self._launchers.get(count)
        if launcher is None:
            addresses = {name: buffer.address for name, buffer in self._buffers.items()}
            launcher = Launcher(
                self._loaded, self._cuda, self._stream, count, addresses, self._scratch, self._graphs
            )
            self._launchers[count] = launcher
            if len(self._launchers) > KEPT_LAUNCHERS:
                self._launchers.popitem(last=False)[1].free()
        self._launchers.move_to_end(count)
        return launcher
