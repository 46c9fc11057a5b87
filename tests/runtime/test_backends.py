from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.backends.bound_session import BoundSession
from dmdd_edge.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from dmdd_edge.runtime.backends.onnxruntime_session import run_session, session_options
from dmdd_edge.runtime.backends.selection import BACKENDS, select

Make = Callable[..., Bundle]


def test_the_cpu_back_end_runs_any_batch(make_bundle: Make) -> None:
    backend = OnnxRuntimeCpu(make_bundle())
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    maps, scores = backend.infer(images)
    np.testing.assert_allclose(maps, images[..., 0] / 255, atol=1e-7)
    np.testing.assert_allclose(scores, images[..., 0].max(axis=(1, 2)) / 255, atol=1e-7)
    again, _ = backend.infer(np.zeros_like(images))
    assert maps.max() > 0.9, "an earlier result stays as it was"
    assert again.max() == 0
    assert "CPU, fp32" in backend.description
    backend.close()


def test_sessions_are_sequential_and_spin_within_a_run_only() -> None:
    options = session_options(onnxruntime, 3)
    assert options.intra_op_num_threads == 3
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    alone = session_options(onnxruntime, 1)
    assert alone.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_graph_that_was_broken_before_it_was_hashed(make_bundle: Make) -> None:
    with pytest.raises(DmddError, match=r"cannot open .*model\.fp32\.onnx") as caught:
        OnnxRuntimeCpu(make_bundle(graph=b"not a graph"))
    assert "Export" in caught.value.fix


def test_a_graph_of_another_size_is_named(make_bundle: Make) -> None:
    size_32 = make_bundle()
    other = size_32.manifest.model_copy(update={"image_size": 32})
    with pytest.raises(DmddError, match=r"does not match the manifest.*64, 64, 3"):
        OnnxRuntimeCpu(Bundle(size_32.path, other))


def _batch_of_one(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["N"]))


def _weights_from(place: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        full = next(item for item in model.graph.initializer if item.name == "full")
        full.ClearField("float_data")
        full.data_location = onnx.TensorProto.EXTERNAL
        full.external_data.add(key="location", value=place)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_batch_of_one, "does not match the manifest"),
        (_second_input, "does not match the manifest"),
        (_weights_from("../../../secret.bin"), "cannot open"),
        (_weights_from("/dev/zero"), "cannot open"),
        (_weights_from("weights.bin"), "cannot open"),
    ],
)
def test_a_graph_that_asks_for_more_than_its_image_is_refused(
    make_bundle: Make, tmp_path: Path, change: Callable[[onnx.ModelProto], None], said: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    model = onnx.load(str(make_bundle().file("model.fp32.onnx")))
    change(model)
    with pytest.raises(DmddError, match=said) as caught:
        select(make_bundle(graph=model.SerializeToString()), "cpu")
    assert "xport" in caught.value.fix


def test_a_bundle_without_the_fp32_graph(make_bundle: Make) -> None:
    with pytest.raises(DmddError, match=r"no file `model\.fp32\.onnx`"):
        select(make_bundle(graph_name="model.fp16.onnx"), "cpu")


def test_auto_says_why_each_one_before_was_passed_over(make_bundle: Make) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    bundle = make_bundle()
    selection = select(bundle, "auto")
    assert selection.backend.name == "cpu"
    assert [passed.name for passed in selection.passed_over] == ["tensorrt", "rtx", "cuda"]
    assert all(passed.reason and passed.fix for passed in selection.passed_over)
    assert "built without CUDA" in selection.passed_over[2].reason
    assert "[gpu]" in selection.passed_over[2].fix
    with pytest.raises(DmddError, match="built without CUDA") as caught:
        select(bundle, "cuda")
    assert "pip uninstall onnxruntime" in caught.value.fix


def test_an_unknown_back_end_lists_the_known_ones(make_bundle: Make) -> None:
    with pytest.raises(DmddError, match="Unknown backend 'gpu'") as caught:
        select(make_bundle(), "gpu")
    assert "auto, tensorrt, rtx, cuda, cpu" in caught.value.fix


class _Session:
    """A session of an ONNX Runtime that has CUDA compiled in, on a machine where it may not start."""

    def __init__(self, started: list[str]) -> None:
        self._started = started

    def get_providers(self) -> list[str]:
        return self._started

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="image", shape=["N", 64, 64, 3])]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="anomaly_map"), SimpleNamespace(name="score")]


