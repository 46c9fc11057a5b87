"""The tensorrt backend as the detector, the run loop and the command line use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge import Detector, DmddError
from dmdd_edge.bundle.bundle import FP16_GRAPH, Bundle
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.backends import OverlappingBackend
from dmdd_edge.runtime.backends.engine_predictor import engine_predictor
from dmdd_edge.runtime.backends.selection import select
from dmdd_edge.runtime.backends.tensorrt_engine import TensorRt
from dmdd_edge.runtime.engines.engine import BatchProfile, read_sidecar
from dmdd_edge.runtime.feed import ReadAhead
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.sources import open_source
from tests.runtime.gpu.engine_files import pictures, require_right
from tests.runtime.gpu.simulated_cudart import SimulatedCudart
from tests.runtime.gpu.simulated_gpu import Gpu
from tests.runtime.gpu.simulated_tensorrt import SimulatedTensorrt, engine_bytes

Make = Callable[..., Bundle]
Put = Callable[..., Path]


@pytest.fixture
def options(cache: Path) -> BackendOptions:
    return BackendOptions(engine_cache=cache)


@pytest.mark.usefixtures("cudart", "trt", "clean")
def test_auto_takes_the_engine_and_says_what_it_is(
    both_graphs: Make, put_engine: Put, options: BackendOptions
) -> None:
    bundle = both_graphs()
    put_engine(bundle, parity={"map_max": 1e-3})
    selection = select(bundle, "auto", options)
    assert (selection.backend.name, selection.passed_over) == ("tensorrt", ())
    assert selection.backend.description == (
        "TensorRT 10.3.0, fp16, batch 1:4, Simulated GPU (sm86), "
        "cuda-bindings 13.0.0, copied memory, CUDA graphs"
    )
    require_right(selection.backend.infer(pictures(3)), pictures(3))
    assert isinstance(selection.backend, OverlappingBackend)
    selection.backend.close()


@pytest.mark.usefixtures("cudart", "trt", "clean")
def test_an_engine_whose_parity_nobody_measured_says_so(
    both_graphs: Make, put_engine: Put, options: BackendOptions
) -> None:
    bundle = both_graphs()
    put_engine(bundle)
    backend = TensorRt(bundle, options)
    assert backend.description.endswith("parity not measured on this GPU")
    backend.close()


@pytest.mark.usefixtures("cudart")
def test_without_an_engine_auto_goes_on_and_says_why(
    both_graphs: Make, options: BackendOptions, trt: SimulatedTensorrt
) -> None:
    bundle = both_graphs()
    selection = select(bundle, "auto", options)
    assert selection.backend.name == "cpu"
    reasons = {passed.name: passed for passed in selection.passed_over}
    assert list(reasons) == ["tensorrt", "rtx", "cuda"]
    assert "No TensorRT engine of screw" in reasons["tensorrt"].reason
    assert "--build-engine" in reasons["tensorrt"].fix
    assert "TensorRT-RTX" in reasons["rtx"].reason
    assert install_command("rtx") in reasons["rtx"].fix
    with pytest.raises(DmddError, match="No TensorRT engine of screw"):
        select(bundle, "tensorrt", options)
    assert trt.deserialized == []


@pytest.mark.usefixtures("cudart")
def test_what_is_refused_is_never_deserialized(
    both_graphs: Make, put_engine: Put, options: BackendOptions, trt: SimulatedTensorrt
) -> None:
    bundle = both_graphs()
    put_engine(bundle, gpu="another GPU")
    altered = put_engine(bundle, engine_bytes(batch=(1, 2, 2)), batch=BatchProfile.parse("1:2"))
    altered.write_bytes(altered.read_bytes() + b" ")
    with pytest.raises(DmddError, match="was altered"):
        select(bundle, "tensorrt", options)
    assert trt.deserialized == []


def test_the_library_is_asked_for_first(both_graphs: Make, options: BackendOptions) -> None:
    """An environment without TensorRT must not load CUDA to find that out."""
    bundle = both_graphs()
    with pytest.raises(DmddError, match=r"TensorRT is not installed|Cannot import TensorRT") as caught:
        select(bundle, "tensorrt", options)
    assert "tensorrt" in caught.value.fix.lower() or "jetpack" in caught.value.fix.lower()


@pytest.mark.usefixtures("trt")
def test_without_a_gpu_the_reason_is_cudas(
    both_graphs: Make, options: BackendOptions, cudart: SimulatedCudart, gpu: Gpu
) -> None:
    gpu.broken = "cudaErrorNoDevice"
    with pytest.raises(DmddError, match="no CUDA-capable device is detected"):
        select(both_graphs(), "tensorrt", options)


@pytest.mark.usefixtures("cudart", "trt")
def test_an_engine_that_does_not_run_is_passed_over(
    both_graphs: Make, put_engine: Put, options: BackendOptions, trt: SimulatedTensorrt, gpu: Gpu
) -> None:
    bundle = both_graphs()
    put_engine(bundle)
    trt.fail_execution = 1
    selection = select(bundle, "auto", options)
    assert selection.backend.name == "cpu"
    assert "failed to run a batch of 1" in selection.passed_over[0].reason
    gpu.require_clean()


@pytest.mark.usefixtures("cudart", "trt", "clean")
def test_a_cache_that_cannot_be_made_leaves_the_bundles_own_engines(
    both_graphs: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    bundle = both_graphs({"gpu.engine": (engine_bytes(), {})})
    with pytest.raises(DmddError, match="--engine-cache"):
        TensorRt(bundle, BackendOptions(engine_cache=tmp_path / "file" / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    backend = TensorRt(bundle)
    require_right(backend.infer(pictures(1)), pictures(1))
    backend.close()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"cuda_driver": "rocm"}, "--cuda-driver 'rocm' is unknown"),
        ({"io_memory": "magic"}, "--io-memory 'magic' is unknown"),
        ({"slots": 0}, "slots is 0"),
    ],
)
def test_options_out_of_range(change: dict[str, Any], part: str) -> None:
    with pytest.raises(DmddError, match=part):
        BackendOptions(**change)


# -- the detector and the run loop ---------------------------------------------------------------------


class Notes:
    """A sink that keeps what it is handed."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def result(self, frame: Frame, result: Any) -> None:
        self.events.append(f"{frame.name} {result.status} {result.score:.3f}")

    def broken(self, frame: Any) -> None:
        self.events.append(f"{Path(frame.source).name} broken")

    def summary(self, summary: Any) -> None:
        self.events.append("summary")

    def close(self) -> None:
        self.events.append("close")


