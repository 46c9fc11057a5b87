"""``cuda.bindings.runtime`` on the simulated GPU: what the runtime uses of it, answering in tuples."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.runtime.gpu.simulated_gpu import Event, Gpu, Graph, Memory, Refused, Stream, Violation


class cudaError_t(IntEnum):  # noqa: N801 - CUDA's names
    cudaSuccess = 0  # noqa: N815
    cudaErrorInvalidValue = 1  # noqa: N815
    cudaErrorMemoryAllocation = 2  # noqa: N815
    cudaErrorInsufficientDriver = 35  # noqa: N815
    cudaErrorNoDevice = 100  # noqa: N815
    cudaErrorLaunchFailure = 719  # noqa: N815
    cudaErrorStreamCaptureInvalidated = 901  # noqa: N815


WORDS = {
    cudaError_t.cudaErrorMemoryAllocation: b"out of memory",
    cudaError_t.cudaErrorInsufficientDriver: b"CUDA driver version is insufficient for CUDA runtime version",
    cudaError_t.cudaErrorNoDevice: b"no CUDA-capable device is detected",
    cudaError_t.cudaErrorLaunchFailure: b"unspecified launch failure",
    cudaError_t.cudaErrorStreamCaptureInvalidated: b"operation failed due to a previous error during capture",
}


class cudaMemcpyKind(IntEnum):  # noqa: N801
    cudaMemcpyHostToDevice = 1  # noqa: N815
    cudaMemcpyDeviceToHost = 2  # noqa: N815


class cudaStreamCaptureMode(IntEnum):  # noqa: N801
    cudaStreamCaptureModeGlobal = 0  # noqa: N815
    cudaStreamCaptureModeThreadLocal = 1  # noqa: N815
    cudaStreamCaptureModeRelaxed = 2  # noqa: N815


class cudaStream_t:  # noqa: N801
    """A handle, as the bindings wrap it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __int__(self) -> int:
        return self.stream.handle


def _answers(values: int) -> Callable[[Any], Any]:
    """Answer with a status and this number of values; after a failure each of them is None."""

    def decorate(call: Any) -> Any:
        @wraps(call)
        def answer(self: SimulatedCudart, *arguments: Any) -> tuple[Any, ...]:
            try:
                self.gpu.called(call.__name__)
                value = call(self, *arguments)
            except Refused as refused:
                return (cudaError_t[refused.status], *[None] * values)
            return (cudaError_t.cudaSuccess, *([value] if values else []))

        return answer

    return decorate