def _onnxruntime_with_cuda(started: list[str], asked: dict[str, Any]) -> Any:
    def open_session(path: str, sess_options: Any, providers: list[Any], **more: Any) -> _Session:
        asked["providers"] = providers
        return _Session(started)

    return SimpleNamespace(
        __version__="9.9",
        SessionOptions=onnxruntime.SessionOptions,
        ExecutionMode=onnxruntime.ExecutionMode,
        InferenceSession=open_session,
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )


def test_cuda_that_silently_became_cpu_is_an_error(
    make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", _onnxruntime_with_cuda(["CPUExecutionProvider"], {}))
    with pytest.raises(DmddError, match="fell back to the CPU") as caught:
        select(make_bundle(), "cuda")
    assert "nvidia-smi" in caught.value.fix


def test_cuda_that_starts_is_taken_and_in_true_fp32(
    make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    started = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setitem(sys.modules, "onnxruntime", _onnxruntime_with_cuda(started, asked))
    nothing = np.zeros((1, 64, 64), np.float32), np.zeros(1, np.float32)
    monkeypatch.setattr(BoundSession, "run", lambda self, images: nothing)
    selection = select(make_bundle(), "auto")
    assert selection.backend.name == "cuda"
    assert [passed.name for passed in selection.passed_over] == ["tensorrt", "rtx"]
    assert asked["providers"] == [("CUDAExecutionProvider", {"device_id": "0", "use_tf32": "0"})]


class _Fails:
    """A backend that opens and whose first inference fails, as for want of cuDNN."""

    name, precision, description = "cuda", "fp32", ""

    def __init__(self, result: Any) -> None:
        self.result, self.closed = result, 0

    def infer(self, images: Any) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (DmddError("cuDNN is missing.", "Install it."), "cuDNN is missing."),
        (RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED"), "RuntimeError: CUBLAS_STATUS_NOT_INITIALIZED"),
        ((np.zeros((1, 32, 32), np.float32), np.zeros(1, np.float32)), "float32 (1, 64, 64) and"),
        ((np.zeros((1, 64, 64), np.float64), np.zeros(1, np.float32)), "returned float64 (1, 64, 64)"),
        ((np.zeros((1, 64, 64), np.float32), np.zeros((1, 1), np.float32)), "and float32 (1, 1);"),
    ],
)
def test_auto_passes_over_a_backend_whose_first_inference_fails(
    make_bundle: Make, monkeypatch: pytest.MonkeyPatch, result: Any, reason: str
) -> None:
    broken = _Fails(result)
    monkeypatch.setitem(BACKENDS, "cuda", lambda bundle, options: broken)
    selection = select(make_bundle(), "auto")
    assert selection.backend.name == "cpu"
    assert reason in {passed.name: passed.reason for passed in selection.passed_over}["cuda"]
    assert broken.closed == 1
    with pytest.raises(DmddError):
        select(make_bundle(), "cuda")
    assert broken.closed == 2
    selection.backend.close()


def test_without_onnxruntime_nothing_runs_and_the_fix_is_named(
    make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DmddError, match=r"No backend can run.*cuda: .*cpu: ") as caught:
        select(make_bundle(), "auto")
    assert "[cpu]" in caught.value.fix


def test_a_bound_session_gives_what_a_plain_one_gives(make_bundle: Make) -> None:
    """Bound to the CPU here; on a GPU it is the same code with another device."""
    path = str(make_bundle().file("model.fp32.onnx"))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    bound = BoundSession(onnxruntime, session, "cpu")
    rng = np.random.default_rng(0)
    kept = []
    for count in (2, 1, 2, 3, 1):
        images = rng.integers(0, 256, (count, 64, 64, 3)).astype(np.uint8)
        maps, scores = bound.run(images)
        kept.append((maps, scores, *run_session(session, images)))
    # Compared in the end: a later call must not have changed what an earlier one gave.
    for maps, scores, expected_maps, expected_scores in kept:
        np.testing.assert_array_equal(maps, expected_maps)
        np.testing.assert_array_equal(scores, expected_scores)
    with pytest.raises(DmddError, match="failed on a batch of 2"):
        bound.run(np.zeros((2, 32, 32, 3), np.uint8))
    assert bound.run(np.zeros((2, 64, 64, 3), np.uint8))[1].tolist() == [0, 0]


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives(make_bundle: Make) -> None:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA")
    bundle = make_bundle()
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    maps, scores = select(bundle, "cuda").backend.infer(images)
    expected_maps, expected_scores = select(bundle, "cpu").backend.infer(images)
    np.testing.assert_allclose(maps, expected_maps, atol=1e-5)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
