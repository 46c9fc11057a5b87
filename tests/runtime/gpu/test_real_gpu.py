"""The same backends on a real GPU, wherever there is one with TensorRT, and the graph they run there."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from dmdd_edge import Detector, DmddError
from dmdd_edge.bundle.bundle import FP16_GRAPH, FP32_GRAPH, Bundle, BundleWriter
from dmdd_edge.bundle.manifest import graph_specs
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.export.engines.build import BuildOptions
from dmdd_edge.export.targets import build_for_bundle
from dmdd_edge.runtime.backends.engine_predictor import engine_predictor
from dmdd_edge.runtime.backends.tensorrt_engine import EngineBackend
from dmdd_edge.runtime.cuda.gpu import probe_gpu
from dmdd_edge.runtime.engines.cache import engine_cache
from dmdd_edge.runtime.engines.engine import BatchProfile
from dmdd_edge.runtime.engines.library import load_library
from dmdd_edge.runtime.engines.sidecar import Flavour
from dmdd_edge.runtime.options.backend import BackendOptions
from tests.runtime.gpu import half_graph
from tests.runtime.gpu.engine_files import pictures

#: Half precision has 11 bits; two of the sum's terms are rounded to them.
TOLERANCE = 2e-3


def write_bundle(folder: Path) -> Bundle:
    graph_input, outputs = graph_specs(half_graph.SIZE)
    with BundleWriter(folder, "part") as writer:
        (writer.path / FP32_GRAPH).write_bytes(half_graph.half_graph(half=False))
        (writer.path / FP16_GRAPH).write_bytes(half_graph.half_graph(half=True))
        return writer.commit(
            backbone="none",
            image_size=half_graph.SIZE,
            input=graph_input,
            outputs=outputs,
            threshold=threshold_from_normals([0.25, 0.5]),
            licences={"code": "Apache-2.0", "weights": "none", "data": "none"},
        )


def require_close(found: tuple[NDArray[Any], NDArray[Any]], images: NDArray[np.uint8]) -> None:
    for ours, expected in zip(found, half_graph.expected(images), strict=True):
        np.testing.assert_allclose(ours, expected, atol=TOLERANCE)


@pytest.mark.parametrize("half", [True, False])
def test_the_graph_is_what_is_expected_of_it(half: bool) -> None:
    model = half_graph.half_graph(half)
    half_graph.check(model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    require_close(tuple(session.run(["anomaly_map", "score"], {"image": pictures(3)})), pictures(3))


@pytest.fixture(params=["tensorrt", "rtx"])
def real_gpu(request: pytest.FixtureRequest) -> Flavour:
    """A GPU, and each library in turn; skips with the reason without one."""
    flavour: Flavour = request.param
    probe = probe_gpu()
    if probe.facts is None:
        pytest.skip(f"no GPU: {probe.reason}")
    try:
        load_library(flavour)
    except DmddError as error:
        pytest.skip(error.message)
    if flavour == "rtx" and probe.facts.sm in ("sm87", "sm90", "sm100", "sm110"):
        pytest.skip(f"TensorRT-RTX does not serve {probe.facts.sm}")
    return flavour


@pytest.fixture
def built(real_gpu: Flavour, tmp_path: Path) -> tuple[Bundle, Path, Path]:
    """A bundle, the engine cache, and an engine of it for batches of 1 to 4, built on this GPU."""
    bundle, cache = write_bundle(tmp_path / "models"), engine_cache(tmp_path / "engines")
    facts = probe_gpu().facts
    assert facts is not None
    options = BuildOptions(batch=BatchProfile.parse("1:4"), opt_level=1)
    engine = build_for_bundle(bundle, real_gpu, options=options, gpus=facts.sm, cache=cache)
    return bundle, cache, engine.path


def drivers() -> list[str]:
    return ["cuda-bindings", *(["pycuda"] if util.find_spec("pycuda") else [])]


@pytest.mark.gpu
@pytest.mark.parametrize("driver", drivers())
@pytest.mark.parametrize("io_memory", ["copy", "mapped"])
@pytest.mark.parametrize("slots", [1, 2])
def test_results_are_right_on_the_device(
    driver: str, io_memory: str, slots: int, real_gpu: Flavour, built: tuple[Bundle, Path, Path]
) -> None:
    bundle, cache, _ = built
    options = BackendOptions(engine_cache=cache, cuda_driver=driver, io_memory=io_memory, slots=slots)
    backend = EngineBackend(bundle, real_gpu, options)
    kept = []
    for seed, count in enumerate([1, 1, 4, 4, 4, 3, 3, 11, 2, 1, 4, 2]):
        images = pictures(count, seed)
        kept.append((backend.infer(images), images.copy()))
        images[:] = 0
    times = backend.times
    assert times is not None
    assert times.compute > 0
    assert "no CUDA graphs" not in backend.description or driver == "pycuda"
    backend.close()
    gc.collect()
    for found, images in kept:
        require_close(found, images)


@pytest.mark.gpu
def test_graphs_change_nothing(real_gpu: Flavour, built: tuple[Bundle, Path, Path]) -> None:
    bundle, cache, _ = built
    found = []
    for graphs in (True, False):
        backend = EngineBackend(bundle, real_gpu, BackendOptions(engine_cache=cache, cuda_graphs=graphs))
        found.append([backend.infer(pictures(count, count)) for count in (1, 4, 1, 4, 1, 4)])
        backend.close()
    for with_graphs, without in zip(*found, strict=True):
        np.testing.assert_array_equal(with_graphs[0], without[0])
        np.testing.assert_array_equal(with_graphs[1], without[1])


@pytest.mark.gpu
def test_two_batches_at_once_and_several_threads(real_gpu: Flavour, built: tuple[Bundle, Path, Path]) -> None:
    bundle, cache, _ = built
    backend = EngineBackend(bundle, real_gpu, BackendOptions(engine_cache=cache, slots=2))
    for seed in range(50):
        tickets = [(backend.submit(pictures(2, seed + i)), pictures(2, seed + i)) for i in range(2)]
        for ticket, images in tickets:
            require_close(backend.collect(ticket), images)
    wrong: list[str] = []

    def work(seed: int) -> None:
        try:
            for count in (1, 4, 3, 9):
                require_close(backend.infer(pictures(count, seed)), pictures(count, seed))
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    backend.close()


@pytest.mark.gpu
def test_detector_and_judge_agree_with_the_cpu(
    real_gpu: Flavour, built: tuple[Bundle, Path, Path], make_picture: Callable[..., NDArray[np.uint8]]
) -> None:
    bundle, cache, engine = built
    frames = [make_picture(30, patch=level) for level in (60, 200, 255)]
    options = BackendOptions(engine_cache=cache)
    with (
        Detector.load(bundle.path, real_gpu, options=options) as ours,
        Detector.load(bundle.path, "cpu") as reference,
    ):
        for found, expected in zip(ours(frames), reference(frames), strict=True):
            assert found.score == pytest.approx(expected.score, abs=TOLERANCE)
            assert found.status == expected.status
            np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, atol=TOLERANCE)
    with engine_predictor(engine, bundle.manifest.files[FP16_GRAPH], cache=cache) as judge:
        require_close(judge(pictures(9)), pictures(9))


def test_the_engine_is_built_where_tensorrt_rtx_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Building needs no GPU, so at least that half of the tests above is tried here."""
    monkeypatch.delitem(sys.modules, "tensorrt_rtx", raising=False)
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    bundle = write_bundle(tmp_path / "models")
    options = BuildOptions(batch=BatchProfile.parse("1:4"), opt_level=1)
    built = build_for_bundle(bundle, "rtx", options=options, gpus="sm86", cache=tmp_path / "engines")
    assert (built.sidecar.convolutions, built.sidecar.half_convolutions) == (1, 1)
    if probe_gpu().facts is None:
        from dmdd_edge.runtime.engines.find import find_engine
        from dmdd_edge.runtime.engines.loaded import LoadedEngine
        from tests.runtime.gpu.engine_files import GPU

        library = load_library("rtx")
        found = find_engine(bundle, "rtx", library.__version__, GPU, engine_cache(tmp_path / "engines"))
        with pytest.raises(DmddError, match=r"rejected the engine: .*driver") as caught:
            LoadedEngine(library, found.data, found.sidecar)
        assert "dmdd-edge export --target rtx" in caught.value.fix
