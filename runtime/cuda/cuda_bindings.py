"""CUDA through NVIDIA's ``cuda-bindings``: wheels for x86-64 and aarch64, and graphs.

Each call returns a tuple whose first element is a status. The package imports without a driver, and then
returns ``cudaErrorInsufficientDriver`` from every call. The primary context is current in every thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from typing import Any

import numpy as np

from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.cuda.gpu import probe_gpu
from dmdd_edge.runtime.cuda.interface import DeviceMemory, Event, Graph, HostMemory, Stream, refusal

try:
    from cuda.bindings import runtime as cudart
except ImportError as error:
    cudart, _missing = None, f"cuda-bindings is not installed ({error})."
else:
    _missing = ""


class CudaBindings:
    """See ``Cuda``.

    Raises:
        DmddError: the package is missing, there is no GPU, or the driver is too old for the package.
    """

    name = "cuda-bindings"
    graphs = True

    def __init__(self) -> None:
        if cudart is None:
            raise BackendError(_missing, f"Install it: {install_command('tensorrt')}")
        probe = probe_gpu()
        if probe.facts is None:
            raise BackendError(f"Cannot use CUDA: {probe.reason}.", _driver_fix())
        self.gpu = probe.facts
        self.version = metadata.version("cuda-bindings")

    def active(self) -> AbstractContextManager[None]:
        """See ``Cuda``."""
        return nullcontext()

    def device_memory(self, nbytes: int) -> DeviceMemory:
        """See ``Cuda``."""
        address = int(_value("allocate memory", cudart.cudaMalloc(nbytes), nbytes))
        return DeviceMemory(address, nbytes, lambda: _check("free memory", cudart.cudaFree(address)))

    def host_memory(self, nbytes: int, mapped: bool = False) -> HostMemory:
        """See ``Cuda``."""
        flags: int = cudart.cudaHostAllocMapped if mapped else cudart.cudaHostAllocDefault
        pointer = int(_value("allocate pinned memory", cudart.cudaHostAlloc(nbytes, flags), nbytes))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(pointer))

        def release() -> None:
            _check("free pinned memory", cudart.cudaFreeHost(pointer))

        if not mapped:
            return HostMemory(array, None, release)
        try:
            address = _value("map memory", cudart.cudaHostGetDevicePointer(pointer, 0))
        except DmddError:
            release()
            raise
        return HostMemory(array, int(address), release)

    def stream(self) -> Stream:
        """See ``Cuda``."""
        flags: int = cudart.cudaStreamNonBlocking
        native = _value("create a stream", cudart.cudaStreamCreateWithFlags(flags))
        return Stream(
            int(native), native, lambda: _check("destroy a stream", cudart.cudaStreamDestroy(native))
        )

    def event(self, blocking: bool = True) -> Event:
        """See ``Cuda``."""
        flags: int = cudart.cudaEventBlockingSync if blocking else cudart.cudaEventDefault
        native = _value("create an event", cudart.cudaEventCreateWithFlags(flags))
        return Event(native, lambda: _check("destroy an event", cudart.cudaEventDestroy(native)))

    def copy_to_device(self, target: DeviceMemory, source: HostMemory, nbytes: int, stream: Stream) -> None:
        """See ``Cuda``."""
        kind: Any = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        result: tuple[Any, ...] = cudart.cudaMemcpyAsync(
            target.address, source.address, nbytes, kind, stream.native
        )
        _check("copy to the GPU", result)

    def copy_to_host(self, target: HostMemory, source: DeviceMemory, nbytes: int, stream: Stream) -> None:
        """See ``Cuda``."""
        kind: Any = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        result: tuple[Any, ...] = cudart.cudaMemcpyAsync(
            target.address, source.address, nbytes, kind, stream.native
        )
        _check("copy from the GPU", result)

    def record(self, event: Event, stream: Stream) -> None:
        """See ``Cuda``."""
        _check("record an event", cudart.cudaEventRecord(event.native, stream.native))

    def wait(self, event: Event) -> None:
        """See ``Cuda``."""
        _check("wait for the GPU", cudart.cudaEventSynchronize(event.native))

    def synchronize(self, stream: Stream) -> None:
        """See ``Cuda``."""
        _check("wait for the GPU", cudart.cudaStreamSynchronize(stream.native))

    def milliseconds(self, start: Event, end: Event) -> float:
        """See ``Cuda``."""
        return float(_value("read the time", cudart.cudaEventElapsedTime(start.native, end.native)))

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """See ``Cuda``."""
        try:
            native = _capture(stream, work)
        except BaseException:
            # TensorRT reads CUDA's last error after its launches, and would mistake this one for its own.
            cudart.cudaGetLastError()
            raise
        return Graph(native, lambda: _check("destroy a graph", cudart.cudaGraphExecDestroy(native)))

    def launch(self, graph: Graph, stream: Stream) -> None:
        """See ``Cuda``."""
        _check("launch a graph", cudart.cudaGraphLaunch(graph.native, stream.native))


def _check(what: str, result: tuple[Any, ...], nbytes: int = 0) -> None:
    """Raise unless the status in ``result`` is success."""
    status = result[0]
    if status == cudart.cudaError_t.cudaSuccess:
        return
    cause = _text(cudart.cudaGetErrorString(status)[1]) or str(status)
    raise refusal(what, cause, nbytes, status == cudart.cudaError_t.cudaErrorMemoryAllocation)


def _value(what: str, result: tuple[Any, ...], nbytes: int = 0) -> Any:
    """The value of a call, after checking its status."""
    _check(what, result, nbytes)
    return result[1]


def _capture(stream: Stream, work: Callable[[], None]) -> Any:
    """Capture what ``work`` queues; afterwards the stream is no longer capturing, even after an error."""
    # Of this thread only: allocations of other threads must not break the capture.
    mode: Any = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    _check("begin a capture", cudart.cudaStreamBeginCapture(stream.native, mode))
    try:
        work()
    except BaseException:
        status, captured = cudart.cudaStreamEndCapture(stream.native)
        if status == cudart.cudaError_t.cudaSuccess:
            cudart.cudaGraphDestroy(captured)
        raise
    captured = _value("end a capture", cudart.cudaStreamEndCapture(stream.native))
    try:
        return _value("create a graph", cudart.cudaGraphInstantiate(captured, 0))
    finally:
        cudart.cudaGraphDestroy(captured)


def _driver_fix() -> str:
    """How to fix an unusable CUDA: the package that fits the driver, if the driver is too old."""
    _, supported = cudart.cudaDriverGetVersion()
    _, needed = cudart.cudaRuntimeGetVersion()
    if supported and needed and supported // 1000 < needed // 1000:
        version = f"{supported // 1000}.{supported % 1000 // 10}"
        return (
            f"Update the driver, which supports CUDA {version}, or install the package for it: "
            f'pip install "cuda-bindings=={supported // 1000}.*"'
        )
    return "Install NVIDIA's driver (on a Jetson it comes with JetPack), and check that nvidia-smi works."


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace").rstrip("\0") if isinstance(value, bytes) else value
