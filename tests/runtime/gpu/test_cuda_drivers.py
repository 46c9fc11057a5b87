"""The two drivers behind one interface, and the messages without a GPU."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.cuda import (
    CUDA_DRIVERS,
    Cuda,
    DeviceMemory,
    Event,
    Graph,
    HostMemory,
    Stream,
    open_cuda,
)
from dmdd_edge.runtime.cuda import cuda_bindings as bindings
from dmdd_edge.runtime.cuda.cuda_bindings import CudaBindings
from dmdd_edge.runtime.cuda.gpu import GpuFacts, probe_gpu
from tests.runtime.gpu.simulated_cudart import SimulatedCudart
from tests.runtime.gpu.simulated_gpu import Gpu, Violation
from tests.runtime.gpu.simulated_pycuda import SimulatedPycuda


@pytest.fixture(params=["cuda-bindings", "pycuda"])
def cuda(request: pytest.FixtureRequest) -> Cuda:
    """Each driver in turn, on the simulated GPU."""
    request.getfixturevalue("cudart" if request.param == "cuda-bindings" else "pycuda")
    return open_cuda(request.param)


def test_both_name_the_gpu_alike(cuda: Cuda, gpu: Gpu) -> None:
    """An engine is bound to the name and the capability, whichever driver asks."""
    assert (cuda.gpu.name, cuda.gpu.sm, cuda.gpu.memory) == ("Simulated GPU", "sm86", 8 << 30)
    assert cuda.gpu.integrated is False


@pytest.mark.usefixtures("clean")
def test_there_and_back(cuda: Cuda) -> None:
    values = np.arange(200, dtype=np.uint8)
    with cuda.active():
        host, device, stream = cuda.host_memory(200), cuda.device_memory(300), cuda.stream()
        start, end = cuda.event(), cuda.event(blocking=False)
        host.array[:] = values
        cuda.record(start, stream)
        cuda.copy_to_device(device, host, 200, stream)
        cuda.synchronize(stream)
        host.array[:] = 0
        cuda.copy_to_host(host, device, 120, stream)
        cuda.record(end, stream)
        cuda.wait(end)
        assert (host.array[:120] == values[:120]).all()
        assert (host.array[120:] == 0).all()
        assert cuda.milliseconds(start, end) == pytest.approx(320 / 1e6)
        for owned in (host, device, stream, start, end):
            owned.free()
            owned.free()
        assert host.array.size == 0
        gc.collect()


@pytest.mark.usefixtures("clean")
def test_mapped_memory_has_an_address_for_the_gpu(cuda: Cuda, gpu: Gpu) -> None:
    with cuda.active():
        host = cuda.host_memory(64, mapped=True)
        assert host.device_address is not None
        host.array[:] = 7
        assert (gpu.at(host.device_address, 64, "device")[1] == 7).all()
        plain = cuda.host_memory(64)
        assert plain.device_address is None
        host.free()
        plain.free()


def test_refusals_are_told_in_cudas_words(cuda: Cuda, gpu: Gpu) -> None:
    for call in ("cudaMalloc", "mem_alloc"):
        gpu.fail(call, "cudaErrorMemoryAllocation")
    with (
        cuda.active(),
        pytest.raises(DmddError, match="failed to allocate memory of 4,096 bytes: ") as caught,
    ):
        cuda.device_memory(4096)
    assert "smaller batches" in caught.value.fix
    for call in ("cudaStreamCreateWithFlags", "Stream"):
        gpu.fail(call, "cudaErrorLaunchFailure")
    with cuda.active(), pytest.raises(DmddError, match="failed to create a stream: ") as caught:
        cuda.stream()
    assert "nvidia-smi" in caught.value.fix


def test_graphs_are_for_cuda_bindings_alone(pycuda: SimulatedPycuda) -> None:
    driver = open_cuda("pycuda")
    assert not driver.graphs
    with driver.active():
        stream = driver.stream()
        with pytest.raises(DmddError, match="no CUDA graphs") as caught:
            driver.capture(stream, lambda: None)
        assert "cuda-bindings" in caught.value.fix
        with pytest.raises(DmddError, match="no CUDA graphs"):
            driver.launch(Graph(None, lambda: None), stream)


@pytest.mark.usefixtures("clean", "cudart")
def test_a_capture_whose_work_fails_leaves_the_stream_usable(gpu: Gpu) -> None:
    cuda = open_cuda()
    stream, host, device = cuda.stream(), cuda.host_memory(8), cuda.device_memory(8)

    def broken() -> None:
        cuda.copy_to_device(device, host, 8, stream)
        raise ValueError("the engine threw")

    with pytest.raises(ValueError, match="the engine threw"):
        cuda.capture(stream, broken)
    assert gpu.left_over().get("graphs") is None
    graph = cuda.capture(stream, lambda: cuda.copy_to_device(device, host, 8, stream))
    host.array[:] = 3
    cuda.launch(graph, stream)
    cuda.synchronize(stream)
    assert (gpu.at(device.address, 8, "device")[1] == 3).all()
    for owned in (graph, device, host, stream):
        owned.free()


def test_pycuda_in_a_thread_needs_its_context(pycuda: SimulatedPycuda, gpu: Gpu) -> None:
    driver = open_cuda("pycuda")
    said: list[str] = []

    def work() -> None:
        try:
            driver.stream()
        except DmddError as error:
            said.append(error.message)
        with driver.active():
            with driver.active():
                stream = driver.stream()
            stream.free()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["CUDA failed to create a stream: Stream failed: invalid device context."]
    pycuda.require_balanced()
    gpu.require_clean()


# -- without one -------------------------------------------------------------------------------


def test_without_either_package_the_first_is_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "cudart", None)
    monkeypatch.setattr(bindings, "_missing", "cuda-bindings is not installed (No module named 'cuda').")
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    for driver, package in {"auto": "tensorrt", "cuda-bindings": "tensorrt", "pycuda": "pycuda"}.items():
        with pytest.raises(DmddError, match=r"is not installed|Cannot load") as caught:
            open_cuda(driver)
        assert install_command(package) in caught.value.fix
        assert driver == "pycuda" or "cuda-bindings is not installed" in caught.value.message


@pytest.mark.parametrize(
    ("status", "driver", "said", "fix"),
    [
        ("cudaErrorInsufficientDriver", 0, "Cannot use CUDA: ", "Install NVIDIA's driver"),
        ("cudaErrorInsufficientDriver", 12060, "Cannot use CUDA: ", 'pip install "cuda-bindings==12.*"'),
        ("cudaErrorNoDevice", 13000, "no CUDA-capable device is detected", "Install NVIDIA's driver"),
    ],
)
def test_without_a_gpu_or_with_an_old_driver_what_fits_is_named(
    status: str, driver: int, said: str, fix: str, cudart: SimulatedCudart, gpu: Gpu
) -> None:
    gpu.broken = status
    cudart.driver_version = driver
    with pytest.raises(DmddError, match=said) as caught:
        open_cuda("cuda-bindings")
    assert fix in caught.value.fix


def test_auto_takes_pycuda_where_cuda_bindings_does_not_fit_the_driver(
    cudart: SimulatedCudart, pycuda: SimulatedPycuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_cuda().name == "cuda-bindings"
    refused: Any = cudart.module()
    refused.cudaGetDeviceCount = lambda: (cudart.cudaError_t.cudaErrorInsufficientDriver, None)
    monkeypatch.setattr(bindings, "cudart", refused)
    monkeypatch.setattr(sys.modules["cuda.bindings"], "runtime", refused, raising=False)
    assert open_cuda().name == "pycuda"


def test_pycuda_that_finds_no_gpu(monkeypatch: pytest.MonkeyPatch, pycuda: SimulatedPycuda) -> None:
    class Auto(ModuleType):
        @property
        def context(self) -> None:
            raise pycuda.Error("cuInit failed: no CUDA-capable device is detected")

    package = sys.modules["pycuda"]
    monkeypatch.setattr(package, "autoprimaryctx", Auto("pycuda.autoprimaryctx"))
    monkeypatch.setitem(sys.modules, "pycuda.autoprimaryctx", package.autoprimaryctx)
    with pytest.raises(DmddError, match="PyCUDA cannot use a GPU: cuInit failed") as caught:
        open_cuda("pycuda")
    assert "nvidia-smi" in caught.value.fix


def test_another_driver_lists_those_that_are(gpu: Gpu) -> None:
    assert CUDA_DRIVERS == ("auto", "cuda-bindings", "pycuda")
    with pytest.raises(DmddError, match="--cuda-driver 'opencl' is unknown") as caught:
        open_cuda("opencl")
    assert "auto, cuda-bindings, pycuda" in caught.value.fix


# -- the genuine package -------------------------------------------------------------------------------


def _calls(cuda: CudaBindings) -> dict[str, Callable[[], object]]:
    """Every call of the interface, with arguments as they are in use."""
    runtime: Any = vars(bindings)["cudart"]
    stream = Stream(0, runtime.cudaStream_t(0), lambda: None)
    event = Event(runtime.cudaEvent_t(0), lambda: None)
    graph = Graph(runtime.cudaGraphExec_t(0), lambda: None)
    host = HostMemory(np.zeros(16, np.uint8), None, lambda: None)
    device = DeviceMemory(4096, 16, lambda: None)
    return {
        "device_memory": lambda: cuda.device_memory(16),
        "host_memory": lambda: cuda.host_memory(16),
        "mapped": lambda: cuda.host_memory(16, mapped=True),
        "stream": cuda.stream,
        "event": cuda.event,
        "spinning": lambda: cuda.event(blocking=False),
        "copy_to_device": lambda: cuda.copy_to_device(device, host, 16, stream),
        "copy_to_host": lambda: cuda.copy_to_host(host, device, 16, stream),
        "record": lambda: cuda.record(event, stream),
        "wait": lambda: cuda.wait(event),
        "synchronize": lambda: cuda.synchronize(stream),
        "milliseconds": lambda: cuda.milliseconds(event, event),
        "capture": lambda: cuda.capture(stream, lambda: None),
        "launch": lambda: cuda.launch(graph, stream),
    }


def test_the_genuine_cuda_bindings_take_every_call_as_it_is_made() -> None:
    """Without a driver each one answers a status; a wrong argument would be a TypeError before that."""
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")
    if probe_gpu().facts is not None:
        pytest.skip("there is a GPU: null handles are not for it")
    cuda = CudaBindings.__new__(CudaBindings)
    cuda.gpu = GpuFacts("none", "sm86", "", "", 0)
    for name, call in _calls(cuda).items():
        with pytest.raises(DmddError, match="CUDA failed to") as caught:
            call()
        assert "insufficient" in caught.value.message, name
    # What releasing and instantiating call, which the refusals above do not reach.
    nothing = runtime.cudaGraph_t(0)
    for answer in (
        runtime.cudaFree(4096),
        runtime.cudaFreeHost(4096),
        runtime.cudaHostGetDevicePointer(4096, 0),
        runtime.cudaStreamDestroy(runtime.cudaStream_t(0)),
        runtime.cudaEventDestroy(runtime.cudaEvent_t(0)),
        runtime.cudaStreamEndCapture(runtime.cudaStream_t(0)),
        runtime.cudaGraphInstantiate(nothing, 0),
        runtime.cudaGraphDestroy(nothing),
        runtime.cudaGraphExecDestroy(runtime.cudaGraphExec_t(0)),
        runtime.cudaGetLastError(),
    ):
        assert answer[0] == runtime.cudaError_t.cudaErrorInsufficientDriver
    with pytest.raises(DmddError, match="Cannot use CUDA: "):
        open_cuda("cuda-bindings")


def test_the_simulated_package_answers_in_the_genuine_ones_form(gpu: Gpu) -> None:
    """Same names, same number of values behind the status."""
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")
    simulated = SimulatedCudart(gpu)
    for name in vars(simulated.module()):
        if name.startswith("cuda"):
            assert hasattr(runtime, name), name
    for enum in ("cudaError_t", "cudaMemcpyKind", "cudaStreamCaptureMode"):
        for member in getattr(simulated, enum):
            assert int(getattr(getattr(runtime, enum), member.name)) == int(member)
    for flag in ("cudaHostAllocMapped", "cudaStreamNonBlocking", "cudaEventBlockingSync"):
        assert getattr(simulated, flag) == getattr(runtime, flag)
    if probe_gpu().facts is not None:
        pytest.skip("there is a GPU: null handles are not for it")
    gpu.broken = "cudaErrorInsufficientDriver"
    pairs = {
        "cudaMalloc": (16,),
        "cudaHostAlloc": (16, 0),
        "cudaFree": (4096,),
        "cudaStreamCreateWithFlags": (1,),
        "cudaGraphInstantiate": (runtime.cudaGraph_t(0), 0),
        "cudaGetDeviceCount": (),
    }
    for name, arguments in pairs.items():
        assert len(getattr(simulated, name)(*arguments)) == len(getattr(runtime, name)(*arguments)), name


def test_a_violation_is_no_error_of_ours() -> None:
    """What suppresses our errors must not suppress what the simulation finds."""
    assert not issubclass(Violation, DmddError)