EXPECTED = ["bad/0.png anomalous 0.800", "1.png broken", "good/0.png good 0.118", "good/1.png good 0.118"]


@pytest.mark.usefixtures("cudart", "trt", "clean")
@pytest.mark.parametrize(("slots", "under_way"), [(1, [1, 1, 1]), (2, [1, 2, 1]), (3, [2, 2, 1])])
def test_a_folder_runs_in_order_with_the_next_frame_under_way(
    slots: int,
    under_way: list[int],
    both_graphs: Make,
    put_engine: Put,
    cache: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of bad/0, a broken file, good/0, good/1: results in order, and how many were under way at each wait."""
    bundle = both_graphs()
    put_engine(bundle)
    (images / "bad" / "1.png").write_bytes(b"")
    notes = Notes()
    # As on an idle machine: the next frame is there before the one under way is done.
    monkeypatch.setattr(ReadAhead, "ready", True)
    with Detector.load(
        bundle.path, "tensorrt", options=BackendOptions(engine_cache=cache, slots=slots)
    ) as detector:
        assert detector.slots == slots
        seen = _watch_waits(detector.backend)
        summary = run_frames(detector, open_source(str(images)), [notes])
    assert notes.events == [*EXPECTED, "summary", "close"]
    assert seen == under_way
    assert (summary.frames, summary.anomalous, summary.skipped, summary.backend) == (3, 1, 1, "tensorrt")


def _watch_waits(backend: Any) -> list[int]:
    """Note, each time a batch is waited for, how many are under way."""
    submit, collect = backend.submit, backend.collect
    seen: list[int] = []
    count = 0

    def submitted(images: Any) -> Any:
        nonlocal count
        count += 1
        return submit(images)

    def collected(ticket: Any) -> Any:
        nonlocal count
        seen.append(count)
        count -= 1
        return collect(ticket)

    backend.submit, backend.collect = submitted, collected
    return seen


@pytest.mark.usefixtures("cudart", "trt", "clean")
def test_a_limit_hands_on_what_was_started(
    both_graphs: Make, put_engine: Put, cache: Path, images: Path
) -> None:
    bundle = both_graphs()
    put_engine(bundle)
    options = BackendOptions(engine_cache=cache, slots=2)
    with Detector.load(bundle.path, "tensorrt", options=options) as detector:
        notes = Notes()
        assert run_frames(detector, open_source(str(images)), [notes], limit=3).frames == 3
    assert len(notes.events) == 3 + 2
    assert notes.events[-2:] == ["summary", "close"]


@pytest.mark.usefixtures("cudart", "trt", "clean")
def test_a_sink_that_fails_leaves_nothing_under_way(
    both_graphs: Make, put_engine: Put, cache: Path, images: Path
) -> None:
    class Full(Notes):
        def result(self, frame: Frame, result: Any) -> None:
            raise DmddError("disk full")

    bundle = both_graphs()
    put_engine(bundle)
    options = BackendOptions(engine_cache=cache, slots=2)
    with (
        Detector.load(bundle.path, "tensorrt", options=options) as detector,
        pytest.raises(DmddError, match="disk full"),
    ):
        run_frames(detector, open_source(str(images)), [Full()])


@pytest.mark.usefixtures("cudart", "trt", "clean")
def test_the_detector_gives_what_the_cpu_gives(
    both_graphs: Make, put_engine: Put, options: BackendOptions
) -> None:
    bundle = both_graphs()
    put_engine(bundle)
    frames = [cv2.resize(image, (200 + 10 * i, 150)) for i, image in enumerate(pictures(19))]
    with (
        Detector.load(bundle.path, "tensorrt", options=options) as ours,
        Detector.load(bundle.path, "cpu") as reference,
    ):
        for found, expected in zip(ours(frames), reference(frames), strict=True):
            np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, atol=1e-6)
            assert found.score == pytest.approx(expected.score, abs=1e-6)
            assert found.regions == expected.regions


def test_a_back_end_without_slots_is_driven_the_same_way(both_graphs: Make) -> None:
    with Detector.load(both_graphs().path, "cpu") as detector:
        assert detector.slots == 1
        prepared = [detector.prepare(Frame(image)) for image in pictures(3)]
        for found, expected in zip(
            detector.decide(detector.collect(detector.start(prepared))), detector.infer(prepared), strict=True
        ):
            assert found.score == expected.score


# -- the predictor for parity ------------------------------------------------------------------------------


@pytest.mark.usefixtures("cudart", "clean")
def test_the_judge_of_an_engine(
    both_graphs: Make, put_engine: Put, cache: Path, trt: SimulatedTensorrt
) -> None:
    bundle = both_graphs()
    path = put_engine(bundle)
    digest = bundle.manifest.files[FP16_GRAPH]
    turned = pictures(9).transpose(0, 2, 1, 3)  # not contiguous
    with engine_predictor(path, digest, cache=cache) as judge:
        require_right(judge(turned), turned)
    with engine_predictor(path, digest, listed_sha256=read_sidecar(path).engine_sha256) as judge:
        require_right(judge(turned), turned)
    before = len(trt.deserialized)
    for arguments, reason in [
        ({}, "neither in the bundle's manifest nor in the engine cache"),
        ({"listed_sha256": "ab" * 32}, "not the file in the bundle's manifest"),
    ]:
        with pytest.raises(DmddError, match=reason), engine_predictor(path, digest, **arguments):
            pass
    with pytest.raises(DmddError, match="another graph"), engine_predictor(path, "ab" * 32, cache=cache):
        pass
    assert len(trt.deserialized) == before
