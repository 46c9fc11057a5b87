"""Batches through an engine: one at a time, or several under way at once in slots of their own."""

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
from dmdd_edge.runtime.backends.options import BackendOptions
from dmdd_edge.runtime.cuda import Cuda
from dmdd_edge.runtime.engines.launcher import GraphUse
from dmdd_edge.runtime.engines.loaded import LoadedEngine
from dmdd_edge.runtime.engines.slot import DeviceTimes, Slot

_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Ticket:
    """A batch under way, to be given to ``collect`` once."""

    slot: Slot | None


class EngineRunner:
    """Runs an engine.

    ``infer`` may be called from several threads, which then take turns. Whoever uses ``submit`` and
    ``collect`` instead does so from one thread at a time, and collects what was submitted first, first.

    Args:
        load: makes the engine; called in the GPU's context.
        cuda: the driver.
        options: how to run.

    Raises:
        DmddError: the engine cannot be loaded, or there is not enough memory.

    Attributes:
        slots: how many batches may be under way at once.
        times: of the batch collected last, on the GPU; None before the first.
    """

    def __init__(self, load: Callable[[], LoadedEngine], cuda: Cuda, options: BackendOptions) -> None:
        self.slots = options.slots
        self.times: DeviceTimes | None = None
        self._cuda = cuda
        self._mapped = options.io_memory == "mapped" or (options.io_memory == "auto" and cuda.gpu.integrated)
        self._turn = threading.Lock()
        self._free: list[Slot] = []
        self._busy: list[Slot] = []
        with cuda.active(), ExitStack() as undo:
            self._loaded = load()
            undo.callback(self._loaded.close)
            self._graphs = _graph_use(self._loaded, cuda, options)
            self._said = self._graphs.why_not
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
        """The largest batch that ``submit`` takes; ``infer`` takes any."""
        return self._loaded.layout.batch.maximum

    @property
    def description(self) -> str:
        """One line for a person: library, precision, GPU, and how it is driven."""
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
        """Run a batch size twice in every slot, which makes its contexts and captures its graphs.

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
            images: uint8 N x S x S x 3 BGR, N from 1 to ``largest_batch``; copied, so free to be changed.

        Raises:
            DmddError: the shape or type is another, all slots are busy, or the engine refused.
        """
        self._check(images)
        if not self._free:
            raise BackendError(
                f"all {self.slots} slots are busy: collect a batch before the next is started."
            )
        with self._cuda.active():
            slot = self._free.pop(0)
            try:
                slot.start(images)
            except BaseException:
                self._free.append(slot)
                raise
            finally:
                self._say()
            self._busy.append(slot)
        return Ticket(slot)

    def collect(self, ticket: Ticket) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Wait for a batch.

        Returns:
            Maps float32 N x S x S, 0..1, and scores float32 N, which own their memory.

        Raises:
            DmddError: the GPU failed, or the batch was collected already.
        """
        slot, ticket.slot = ticket.slot, None
        if slot is None:
            raise BackendError("this batch was collected already.")
        with self._cuda.active():
            try:
                maps, scores, self.times = slot.finish()
                self._loaded.keep()
            finally:
                self._busy.remove(slot)
                self._free.append(slot)
        return maps, scores

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Backend.infer``; more images than the engine takes at once go through in parts."""
        step = self.largest_batch
        if len(images) <= step:
            with self._turn:
                return self.collect(self.submit(images))
        found: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        started: deque[Ticket] = deque()
        with self._turn:
            try:
                for first in range(0, len(images), step):
                    if len(started) == self.slots:
                        found.append(self.collect(started.popleft()))
                    started.append(self.submit(images[first : first + step]))
                while started:
                    found.append(self.collect(started.popleft()))
            finally:
                for ticket in started:
                    with suppress(DmddError):
                        self.collect(ticket)
        maps, scores = zip(*found, strict=True)
        return np.concatenate(maps), np.concatenate(scores)

    def close(self) -> None:
        """Give everything back; what is under way is waited for and lost. A second call does nothing."""
        # A failed launch makes CUDA refuse everything after it, giving back included; nothing can be done.
        with self._turn, self._cuda.active(), suppress(DmddError):
            self._free, self._busy = [], []
            self._owned.close()

    def _check(self, images: NDArray[np.uint8]) -> None:
        size, most = self.image_size, self.largest_batch
        fits = images.ndim == 4 and images.shape[1:] == (size, size, 3) and 1 <= len(images) <= most
        if images.dtype != np.uint8 or not fits:
            shape = " x ".join(map(str, images.shape))
            raise BackendError(
                f"the engine takes uint8 of the shape 1..{most} x {size} x {size} x 3, "
                f"not {images.dtype} of {shape}."
            )

    def _say(self) -> None:
        """Say once why graphs are not used."""
        if self._graphs.why_not != self._said:
            self._said = self._graphs.why_not
            _LOG.warning("running without CUDA graphs, which is slower: %s", self._said)


def _graph_use(loaded: LoadedEngine, cuda: Cuda, options: BackendOptions) -> GraphUse:
    """Whether we are to capture graphs."""
    if not options.cuda_graphs or loaded.own_graphs:
        return GraphUse(False)
    return GraphUse(cuda.graphs, "" if cuda.graphs else f"{cuda.name} has none")
