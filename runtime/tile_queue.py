"""The tiles of several frames on their way through one backend, in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.tiles import Joining, Layout
from dmdd_edge.errors import BackendError
from dmdd_edge.runtime.backends import Backend, OverlappingBackend
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.steps import Outputs
from dmdd_edge.runtime.stop_early import Settled

#: Tiles of one batch where neither the user nor an engine says how many. On a CPU, batches of 1 to 8 take the
#: same time per tile (benchmarks/results/large_runtime.json); a small one ends early sooner, and a graph of
#: few operations gains from a larger one.
TILE_BATCH = 4


class TiledFrame:
    """One frame in a ``TileQueue``; internal to it, but for the attributes.

    Args:
        view: uint8 rows x columns x 3 BGR.
        layout: of the view.
        settled: whether a part of the map ends the frame; None inspects all tiles.

    Attributes:
        inspected: number of inputs of the network whose maps are joined.
        stopped_at: row and column of the view, the center of the tile that ended the frame early; else None.
    """

    def __init__(self, view: NDArray[np.uint8], layout: Layout, settled: Settled | None) -> None:
        self.layout = layout
        self.inspected = 0
        self.stopped_at: tuple[float, float] | None = None
        self._view, self._settled = view, settled
        self._next = self._running = 0
        self._joining: Joining | None = None  # made with the first tiles: it is as large as the frame

    @property
    def inspected_share(self) -> float:
        """Share of the inputs of the network that were inspected, 0..1."""
        return self.inspected / self.layout.count if self.layout.count else 1.0

    @property
    def is_cut(self) -> bool:
        """Whether no further tile is needed."""
        return self.stopped_at is not None or self._next == self.layout.count

    @property
    def is_complete(self) -> bool:
        """Whether all that is needed is joined."""
        return self.is_cut and self._running == 0

    def cut(self, most: int) -> NDArray[np.uint8]:
        """The next batch, with all batches of nearly one size: another size costs a backend time."""
        batches = -(-self.layout.count // most)
        done = self._next * batches // self.layout.count
        stop = -(-(done + 1) * self.layout.count // batches)
        start, self._next = self._next, stop
        self._running += stop - start
        return self.layout.cut(self._view, start, stop)

    def add(self, maps: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        """Join the maps of the batch that was cut first."""
        joining = self._joined()
        joining.add(maps, scores)
        first, self.inspected = self.inspected, self.inspected + len(maps)
        self._running -= len(maps)
        if self._settled is None or self.stopped_at is not None:
            return
        size = self.layout.size
        places = self.layout.places[first : self.inspected]
        for (row, column), score in zip(places, scores, strict=False):  # the coarse one has no place
            here = slice(row, row + size), slice(column, column + size)
            part = self.layout.decided_on(joining.so_far[here].copy(), row, column)
            if self._settled(part, float(score)):
                self.stopped_at = row + size / 2, column + size / 2
                return

    def result(self) -> tuple[NDArray[np.float32], float]:
        """See ``Joining.result``."""
        return self._joined().result()

    def _joined(self) -> Joining:
        if self._joining is None:
            self._joining = self.layout.joining()
        return self._joining


class TileQueue:
    """Passes the tiles of frames to a backend in batches, and joins their maps.

    A backend with several slots always has as many batches, also at the end of a frame: the next frame's
    tiles follow at once. For one thread at a time; detectors that share a backend share its queue.

    Args:
        backend: computes the batches.
        batch: most tiles of one; None takes what suits the backend.

    Attributes:
        batch: most tiles of one batch.
        frames: number of frames that may be started before the first is finished.
    """

    def __init__(self, backend: Backend, batch: int | None = None) -> None:
        self.backend = backend
        self.batch = tile_batch(backend, batch)
        self._overlapping = backend if isinstance(backend, OverlappingBackend) else None
        self.frames = 1 if self._overlapping is None else 2
        self._last_stop: dict[tuple[int, int], tuple[float, float]] = {}
        self._waiting: deque[TiledFrame] = deque()
        self._running: deque[tuple[TiledFrame, Any]] = deque()

    def warm_up(self, size: int) -> None:
        """Run one batch of black tiles of size x size pixels in every slot.

        Raises:
            DmddError: the backend failed.
        """
        black = np.zeros((self.batch, size, size, 3), np.uint8)
        if self._overlapping is None:
            self.backend.infer(black)
            return
        for ticket in [self._overlapping.submit(black) for _ in range(self._overlapping.slots)]:
            self._overlapping.collect(ticket)

    def start(self, view: NDArray[np.uint8], layout: Layout, settled: Settled | None = None) -> TiledFrame:
        """Begin a frame, and return at once where the backend overlaps.

        Args:
            view: uint8 rows x columns x 3 BGR; it must not change until the frame is finished.
            layout: of the view.
            settled: asked about each tile, with 0 in the map where it is ignored; true ends the frame. The
                tiles nearest to where the last frame ended come first; at the beginning those nearest to the
                center.

        Raises:
            DmddError: the backend failed.
        """
        if settled is not None:
            center = layout.shape[0] / 2, layout.shape[1] / 2
            layout = replace(layout, nearest=self._last_stop.get(layout.shape, center))
        frame = TiledFrame(view, layout, settled)
        self._waiting.append(frame)
        self._fill()
        return frame

    def finish(self, frames: Sequence[TiledFrame]) -> Outputs:
        """Wait for frames, once; in the order in which they were started.

        Returns:
            the joined maps, each float32 rows x columns of the view, 0..1, the scores, and the shares of the
            tiles that were inspected.

        Raises:
            DmddError: the backend failed; the other frames are lost.
        """
        joined = [self._finished(frame) for frame in frames]
        scores = np.array([score for _, score in joined], np.float32)
        return [each for each, _ in joined], scores, [frame.inspected_share for frame in frames]

    def _finished(self, frame: TiledFrame) -> tuple[NDArray[np.float32], float]:
        try:
            while not frame.is_complete:
                self._step()
        except BaseException:
            self._abandon()
            raise
        if frame.stopped_at is not None:
            self._last_stop[frame.layout.shape] = frame.stopped_at
        return frame.result()

    def _step(self) -> None:
        """Join one batch."""
        if self._overlapping is None:
            frame = self._next_frame()
            if frame is None:
                raise _lost()
            frame.add(*self.backend.infer(frame.cut(self.batch)))
            return
        if not self._running:
            raise _lost()
        frame, ticket = self._running.popleft()
        maps, scores = self._overlapping.collect(ticket)
        self._fill()  # before the maps are joined, so that the backend need not wait for that
        frame.add(maps, scores)

    def _fill(self) -> None:
        backend = self._overlapping
        if backend is None:
            return
        while len(self._running) < backend.slots and (frame := self._next_frame()) is not None:
            self._running.append((frame, backend.submit(frame.cut(self.batch))))

    def _next_frame(self) -> TiledFrame | None:
        """The first frame that needs further tiles."""
        while self._waiting and self._waiting[0].is_cut:
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None

    def _abandon(self) -> None:
        """Free the slots after a failure."""
        self._waiting.clear()
        while self._running:
            _, ticket = self._running.popleft()
            with suppress(Exception):
                assert self._overlapping is not None
                self._overlapping.collect(ticket)


def tile_batch(backend: Backend, wanted: int | None = None) -> int:
    """Most tiles of one batch: what is wanted, else what suits a backend; an engine has its own limit."""
    largest: int | None = getattr(backend, "largest_batch", None)
    if wanted is None:
        wanted = TILE_BATCH if largest is None else getattr(backend, "usual_batch", largest)
    return wanted if largest is None else min(wanted, largest)


def queue_for(bundle: Bundle, backend: Backend, options: BackendOptions | None = None) -> TileQueue | None:
    """The queue of a backend, warmed up; None for a bundle whose images are not tiled.

    Raises:
        DmddError: the backend failed.
    """
    if bundle.manifest.preprocess.tiling is None:
        return None
    queue = TileQueue(backend, None if options is None else options.tile_batch)
    queue.warm_up(bundle.manifest.image_size)
    return queue


def _lost() -> BackendError:
    return BackendError("The backend failed on an earlier frame, and this one was lost.", "Start again.")
