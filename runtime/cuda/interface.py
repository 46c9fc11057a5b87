"""The part of CUDA that the runtime uses: memory, copies, streams, events, graphs.

Two drivers implement it, ``cuda-bindings`` and PyCUDA. Every resource is released exactly once, by ``free``;
a second call does nothing.
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
    """A GPU resource that must be released, once.

    Args:
        release: releases it.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def free(self) -> None:
        """Release it; later calls do nothing.

        Raises:
            DmddError: CUDA failed, as it does after a failed launch.
        """
        release, self._release = self._release, None
        if release is not None:
            release()


class DeviceMemory(Owned):
    """GPU memory.

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
        device_address: the GPU's address of the same bytes; None unless it is mapped.
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
    """A resource that only the driver can use.

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
        handle: the ``cudaStream_t``, for TensorRT.
    """

    def __init__(self, handle: int, native: Any, release: Callable[[], None]) -> None:
        super().__init__(native, release)
        self.handle = handle


class Event(_Native):
    """A mark in a stream, with the time at which the GPU passed it."""


class Graph(_Native):
    """Work captured once, to be launched many times."""


class Cuda(Protocol):
    """A driver.

    Every method but ``active`` is called inside ``with cuda.active():`` and raises ``DmddError``, with
    CUDA's own message, when CUDA fails.

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
        """Make the GPU's primary context current in the calling thread, for the duration of the block."""
        ...

    def device_memory(self, nbytes: int) -> DeviceMemory:
        """Allocate memory on the GPU; aligned to 256 bytes or more."""
        ...

    def host_memory(self, nbytes: int, mapped: bool = False) -> HostMemory:
        """Allocate page-locked memory; ``mapped``: with an address for the GPU as well."""
        ...

    def stream(self) -> Stream:
        """Create a stream."""
        ...

    def event(self, blocking: bool = True) -> Event:
        """Create an event; ``blocking``: waiting for it sleeps instead of polling."""
        ...

    def copy_to_device(self, target: DeviceMemory, source: HostMemory, nbytes: int, stream: Stream) -> None:
        """Queue a copy of the first ``nbytes``; ``source`` must not change until it is done."""
        ...

    def copy_to_host(self, target: HostMemory, source: DeviceMemory, nbytes: int, stream: Stream) -> None:
        """Queue a copy of the first ``nbytes``; ``target`` must not be read until it is done."""
        ...

    def record(self, event: Event, stream: Stream) -> None:
        """Queue the mark; the GPU passes it when all work queued before is done."""
        ...

    def wait(self, event: Event) -> None:
        """Wait until the GPU passes the mark; other threads run meanwhile."""
        ...

    def synchronize(self, stream: Stream) -> None:
        """Wait until all queued work is done; other threads run meanwhile."""
        ...

    def milliseconds(self, start: Event, end: Event) -> float:
        """The time between two passed marks."""
        ...

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Capture what ``work`` queues instead of running it; on failure the stream is unchanged."""
        ...

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Queue a graph."""
        ...


def refusal(what: str, cause: str, nbytes: int = 0, memory: bool = False) -> DmddError:
    """The error for a failed call of CUDA.

    Args:
        what: the request, such as ``allocate memory``.
        cause: CUDA's own message.
        nbytes: the requested number of bytes; 0 if the request was not for memory.
        memory: whether memory ran out.
    """
    size = f" of {nbytes:,} bytes" if nbytes else ""
    fix = "Check `nvidia-smi` and `dmesg` for the cause, then restart."
    if memory:
        fix = "Close other programs that use the GPU, or build the engine for smaller batches."
    return BackendError(f"CUDA failed to {what}{size}: {cause}.", fix)
