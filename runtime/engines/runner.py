"""Run batches through an engine: one at a time, or several in flight at once, each in its own slot."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.runtime.cuda import Cuda
from dmdd_edge.runtime.engines.launcher import GraphUse
from dmdd_edge.runtime.engines.loaded import LoadedEngine
from dmdd_edge.runtime.engines.slot import DeviceTimes, Slot
from dmdd_edge.runtime.options.backend import BackendOptions

_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Ticket:
    """A batch in flight, for one call of ``collect``."""

    slot: Slot | None


class EngineRunner:
    """Runs an engine.

    ``infer`` may be called from several threads, which are then serialized. ``submit`` and ``collect`` must
    be called from one thread at a time, and batches collected in the order of submission.

    Args:
        load: loads the engine; called in the GPU's context.
        cuda: the driver.
        options: how it runs.

    Raises:
        DmddError: the engine cannot be loaded, or not enough memory.

    Attributes:
        slots: number of batches that may be in flight at once.
        times: of the last collected batch on the GPU; None before the first.
    """

    def __init__(self, load: Callable[[], LoadedEngine], cuda: Cuda, options: BackendOptions) -> None:
        self.slots = options.slots
        self.times: DeviceTimes | None = None
        self._cuda = cuda
        self._mapped = options.io_memory == "mapped" or (options.io_memory == "auto" and cuda.gpu.integrated)
        self._lock = threading.Lock()
        self._free: list[Slot] = []
        self._busy: list[Slot] = []
        with cuda.active(), ExitStack() as undo:
            self._loaded = load()
            undo.callback(self._loaded.close)
            self._graphs = _graph_use(self._loaded, cuda, options)
            self._reported = self._graphs.why_not
            for _ in range(options.slots):
                slot = Slot(cuda, self._loaded, self._mapped, not options.spin, self._graphs)
                undo.callback(slot.free)
                self._free.append(slot)
            self._owned = undo.pop_all()

    @property
    def image_size(self) -> int:
        """S of the images N x S x S x 3."""
        return self._loaded.layout.size

    @property
    def largest_batch(self) -> int:
        """The largest batch of ``submit``; ``infer`` accepts any."""
        return self._loaded.layout.batch.maximum

    @property
    def description(self) -> str:
        """One line for a person: library, precision, GPU, driver and memory."""
        sidecar, cuda = self._loaded.sidecar, self._cuda
        how = [f"{cuda.name} {cuda.version}", "mapped memory" if self._mapped else "copied memory"]
        if self._graphs.wanted or self._loaded.own_graphs:
            how.append("CUDA graphs")
        elif self._graphs.why_not:
            how.append(f"no CUDA graphs ({self._graphs.why_not})")
        if self.slots > 1:
            how.append(f"{self.slots} batches at once")
        if not sidecar.parity:
            how.append("parity not measured on this GPU")
        built = f"{sidecar.library}, {sidecar.precision}, batch {sidecar.batch}"
        return f"{built}, {cuda.gpu.name} ({cuda.gpu.sm}), {', '.join(how)}"

    def warm_up(self, count: int = 1) -> None:
        """Run a batch size twice in every slot, which creates its contexts and captures its graphs.

        Raises:
            DmddError: as ``submit`` and ``collect``.
        """
        size = self.image_size
        blank = np.zeros((min(count, self.largest_batch), size, size, 3), np.uint8)
        for _ in range(2):
            tickets = [self.submit(blank) for _ in range(self.slots)]
            for ticket in tickets:
                self.collect(ticket)

    def submit(self, images: NDArray[np.uint8]) -> Ticket:
        """Start a batch, and return while the GPU works.

        Args:
            images: uint8 N x S x S x 3 BGR, N from 1 to ``largest_batch``; the caller may change them
                afterwards.

        Raises:
            DmddError: wrong shape or dtype, all slots are busy, or the engine failed.
        """
        self._check(images)
        if not self._free:
            raise BackendError(
                f"All {self.slots} slots are busy.", "Collect a batch before submitting the next."
            )
        with self._cuda.active():
            slot = self._free.pop(0)
            try:
                slot.start(images)
            except BaseException:
                self._free.append(slot)
                raise
            finally:
                self._report()
            self._busy.append(slot)
        return Ticket(slot)

    def collect(self, ticket: Ticket) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Wait for a batch.

        Returns:
            Maps float32 N x S x S, 0..1, and scores float32 N, which own their memory.

        Raises:
            DmddError: the GPU failed, or the batch has already been collected.
        """
        slot, ticket.slot = ticket.slot, None
        if slot is None:
            raise BackendError("This batch has already been collected.")
        with self._cuda.active():
            try:
                maps, scores, self.times = slot.finish()
                self._loaded.keep()
            finally:
                self._busy.remove(slot)
                self._free.append(slot)
        return maps, scores

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Backend.infer``; more images than the largest batch are split into parts."""
        step = self.largest_batch
        if len(images) <= step:
            with self._lock:
                return self.collect(self.submit(images))
        outputs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        started: deque[Ticket] = deque()
        with self._lock:
            try:
                for first in range(0, len(images), step):
                    if len(started) == self.slots:
                        outputs.append(self.collect(started.popleft()))
                    started.append(self.submit(images[first : first + step]))
                while started:
                    outputs.append(self.collect(started.popleft()))
            finally:
                for ticket in started:
                    with suppress(DmddError):
                        self.collect(ticket)
        maps, scores = zip(*outputs, strict=True)
        return np.concatenate(maps), np.concatenate(scores)

    def close(self) -> None:
        """Release everything; batches in flight are finished and lost. A second call does nothing."""
        # After a failed launch every call of CUDA fails, releasing included; nothing can be done.
        with self._lock, self._cuda.active(), suppress(DmddError):
            self._free, self._busy = [], []
            self._owned.close()

    def _check(self, images: NDArray[np.uint8]) -> None:
        size, most = self.image_size, self.largest_batch
        fits = images.ndim == 4 and images.shape[1:] == (size, size, 3) and 1 <= len(images) <= most
        if images.dtype != np.uint8 or not fits:
            shape = " x ".join(map(str, images.shape))
            raise BackendError(
                f"The engine needs uint8 images of shape 1..{most} x {size} x {size} x 3, "
                f"got {images.dtype} of shape {shape}."
            )

    def _report(self) -> None:
        """Log once why graphs are not used."""
        if self._graphs.why_not != self._reported:
            self._reported = self._graphs.why_not
            _LOG.warning("running without CUDA graphs, which is slower: %s", self._reported)


def _graph_use(loaded: LoadedEngine, cuda: Cuda, options: BackendOptions) -> GraphUse:
    """Whether to capture graphs."""
    if not options.cuda_graphs or loaded.own_graphs:
        return GraphUse(False)
    return GraphUse(cuda.graphs, "" if cuda.graphs else f"{cuda.name} does not support them")
