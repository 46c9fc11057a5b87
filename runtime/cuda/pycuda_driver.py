"""CUDA through PyCUDA, for machines that have only that: it is compiled on the device, and has no graphs.

``pycuda.autoprimaryctx`` is used, since TensorRT works in the primary context. PyCUDA keeps a stack of
contexts per thread, and a thread that ends with one on its stack crashes the whole process: so the context
is pushed only while it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from dmdd_edge.errors import BackendError
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.cuda.interface import DeviceMemory, Event, Graph, HostMemory, Stream, refusal

#: CUDA's flag for a stream that does not wait for the default one; PyCUDA has no name for it.
_NON_BLOCKING = 1


class PyCuda:
    """See ``Cuda``.

    Raises:
        DmddError: the package is missing or was compiled for another CUDA, or there is no GPU.
    """

    name = "pycuda"
    graphs = False

    def __init__(self) -> None:
        try:
            import pycuda.driver
        except (ImportError, OSError) as error:
            absent = isinstance(error, ModuleNotFoundError) and error.name == "pycuda"
            raise BackendError(
                "PyCUDA is not installed." if absent else f"Cannot load PyCUDA: {error}.",
                "Install it; it is compiled on this machine, with the CUDA toolkit (nvcc and cuda.h): "
                + install_command("pycuda"),
            ) from error
        self._driver: Any = pycuda.driver
        try:
            import pycuda.autoprimaryctx

            self._context: Any = pycuda.autoprimaryctx.context
            with self.active():
                self.gpu = _facts(self._driver, pycuda.autoprimaryctx.device)
        except (self._driver.Error, RuntimeError) as error:
            raise BackendError(
                f"PyCUDA cannot use a GPU: {error}.", "Check that NVIDIA's driver is loaded: nvidia-smi"
            ) from error
        self.version = metadata.version("pycuda")

    @contextmanager
    def active(self) -> Iterator[None]:
        """See ``Cuda``."""
        current = self._driver.Context.get_current()
        if current is not None and current.handle == self._context.handle:
            yield
            return
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def device_memory(self, nbytes: int) -> DeviceMemory:
        """See ``Cuda``."""
        with self._errors("allocate memory", nbytes):
            memory = self._driver.mem_alloc(nbytes)
        return DeviceMemory(int(memory), nbytes, memory.free)

    def host_memory(self, nbytes: int, mapped: bool = False) -> HostMemory:
        """See ``Cuda``."""
        flags = self._driver.host_alloc_flags.DEVICEMAP if mapped else 0
        with self._errors("allocate pinned memory", nbytes):
            array = self._driver.pagelocked_empty((nbytes,), "uint8", "C", flags)
            address = int(array.base.get_device_pointer()) if mapped else None
        return HostMemory(array, address, array.base.free)

    def stream(self) -> Stream:
        """See ``Cuda``."""
        with self._errors("create a stream"):
            native = self._driver.Stream(_NON_BLOCKING)
        return Stream(int(native.handle), native, _nothing)

    def event(self, blocking: bool = True) -> Event:
        """See ``Cuda``."""
        flags = self._driver.event_flags
        with self._errors("create an event"):
            native = self._driver.Event(int(flags.BLOCKING_SYNC if blocking else flags.DEFAULT))
        return Event(native, _nothing)

    # Streams and events are destroyed with their last reference, which ``free`` drops.

    def copy_to_device(self, target: DeviceMemory, source: HostMemory, nbytes: int, stream: Stream) -> None:
        """See ``Cuda``."""
        with self._errors("copy to the GPU"):
            self._driver.memcpy_htod_async(target.address, source.array[:nbytes], stream.native)

    def copy_to_host(self, target: HostMemory, source: DeviceMemory, nbytes: int, stream: Stream) -> None:
        """See ``Cuda``."""
        with self._errors("copy from the GPU"):
            self._driver.memcpy_dtoh_async(target.array[:nbytes], source.address, stream.native)

    def record(self, event: Event, stream: Stream) -> None:
        """See ``Cuda``."""
        with self._errors("record an event"):
            event.native.record(stream.native)

    def wait(self, event: Event) -> None:
        """See ``Cuda``."""
        with self._errors("wait for the GPU"):
            event.native.synchronize()

    def synchronize(self, stream: Stream) -> None:
        """See ``Cuda``."""
        with self._errors("wait for the GPU"):
            stream.native.synchronize()

    def milliseconds(self, start: Event, end: Event) -> float:
        """See ``Cuda``."""
        with self._errors("read the time"):
            return float(start.native.time_till(end.native))

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Always fails: PyCUDA has no graphs."""
        raise BackendError("PyCUDA has no CUDA graphs.", 'Use the other driver: pip install "cuda-bindings"')

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Always fails: PyCUDA has no graphs."""
        raise BackendError("PyCUDA has no CUDA graphs.", 'Use the other driver: pip install "cuda-bindings"')

    @contextmanager
    def _errors(self, what: str, nbytes: int = 0) -> Iterator[None]:
        """Convert PyCUDA's exceptions."""
        try:
            yield
        except self._driver.Error as error:
            raise refusal(what, str(error), nbytes, isinstance(error, self._driver.MemoryError)) from error


def _nothing() -> None:
    """Do nothing."""


def _facts(driver: Any, device: Any) -> GpuFacts:
    major, minor = device.compute_capability()
    version = driver.get_driver_version()
    cuda = f"{version // 1000}.{version % 1000 // 10}"
    return GpuFacts(
        name=device.name(),
        sm=f"sm{major}{minor}",
        driver=f"of CUDA {cuda}",
        cuda=cuda,
        memory=device.total_memory(),
        integrated=bool(device.get_attribute(driver.device_attribute.INTEGRATED)),
    )
