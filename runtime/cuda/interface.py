"""What the runtime asks of CUDA: memory, copies, a stream, events, graphs; and no more than that.

Two drivers answer it, ``cuda-bindings`` and PyCUDA. Everything handed out is given back exactly once, by
``free``; a second call does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.runtime.cuda.gpu import GpuFacts


class Owned:
    """Something of the GPU's that must be given back, once.

    Args:
        release: gives it back.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def free(self) -> None:
        """Give it back; later calls do nothing.

        Raises:
            DmddError: CUDA refused, which it does when an earlier launch has failed.
        """
        release, self._release = self._release, None
        if release is not None:
            release()


class DeviceMemory(Owned):
    """Memory of the GPU.

    Attributes:
        address: on the device.
        nbytes: its size.
    """

    def __init__(self, address: int, nbytes: int, release: Callable[[], None]) -> None:
        super().__init__(release)
        self.address, self.nbytes = address, nbytes


class HostMemory(Owned):
    """Page-locked memory of the host. No view of ``array`` may be used once it is freed.

    Attributes:
        array: uint8, one dimension; empty once it is freed.
        address: on the host.
        device_address: where the GPU sees the same bytes; None unless it was asked for as mapped.
    """

    def __init__(
        self, array: NDArray[np.uint8], device_address: int | None, release: Callable[[], None]
    ) -> None:
        super().__init__(release)
        self.array, self.device_address = array, device_address
        self.address = int(array.ctypes.data)

    def free(self) -> None:
        """See ``Owned``."""
        self.array = np.empty(0, np.uint8)
        super().free()


class _Native(Owned):
    """Something that only the driver can use.

    Attributes:
        native: the driver's own object; None once it is freed.
    """

    def __init__(self, native: Any, release: Callable[[], None]) -> None:
        super().__init__(release)
        self.native = native

    def free(self) -> None:
        """See ``Owned``."""
        self.native = None
        super().free()


class Stream(_Native):
    """A queue of work; it does not wait for the default stream.

    Attributes:
        handle: the ``cudaStream_t``, as TensorRT takes it.
    """

    def __init__(self, handle: int, native: Any, release: Callable[[], None]) -> None:
        super().__init__(native, release)
        self.handle = handle


class Event(_Native):
    """A mark in a stream, with the time at which it was passed."""


class Graph(_Native):
    """Work that was captured once and can be launched many times."""


class Cuda(Protocol):
    """A driver.

    Every method but ``active`` is called inside ``with cuda.active():`` and raises ``DmddError``, with
    CUDA's own words, when CUDA refuses.

    Attributes:
        name: as ``--cuda-driver`` names it.
        version: of the package.
        gpu: the GPU it uses.
        graphs: whether ``capture`` works.
    """

    name: str
    version: str
    gpu: GpuFacts
    graphs: bool

    def active(self) -> AbstractContextManager[None]:
        """Make the GPU's primary context the calling thread's, for as long as this lasts."""
        ...

    def device_memory(self, nbytes: int) -> DeviceMemory:
        """Allocate memory on the GPU; aligned to 256 bytes or more."""
        ...

    def host_memory(self, nbytes: int, mapped: bool = False) -> HostMemory:
        """Allocate page-locked memory; ``mapped``: with an address for the GPU."""
        ...

    def stream(self) -> Stream:
        """Make a stream of our own."""
        ...

    def event(self, blocking: bool = True) -> Event:
        """Make an event; ``blocking``: who waits for it sleeps, instead of asking over and over."""
        ...

    def copy_to_device(self, target: DeviceMemory, source: HostMemory, nbytes: int, stream: Stream) -> None:
        """Queue a copy of the first ``nbytes``; ``source`` must stay as it is until it is done."""
        ...

    def copy_to_host(self, target: HostMemory, source: DeviceMemory, nbytes: int, stream: Stream) -> None:
        """Queue a copy of the first ``nbytes``; ``target`` must not be read until it is done."""
        ...

    def record(self, event: Event, stream: Stream) -> None:
        """Queue the mark; it is passed when all that was queued before is done."""
        ...

    def wait(self, event: Event) -> None:
        """Wait until the mark is passed; other threads run meanwhile."""
        ...

    def synchronize(self, stream: Stream) -> None:
        """Wait until all that was queued is done; other threads run meanwhile."""
        ...

    def milliseconds(self, start: Event, end: Event) -> float:
        """The time between two marks that were passed."""
        ...

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Note what ``work`` queues instead of running it; the stream is as before when this fails."""
        ...

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Queue a graph."""
        ...


def refusal(what: str, said: str, nbytes: int = 0, memory: bool = False) -> DmddError:
    """The error for what CUDA refused.

    Args:
        what: what was asked of it, such as ``allocate memory``.
        said: CUDA's own words.
        nbytes: how much was asked for, if that is a number of bytes.
        memory: whether it was for want of memory.
    """
    size = f" of {nbytes:,} bytes" if nbytes else ""
    fix = "See `nvidia-smi` and `dmesg` for what befell the GPU, then start again."
    if memory:
        fix = "Close what else uses the GPU, or build the engine for smaller batches."
    return BackendError(f"CUDA could not {what}{size}: {said}.", fix)
