"""Every step of an engine refused in turn: the messages, what continues, and that nothing is left over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.cuda import open_cuda
from dmdd_edge.runtime.engines.loaded import LoadedEngine
from dmdd_edge.runtime.engines.runner import EngineRunner
from dmdd_edge.runtime.options.backend import BackendOptions
from tests.runtime.gpu.engine_files import make_sidecar, pictures, require_right
from tests.runtime.gpu.simulated_gpu import Gpu
from tests.runtime.gpu.simulated_tensorrt import SimulatedTensorrt, engine_bytes

Start = Callable[..., EngineRunner]


@pytest.mark.usefixtures("clean", "cudart")
def test_an_engine_that_refuses_is_quoted_and_can_be_used_again(start: Start, trt: SimulatedTensorrt) -> None:
    runner = start()
    runner.infer(pictures(1))
    trt.fail_execution = trt.executions + 1
    with pytest.raises(DmddError, match=r"failed to run a batch of 2: enqueue failed") as caught:
        runner.infer(pictures(2))
    assert "GPU" in caught.value.fix
    require_right(runner.infer(pictures(2)), pictures(2))
    require_right(runner.infer(pictures(2)), pictures(2))
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_a_part_that_fails_loses_nothing_of_the_others(start: Start, trt: SimulatedTensorrt) -> None:
    runner = start(slots=2)
    trt.fail_execution = 2
    with pytest.raises(DmddError, match="enqueue failed"):
        runner.infer(pictures(11))
    require_right(runner.infer(pictures(11)), pictures(11))
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
@pytest.mark.parametrize(
    ("call", "after", "reason"),
    [
        ("cudaStreamBeginCapture", 0, "failed to begin a capture"),
        ("cudaStreamEndCapture", 0, "failed to end a capture: operation failed due to a previous error"),
        ("cudaGraphInstantiate", 0, "failed to create a graph"),
    ],
)
def test_a_capture_that_fails_is_reported_and_done_without(
    call: str, after: int, reason: str, start: Start, gpu: Gpu, caplog: pytest.LogCaptureFixture
) -> None:
    runner = start()
    gpu.fail(call, "cudaErrorStreamCaptureInvalidated", after)
    with caplog.at_level(logging.WARNING):
        for seed in range(4):
            require_right(runner.infer(pictures(1, seed)), pictures(1, seed))
    assert f"no CUDA graphs (CUDA {reason}" in runner.description
    assert [record.getMessage().count(reason) for record in caplog.records] == [1]
    assert "cudaGraphLaunch" not in gpu.calls
    assert gpu.last_error == "cudaSuccess", "TensorRT would take the capture's error for its own"
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_an_engine_that_refuses_to_be_captured_runs_without(
    start: Start, trt: SimulatedTensorrt, gpu: Gpu
) -> None:
    runner = start()
    trt.fail_execution = 2
    for seed in range(3):
        require_right(runner.infer(pictures(1, seed)), pictures(1, seed))
    assert "no CUDA graphs (TensorRT 10.3.0 failed to run a batch of 1: enqueue failed" in runner.description
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_graphs_can_be_switched_off(start: Start, gpu: Gpu) -> None:
    runner = start(cuda_graphs=False)
    for _ in range(3):
        runner.infer(pictures(1))
    assert "cudaStreamBeginCapture" not in gpu.calls
    assert "graphs" not in runner.description
    runner.close()


@pytest.mark.usefixtures("cudart")
def test_memory_that_runs_out_is_given_back_to_the_last_byte(start: Start, gpu: Gpu) -> None:
    """Every allocation of a start with two slots fails once, in turn."""
    whole = start(slots=2)
    whole.close()
    counts = {call: gpu.calls.count(call) for call in ("cudaMalloc", "cudaHostAlloc")}
    assert counts == {"cudaMalloc": 8, "cudaHostAlloc": 6}
    for call, count in counts.items():
        for number in range(count):
            gpu.fail(call, "cudaErrorMemoryAllocation", after=number)
            with pytest.raises(
                DmddError, match=r"allocate .*memory of [\d,]+ bytes: out of memory"
            ) as caught:
                start(slots=2)
            assert "smaller batches" in caught.value.fix
            gpu.require_clean()


@pytest.mark.usefixtures("cudart")
@pytest.mark.parametrize(
    "call",
    ["cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaHostGetDevicePointer"],
)
def test_other_refusals_at_the_start_leave_nothing_behind(call: str, start: Start, gpu: Gpu) -> None:
    for number in range(2):
        gpu.fail(call, "cudaErrorInvalidValue", after=number)
        with pytest.raises(DmddError, match="CUDA failed to"):
            start(io_memory="mapped", slots=2)
        gpu.require_clean()


@pytest.mark.usefixtures("clean", "cudart")
def test_a_context_that_cannot_be_made(start: Start, trt: SimulatedTensorrt) -> None:
    runner = start()
    trt.fail_context = 1
    with pytest.raises(DmddError, match="cannot create a context: out of memory for a context"):
        runner.infer(pictures(1))
    require_right(runner.infer(pictures(1)), pictures(1))
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
@pytest.mark.parametrize("call", ["cudaMemcpyAsync", "cudaEventRecord", "cudaGraphLaunch"])
def test_a_call_that_is_refused_once_leaves_the_slot_usable(call: str, start: Start, gpu: Gpu) -> None:
    runner = start()
    runner.warm_up()
    gpu.fail(call, "cudaErrorInvalidValue")
    with pytest.raises(DmddError, match="CUDA failed to"):
        runner.infer(pictures(1))
    require_right(runner.infer(pictures(1)), pictures(1))
    runner.close()


@pytest.mark.usefixtures("cudart")
def test_a_gpu_that_broke_down_is_told_and_closing_does_not_hide_it(start: Start, gpu: Gpu) -> None:
    runner = start(slots=2)
    runner.warm_up()
    ticket = runner.submit(pictures(1))
    gpu.broken = "cudaErrorLaunchFailure"
    with pytest.raises(DmddError, match="failed to wait for the GPU: unspecified launch failure") as caught:
        runner.collect(ticket)
    assert "dmesg" in caught.value.fix
    with pytest.raises(DmddError, match="unspecified launch failure"):
        runner.infer(pictures(1))
    runner.close()


@pytest.mark.usefixtures("cudart")
def test_engines_that_are_not_those_of_a_bundle_are_refused(
    trt: SimulatedTensorrt, tmp_path: Path, gpu: Gpu
) -> None:
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"graph")
    cases: list[tuple[bytes, dict[str, Any], str]] = [
        (b"another engine", {}, "TensorRT 10.3.0 rejected the engine: deserialize: magic tag"),
        (engine_bytes(size=32), {}, "The engine's tensors are"),
        (engine_bytes(map_type="HALF"), {}, "The engine's tensors are"),
        (engine_bytes(batch=(1, 2, 8)), {}, "supports batches of 1:2:8, but its sidecar states 1:4"),
    ]
    for data, changes, message in cases:
        sidecar = make_sidecar(data, graph, **changes)
        with pytest.raises(DmddError, match=message) as caught:
            EngineRunner(
                lambda data=data, sidecar=sidecar: LoadedEngine(trt.module(), data, sidecar),
                open_cuda(),
                BackendOptions(),
            )
        assert "dmdd-edge export --target tensorrt" in caught.value.fix
        gpu.require_clean()


@pytest.mark.usefixtures("clean", "cudart")
def test_a_library_that_does_not_start_is_quoted(start: Start, trt: SimulatedTensorrt) -> None:
    trt.refuse_runtime = True
    with pytest.raises(
        DmddError, match=r"TensorRT 10.3.0 cannot start: CUDA initialization failure"
    ) as caught:
        start()
    assert "driver" in caught.value.fix


@pytest.mark.usefixtures("clean", "cudart")
def test_a_batch_that_the_engine_does_not_take_after_all(start: Start, trt: SimulatedTensorrt) -> None:
    runner = start()
    (engine,) = trt.living
    engine.facts.batch = [1, 2, 2]
    with pytest.raises(DmddError, match=r"rejected a batch of 3: image: .* is outside the profile") as caught:
        runner.infer(pictures(3))
    assert "batch of 1:4" in caught.value.fix
    require_right(runner.infer(pictures(2)), pictures(2))
    runner.close()
