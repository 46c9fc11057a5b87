"""An engine through the real runner on a GPU that catches every wrong order, lifetime and size."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import DmddError
from dmdd_edge.runtime.engines import slot as slots
from dmdd_edge.runtime.engines.runner import EngineRunner
from tests.runtime.gpu.engine_files import pictures, require_right
from tests.runtime.gpu.simulated_cudart import SimulatedCudart
from tests.runtime.gpu.simulated_gpu import Gpu
from tests.runtime.gpu.simulated_pycuda import SimulatedPycuda
from tests.runtime.gpu.simulated_tensorrt import SimulatedTensorrt

Start = Callable[..., EngineRunner]


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("io_memory", ["copy", "mapped"])
@pytest.mark.parametrize("driver", ["cuda-bindings", "pycuda"])
def test_results_are_right_and_own_their_memory(
    late: bool, io_memory: str, driver: str, start: Start, gpu: Gpu, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("cudart" if driver == "cuda-bindings" else "pycuda")
    gpu.late = late
    runner = start(driver=driver, io_memory=io_memory, slots=2)
    kept = []
    for seed, count in enumerate([1, 1, 1, 4, 3, 1, 4, 4, 2, 2, 2]):
        images = pictures(count, seed)
        kept.append((runner.infer(images), images.copy()))
        images[:] = 0  # the caller's again
    runner.close()
    runner.close()
    for found, images in kept:
        require_right(found, images)
    gc.collect()
    assert gpu.left_over() == {}


@pytest.mark.usefixtures("clean", "cudart")
def test_every_batch_size_gets_a_context_and_a_graph_of_its_own(
    start: Start, gpu: Gpu, trt: SimulatedTensorrt
) -> None:
    runner = start()
    for count in (1, 4, 1, 4, 1, 4, 1, 4):
        runner.infer(pictures(count))
    assert trt.contexts_made == 2
    assert gpu.calls.count("cudaStreamBeginCapture") == 2
    assert gpu.calls.count("cudaGraphLaunch") == 6  # all but the two first runs
    assert trt.executions == 4  # a first run and a capture of each
    assert "CUDA graphs" in runner.description
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_memory_is_allocated_once_and_addresses_are_set_once(start: Start, gpu: Gpu) -> None:
    runner = start(slots=2)
    runner.warm_up(4)
    runner.warm_up(1)
    before = list(gpu.calls)
    for count in (1, 4, 1, 4, 4):
        runner.infer(pictures(count))
    allocations = [call for call in gpu.calls[len(before) :] if "Alloc" in call or "Malloc" in call]
    assert allocations == []
    assert before.count("cudaHostAlloc") == 2 * 3
    assert before.count("cudaMalloc") == 2 * (3 + 1)  # the tensors and the scratch memory of each slot
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_copies_have_the_size_of_the_batch(start: Start, gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    plain = gpu.copy
    monkeypatch.setattr(
        gpu,
        "copy",
        lambda t, s, nbytes, to, stream: (sizes.append(nbytes), plain(t, s, nbytes, to, stream))[1],
    )
    runner = start()
    runner.infer(pictures(3))
    assert sizes == [3 * 64 * 64 * 3, 3 * 64 * 64 * 4, 3 * 4]
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_mapped_memory_is_not_copied(start: Start, gpu: Gpu) -> None:
    runner = start(io_memory="mapped")
    require_right(runner.infer(pictures(2)), pictures(2))
    assert "cudaMemcpyAsync" not in gpu.calls
    assert gpu.calls.count("cudaMalloc") == 1  # the scratch memory
    assert "mapped memory" in runner.description
    runner.close()


@pytest.mark.usefixtures("cudart")
@pytest.mark.parametrize(
    ("integrated", "io_memory", "mapped"),
    [(True, "auto", True), (False, "auto", False), (True, "copy", False), (False, "mapped", True)],
)
def test_auto_maps_memory_where_cpu_and_gpu_share_it(
    integrated: bool, io_memory: str, mapped: bool, start: Start, gpu: Gpu
) -> None:
    gpu.integrated = integrated
    runner = start(io_memory=io_memory)
    runner.infer(pictures(1))
    assert ("cudaMemcpyAsync" not in gpu.calls) == mapped
    runner.close()
    gpu.require_clean()


@pytest.mark.usefixtures("clean", "cudart")
def test_two_slots_overlap(start: Start, gpu: Gpu) -> None:
    """Both batches are queued before the first is waited for, in separate streams."""
    runner = start(slots=2)
    a, b = pictures(2, 1), pictures(4, 2)
    before = len(gpu.calls)
    first, second = runner.submit(a), runner.submit(b)
    assert "cudaEventSynchronize" not in gpu.calls[before:]
    busy = [stream for stream in gpu.streams if stream.queue]
    assert len(busy) == 2
    with pytest.raises(DmddError, match="All 2 slots are busy"):
        runner.submit(a)
    require_right(runner.collect(first), a)
    assert len([stream for stream in gpu.streams if stream.queue]) == 1
    require_right(runner.collect(second), b)
    with pytest.raises(DmddError, match="already been collected"):
        runner.collect(first)
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_more_images_than_the_engine_takes_go_through_in_parts(start: Start, gpu: Gpu) -> None:
    for count in (1, 2):
        runner = start(slots=count)
        images = pictures(11)
        require_right(runner.infer(images), images)
        runner.close()


@pytest.mark.usefixtures("clean", "cudart")
@pytest.mark.parametrize("fixed", [True, False])
def test_fewer_images_than_the_engine_takes_are_filled_up(fixed: bool, start: Start) -> None:
    runner = start(batch="3", fixed=fixed)
    for count in (1, 3, 2, 7):
        require_right(runner.infer(pictures(count, count)), pictures(count, count))
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_an_engine_without_scratch_memory_is_given_none(start: Start, gpu: Gpu) -> None:
    runner = start(scratch=0)
    assert gpu.calls.count("cudaMalloc") == 3
    for _ in range(3):
        require_right(runner.infer(pictures(2)), pictures(2))
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_times_are_those_of_the_device(start: Start) -> None:
    runner = start()
    assert runner.times is None
    runner.infer(pictures(3))
    times = runner.times
    assert times is not None
    # The simulated clock: a byte copied takes a millionth of a millisecond, an image in the engine one.
    assert times.upload == pytest.approx(3 * 64 * 64 * 3 / 1e6)
    assert times.compute == pytest.approx(3.0)
    assert times.download == pytest.approx((3 * 64 * 64 * 4 + 3 * 4) / 1e6)
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
@pytest.mark.parametrize(("spin", "blocking"), [(False, True), (True, False)])
def test_waiting_sleeps_unless_asked_to_spin(spin: bool, blocking: bool, start: Start, gpu: Gpu) -> None:
    runner = start(spin=spin)
    assert {event.blocking for event in gpu.events} == {blocking}
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_the_least_used_batch_size_makes_room(
    start: Start, trt: SimulatedTensorrt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "KEPT_LAUNCHERS", 2)
    runner = start()
    for count in (1, 1, 2, 2, 1, 3):  # 3 takes the place of 2
        require_right(runner.infer(pictures(count)), pictures(count))
    made = trt.contexts_made
    runner.infer(pictures(1))
    assert trt.contexts_made == made
    runner.infer(pictures(2))
    assert trt.contexts_made == made + 1
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_warming_up_captures_before_the_first_frame(start: Start, gpu: Gpu) -> None:
    runner = start(slots=2)
    runner.warm_up()
    assert gpu.calls.count("cudaStreamBeginCapture") == 2
    before = len(gpu.calls)
    runner.infer(pictures(1))
    runner.infer(pictures(1))
    assert gpu.calls[before:].count("cudaGraphLaunch") == 2
    assert "cudaStreamBeginCapture" not in gpu.calls[before:]
    runner.close()


@pytest.mark.usefixtures("clean", "cudart")
def test_several_threads_take_turns(start: Start) -> None:
    runner = start(slots=2)
    wrong: list[str] = []

    def work(seed: int) -> None:
        for number in range(5):
            images = pictures(1 + (seed + number) % 6, seed)
            try:
                require_right(runner.infer(images), images)
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    runner.close()


def test_pycuda_is_used_from_other_threads_and_its_stacks_are_left_as_they_were(
    start: Start, pycuda: SimulatedPycuda, gpu: Gpu
) -> None:
    found: list[Any] = []
    images = pictures(2)

    def work() -> None:
        runner = start(driver="pycuda", slots=2)
        found.append(runner.infer(images))
        found.append(runner.infer(images))
        assert "no CUDA graphs (pycuda does not support them)" in runner.description
        runner.close()
        gc.collect()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 2
    for each in found:
        require_right(each, images)
    pycuda.require_balanced()
    gpu.require_clean()


@pytest.mark.usefixtures("clean", "cudart")
def test_close_waits_for_what_is_under_way(start: Start, gpu: Gpu, trt: SimulatedTensorrt) -> None:
    runner = start(slots=2)
    runner.submit(pictures(1))
    runner.submit(pictures(2))
    runner.close()
    assert all(not stream.queue for stream in gpu.streams)
    del runner
    gc.collect()
    assert len(trt.living) == 0


@pytest.mark.usefixtures("clean", "cudart")
@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((1, 1, 1, 3), np.uint8),
        np.zeros((1, 32, 64, 3), np.uint8),
        np.zeros((0, 64, 64, 3), np.uint8),
        np.zeros((1, 3, 64, 64), np.uint8),
    ],
)
def test_other_shapes_and_types_are_refused(images: NDArray[Any], start: Start) -> None:
    runner = start()
    with pytest.raises(DmddError, match="needs uint8 images of shape"):
        runner.infer(images)
    require_right(runner.infer(pictures(1)), pictures(1))
    runner.close()


def test_the_order_of_one_run(start: Start, cudart: SimulatedCudart, gpu: Gpu) -> None:
    """Mark, upload, mark, run, mark, download twice, mark; then one wait."""
    runner = start()
    runner.infer(pictures(1))
    marks = [i for i, call in enumerate(gpu.calls) if call == "cudaEventRecord"]
    between = [gpu.calls[a + 1 : b] for a, b in pairwise(marks)]
    assert between == [["cudaMemcpyAsync"], [], ["cudaMemcpyAsync"] * 2]
    assert gpu.calls[marks[-1] + 1] == "cudaEventSynchronize"
    runner.close()