class SimulatedCudart:
    """The module's functions; ``module`` makes a module of them."""

    cudaError_t = cudaError_t  # noqa: N815
    cudaMemcpyKind = cudaMemcpyKind  # noqa: N815
    cudaStreamCaptureMode = cudaStreamCaptureMode  # noqa: N815
    cudaHostAllocDefault, cudaHostAllocMapped = 0, 2  # noqa: N815
    cudaStreamNonBlocking = 1  # noqa: N815
    cudaEventDefault, cudaEventBlockingSync = 0, 1  # noqa: N815

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.driver_version, self.runtime_version = 13000, 13000

    def module(self) -> ModuleType:
        module = ModuleType("cuda.bindings.runtime")
        for name in dir(self):
            if name.startswith("cuda"):
                setattr(module, name, getattr(self, name))
        return module

    # -- the device ------------------------------------------------------------------------------------

    @_answers(1)
    def cudaGetDeviceCount(self) -> int:  # noqa: N802
        return 1

    @_answers(1)
    def cudaGetDeviceProperties(self, index: int) -> SimpleNamespace:  # noqa: N802
        gpu = self.gpu
        return SimpleNamespace(
            name=gpu.name.encode(),
            major=gpu.major,
            minor=gpu.minor,
            totalGlobalMem=8 << 30,
            integrated=int(gpu.integrated),
        )

    def cudaDriverGetVersion(self) -> tuple[cudaError_t, int]:  # noqa: N802
        return cudaError_t.cudaSuccess, self.driver_version

    def cudaRuntimeGetVersion(self) -> tuple[cudaError_t, int]:  # noqa: N802
        return cudaError_t.cudaSuccess, self.runtime_version

    def cudaGetErrorString(self, status: Any) -> tuple[Any, bytes]:  # noqa: N802
        return cudaError_t.cudaSuccess, WORDS.get(status, status.name.encode())

    def cudaGetLastError(self) -> tuple[cudaError_t]:  # noqa: N802
        last, self.gpu.last_error = self.gpu.last_error, "cudaSuccess"
        return (cudaError_t[last],)

    # -- memory ----------------------------------------------------------------------------------------

    @_answers(1)
    def cudaMalloc(self, nbytes: int) -> int:  # noqa: N802
        return self.gpu.allocate("device", nbytes).base

    @_answers(0)
    def cudaFree(self, address: int) -> None:  # noqa: N802
        self.gpu.free(self._memory("device", address))

    @_answers(1)
    def cudaHostAlloc(self, nbytes: int, flags: int) -> int:  # noqa: N802
        return self.gpu.allocate("pinned", nbytes, mapped=flags == self.cudaHostAllocMapped).base

    @_answers(0)
    def cudaFreeHost(self, pointer: int) -> None:  # noqa: N802
        self.gpu.free(self._memory("pinned", pointer))

    @_answers(1)
    def cudaHostGetDevicePointer(self, pointer: int, flags: int) -> int:  # noqa: N802
        memory = self._memory("pinned", pointer)
        if memory.seen_at is None or flags != 0:
            raise Violation("the memory was not allocated as mapped")
        return memory.seen_at

    @_answers(0)
    def cudaMemcpyAsync(  # noqa: N802
        self, target: int, source: int, nbytes: int, kind: cudaMemcpyKind, stream: cudaStream_t
    ) -> None:
        to_device = kind == cudaMemcpyKind.cudaMemcpyHostToDevice
        self.gpu.copy(target, source, nbytes, to_device, stream.stream)

    def _memory(self, kind: str, base: int) -> Memory:
        found = [memory for memory in self.gpu.memories if memory.kind == kind and memory.base == base]
        if not found:
            raise Violation(f"{base:#x} is not {kind} memory")
        return found[-1]

    # -- streams and events ----------------------------------------------------------------------------

    @_answers(1)
    def cudaStreamCreateWithFlags(self, flags: int) -> cudaStream_t:  # noqa: N802
        if flags != self.cudaStreamNonBlocking:
            raise Violation("the stream would wait for the default stream")
        return cudaStream_t(self.gpu.new_stream())

    @_answers(0)
    def cudaStreamDestroy(self, stream: cudaStream_t) -> None:  # noqa: N802
        self.gpu.destroy_stream(stream.stream)

    @_answers(0)
    def cudaStreamSynchronize(self, stream: cudaStream_t) -> None:  # noqa: N802
        self.gpu.synchronize(stream.stream)

    @_answers(1)
    def cudaEventCreateWithFlags(self, flags: int) -> Event:  # noqa: N802
        return self.gpu.new_event(blocking=flags == self.cudaEventBlockingSync)

    @_answers(0)
    def cudaEventDestroy(self, event: Event) -> None:  # noqa: N802
        self.gpu.destroy_event(event)

    @_answers(0)
    def cudaEventRecord(self, event: Event, stream: cudaStream_t) -> None:  # noqa: N802
        self.gpu.record(event, stream.stream)

    @_answers(0)
    def cudaEventSynchronize(self, event: Event) -> None:  # noqa: N802
        self.gpu.wait(event)

    @_answers(1)
    def cudaEventElapsedTime(self, start: Event, end: Event) -> float:  # noqa: N802
        return self.gpu.milliseconds(start, end)

    # -- graphs ----------------------------------------------------------------------------------------

    @_answers(0)
    def cudaStreamBeginCapture(self, stream: cudaStream_t, mode: cudaStreamCaptureMode) -> None:  # noqa: N802
        if mode != cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal:
            raise Violation("the capture would be broken by what other threads do")
        self.gpu.begin_capture(stream.stream)

    def cudaStreamEndCapture(self, stream: cudaStream_t) -> tuple[cudaError_t, Graph | None]:  # noqa: N802
        """As CUDA does it, the capture ends also where ending it is refused."""
        graph = self.gpu.end_capture(stream.stream)
        try:
            self.gpu.called("cudaStreamEndCapture")
        except Refused as refused:
            graph.destroyed = True
            return cudaError_t[refused.status], None
        return cudaError_t.cudaSuccess, graph

    @_answers(1)
    def cudaGraphInstantiate(self, graph: Graph, flags: int) -> Graph:  # noqa: N802
        return self.gpu.instantiate(graph)

    @_answers(0)
    def cudaGraphDestroy(self, graph: Graph) -> None:  # noqa: N802
        if graph.launchable:
            raise Violation("cudaGraphDestroy of what cudaGraphExecDestroy is for")
        self.gpu.destroy_graph(graph)

    @_answers(0)
    def cudaGraphExecDestroy(self, graph: Graph) -> None:  # noqa: N802
        if not graph.launchable:
            raise Violation("cudaGraphExecDestroy of what cudaGraphDestroy is for")
        self.gpu.destroy_graph(graph)

    @_answers(0)
    def cudaGraphLaunch(self, graph: Graph, stream: cudaStream_t) -> None:  # noqa: N802
        self.gpu.launch(graph, stream.stream)
