"""The proof that the simulated GPU can fail: programs that are wrong in one thing each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dmdd_edge.runtime.cuda import Cuda, open_cuda
from tests.runtime.gpu.simulated_cudart import SimulatedCudart
from tests.runtime.gpu.simulated_gpu import Gpu, Violation
from tests.runtime.gpu.simulated_pycuda import SimulatedPycuda
from tests.runtime.gpu.simulated_tensorrt import ILogger, SimulatedTensorrt, engine_bytes


@pytest.fixture
def cuda(cudart: SimulatedCudart) -> Cuda:
    return open_cuda()


class Program:
    """What a wrong program starts from: memory, a stream, an event, an engine and a context ready to run."""

    def __init__(self, cuda: Cuda, trt: SimulatedTensorrt) -> None:
        self.cuda, self.trt, self.gpu = cuda, trt, trt.gpu
        self.host, self.device = cuda.host_memory(64), cuda.device_memory(64)
        self.stream, self.event = cuda.stream(), cuda.event()

        class Silent(ILogger):
            def log(self, severity: Any, msg: str) -> None:
                """Nothing."""

        engine = trt.module().Runtime(Silent()).deserialize_cuda_engine(engine_bytes(size=16))
        self.engine = engine
        self.tensors = {
            "image": cuda.device_memory(4 * 768),
            "anomaly_map": cuda.device_memory(4 * 1024),
            "score": cuda.device_memory(16),
        }
        self.scratch = cuda.device_memory(1024)
        self.context = self.new_context()

    def new_context(self, shape: bool = True, addresses: bool = True, scratch: bool = True) -> Any:
        context = self.engine.create_execution_context(
            self.trt.module().ExecutionContextAllocationStrategy.USER_MANAGED
        )
        if scratch:
            context.set_device_memory(self.scratch.address, 1024)
        if shape:
            assert context.set_input_shape("image", (2, 16, 16, 3))
        if addresses:
            for name, memory in self.tensors.items():
                assert context.set_tensor_address(name, memory.address)
        return context

    def run(self, context: Any = None, stream: Any = None) -> None:
        assert (context or self.context).execute_async_v3((stream or self.stream).handle)


@pytest.fixture
def program(cuda: Cuda, trt: SimulatedTensorrt) -> Program:
    return Program(cuda, trt)


def too_large_a_copy(p: Program) -> None:
    p.cuda.copy_to_device(p.device, p.host, 65, p.stream)


def copy_from_freed_memory(p: Program) -> None:
    address = p.host.address
    p.host.free()
    p.host.address = address
    p.cuda.copy_to_device(p.device, p.host, 64, p.stream)


def copy_to_freed_memory(p: Program) -> None:
    p.device.free()
    p.cuda.copy_to_device(p.device, p.host, 64, p.stream)


def copy_the_wrong_way(p: Program) -> None:
    p.cuda.copy_to_device(p.host, p.device, 64, p.stream)  # type: ignore[arg-type]


def free_during_a_copy(p: Program) -> None:
    p.cuda.copy_to_device(p.device, p.host, 64, p.stream)
    p.host.free()


def write_during_a_copy(p: Program) -> None:
    p.cuda.copy_to_device(p.device, p.host, 64, p.stream)
    p.host.array[:] = 1
    p.cuda.synchronize(p.stream)


def free_twice(p: Program) -> None:
    p.gpu.free(p.gpu.memories[0])
    p.gpu.free(p.gpu.memories[0])


def use_a_destroyed_stream(p: Program) -> None:
    native = p.stream.native
    p.stream.free()
    p.stream.native = native
    p.cuda.copy_to_device(p.device, p.host, 64, p.stream)


def destroy_a_busy_stream(p: Program) -> None:
    p.cuda.copy_to_device(p.device, p.host, 64, p.stream)
    p.stream.free()


def destroy_a_pending_event(p: Program) -> None:
    p.cuda.record(p.event, p.stream)
    p.event.free()


def wait_for_what_was_never_recorded(p: Program) -> None:
    p.cuda.wait(p.event)


def take_the_time_too_early(p: Program) -> None:
    p.cuda.record(p.event, p.stream)
    p.cuda.milliseconds(p.event, p.event)


def take_the_time_across_streams(p: Program) -> None:
    other, event = p.cuda.stream(), p.cuda.event()
    p.cuda.record(p.event, p.stream)
    p.cuda.record(event, other)
    p.cuda.wait(p.event)
    p.cuda.wait(event)
    p.cuda.milliseconds(p.event, event)


def run_without_addresses(p: Program) -> None:
    p.run(p.new_context(addresses=False))


def run_without_a_shape(p: Program) -> None:
    p.run(p.new_context(shape=False))


def run_without_scratch(p: Program) -> None:
    p.run(p.new_context(scratch=False))


def run_with_too_small_a_tensor(p: Program) -> None:
    p.context.set_input_shape("image", (4, 16, 16, 3))
    p.context.set_tensor_address("anomaly_map", p.device.address)
    p.run()


def run_on_the_default_stream(p: Program) -> None:
    p.context.execute_async_v3(0)


def run_in_freed_memory(p: Program) -> None:
    p.tensors["image"].free()
    p.run()


def free_scratch_during_a_run(p: Program) -> None:
    p.run()
    p.scratch.free()


def share_scratch_between_streams(p: Program) -> None:
    p.run()
    p.run(p.new_context(), p.cuda.stream())


def run_one_context_in_two_streams(p: Program) -> None:
    p.engine.device_memory_size_v2 = 0
    context = p.new_context(scratch=False)
    p.run(context)
    p.run(context, p.cuda.stream())


def drop_a_context_during_its_run(p: Program) -> None:
    p.run()
    p.context = None
    p.cuda.synchronize(p.stream)


def change_a_context_during_its_run(p: Program) -> None:
    p.run()
    p.context.set_input_shape("image", (1, 16, 16, 3))
    p.cuda.synchronize(p.stream)


def capture_a_first_run(p: Program) -> None:
    p.cuda.capture(p.stream, p.run)


def capture_before_the_first_run_is_done(p: Program) -> None:
    p.run()
    p.cuda.capture(p.stream, p.run)


def capture_after_a_change_of_shape(p: Program) -> None:
    p.run()
    p.cuda.synchronize(p.stream)
    p.context.set_input_shape("image", (1, 16, 16, 3))
    p.cuda.capture(p.stream, p.run)


def launch_after_a_change_of_shape(p: Program) -> None:
    p.run()
    p.cuda.synchronize(p.stream)
    graph = p.cuda.capture(p.stream, p.run)
    p.context.set_input_shape("image", (1, 16, 16, 3))
    p.cuda.launch(graph, p.stream)


def launch_without_its_context(p: Program) -> None:
    p.run()
    p.cuda.synchronize(p.stream)
    graph = p.cuda.capture(p.stream, p.run)
    p.context = None
    p.cuda.launch(graph, p.stream)


def destroy_a_graph_under_way(p: Program) -> None:
    p.run()
    p.cuda.synchronize(p.stream)
    graph = p.cuda.capture(p.stream, p.run)
    p.cuda.launch(graph, p.stream)
    graph.free()


def allocate_during_a_capture(p: Program) -> None:
    p.cuda.capture(p.stream, lambda: p.cuda.device_memory(8) and None)  # type: ignore[func-returns-value]


def wait_during_a_capture(p: Program) -> None:
    p.cuda.capture(p.stream, lambda: p.cuda.synchronize(p.stream))


def capture_nothing(p: Program) -> None:
    p.cuda.capture(p.stream, lambda: None)


WRONG: list[tuple[Callable[[Program], None], str]] = [
    (too_large_a_copy, "past the end"),
    (copy_from_freed_memory, "in no living memory that the host sees"),
    (copy_to_freed_memory, "in no living memory that the device sees"),
    (copy_the_wrong_way, "in no living memory"),
    (free_during_a_copy, "freed while work with it was under way"),
    (write_during_a_copy, "written while a copy from it was under way"),
    (free_twice, "freed twice"),
    (use_a_destroyed_stream, "a stream is used that was destroyed"),
    (destroy_a_busy_stream, "destroyed with work in it"),
    (destroy_a_pending_event, "destroyed before it was passed"),
    (wait_for_what_was_never_recorded, "never recorded"),
    (take_the_time_too_early, "before the event is passed"),
    (take_the_time_across_streams, "of two streams"),
    (run_without_addresses, "before its shape and addresses were set"),
    (run_without_a_shape, "before its shape and addresses were set"),
    (run_without_scratch, "without scratch memory"),
    (run_with_too_small_a_tensor, "past the end"),
    (run_on_the_default_stream, "default stream is not to be used"),
    (run_in_freed_memory, "in no living memory"),
    (free_scratch_during_a_run, "freed while work with it was under way"),
    (share_scratch_between_streams, "used by two streams at once"),
    (run_one_context_in_two_streams, "used by two streams at once"),
    (drop_a_context_during_its_run, "the context is gone"),
    (change_a_context_during_its_run, "the context was changed"),
    (capture_a_first_run, "a first run is captured"),
    (capture_before_the_first_run_is_done, "a first run is captured"),
    (capture_after_a_change_of_shape, "a first run is captured"),
    (launch_after_a_change_of_shape, "the context was changed"),
    (launch_without_its_context, "the context is gone"),
    (destroy_a_graph_under_way, "destroyed while it was under way"),
    (allocate_during_a_capture, "while a capture is under way"),
    (wait_during_a_capture, "while a capture is under way"),
    (capture_nothing, "an empty graph"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_program_is_caught(wrong: Callable[[Program], None], message: str, program: Program) -> None:
    with pytest.raises(Violation, match=message):
        wrong(program)


def test_reading_before_waiting_gives_nonsense(program: Program) -> None:
    p = program
    p.host.array[:] = 5
    p.cuda.copy_to_device(p.device, p.host, 64, p.stream)
    p.cuda.copy_to_host(p.host, p.device, 64, p.stream)
    assert np.isnan(p.host.array.view(np.float32)).all()


def test_what_is_left_over_is_counted(program: Program) -> None:
    with pytest.raises(Violation, match=r"not released: .*'device memory': 5, 'pinned memory': 1"):
        program.gpu.require_clean()


def test_writing_after_freeing_is_found(gpu: Gpu) -> None:
    memory = gpu.allocate("pinned", 8)
    gpu.free(memory)
    gpu.require_clean()
    memory.data[3] = 0
    with pytest.raises(Violation, match="written after it was freed"):
        gpu.require_clean()


def test_a_capture_in_another_mode_and_a_waiting_stream_are_caught(cudart: SimulatedCudart, gpu: Gpu) -> None:
    _, stream = cudart.cudaStreamCreateWithFlags(cudart.cudaStreamNonBlocking)
    with pytest.raises(Violation, match="broken by what other threads do"):
        cudart.cudaStreamBeginCapture(stream, cudart.cudaStreamCaptureMode.cudaStreamCaptureModeGlobal)
    with pytest.raises(Violation, match="wait for the default stream"):
        cudart.cudaStreamCreateWithFlags(0)
    with pytest.raises(Violation, match="is not pinned memory"):
        cudart.cudaFreeHost(cudart.cudaMalloc(8)[1])


def test_a_thread_that_leaves_pycudas_context_pushed_is_caught(pycuda: SimulatedPycuda) -> None:
    thread = threading.Thread(target=pycuda.context.push)
    thread.start()
    thread.join()
    with pytest.raises(Violation, match="pushed and not popped"):
        pycuda.require_balanced()
