"""A simulated GPU under the real backends, and bundles with engines for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import FP16_GRAPH, FP32_GRAPH, Bundle, BundleWriter
from dmdd_edge.bundle.manifest import graph_specs
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.cuda import cuda_bindings, open_cuda
from dmdd_edge.runtime.engines.cache import cached_engine, engine_cache
from dmdd_edge.runtime.engines.engine import BatchProfile, write_engine
from dmdd_edge.runtime.engines.loaded import LoadedEngine
from dmdd_edge.runtime.engines.runner import EngineRunner
from dmdd_edge.runtime.options.backend import BackendOptions
from tests.runtime.gpu.engine_files import GPU, make_sidecar
from tests.runtime.gpu.simulated_cudart import SimulatedCudart
from tests.runtime.gpu.simulated_gpu import Gpu
from tests.runtime.gpu.simulated_pycuda import SimulatedPycuda
from tests.runtime.gpu.simulated_tensorrt import SimulatedTensorrt, engine_bytes

#: The graph that every bundle here holds, once it was made.
_GRAPH: list[bytes] = []


@pytest.fixture
def gpu() -> Gpu:
    """The GPU; nothing of it is to be left over at the end, which each test asks for by ``require_clean``."""
    return Gpu()


@pytest.fixture
def cudart(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> SimulatedCudart:
    """``cuda-bindings`` on the simulated GPU."""
    simulated = SimulatedCudart(gpu)
    module = simulated.module()
    package = ModuleType("cuda.bindings")
    package.runtime = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", package)
    monkeypatch.setattr(cuda_bindings, "cudart", module)
    monkeypatch.setattr(metadata, "version", lambda name: "13.0.0")
    return simulated


@pytest.fixture
def pycuda(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> SimulatedPycuda:
    """PyCUDA on the simulated GPU."""
    simulated = SimulatedPycuda(gpu)
    for name, module in simulated.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(metadata, "version", lambda name: "2024.1")
    return simulated


@pytest.fixture
def trt(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> SimulatedTensorrt:
    """TensorRT 10.3 on the simulated GPU."""
    simulated = SimulatedTensorrt(gpu)
    monkeypatch.setitem(sys.modules, "tensorrt", simulated.module())
    return simulated


@pytest.fixture
def rtx(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> SimulatedTensorrt:
    """TensorRT-RTX 1.7 on the simulated GPU."""
    simulated = SimulatedTensorrt(gpu, "1.7.1", rtx=True)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", simulated.module())
    return simulated


@pytest.fixture(autouse=True)
def no_other_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide installed libraries, so that only what a test simulates is there."""
    for name, fixture in {"tensorrt": "trt", "tensorrt_rtx": "rtx", "pycuda": "pycuda"}.items():
        if fixture not in request.fixturenames and "real_gpu" not in request.fixturenames:
            monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty engine cache."""
    return engine_cache(tmp_path / "engines")


@pytest.fixture
def both_graphs(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Callable[..., Bundle]:
    """Write a bundle with a graph of each precision, and with engines of them where asked."""
    if not _GRAPH:
        _GRAPH.append(make_bundle("pattern").file(FP32_GRAPH).read_bytes())
    graph = _GRAPH[0]

    def make(engines: dict[str, tuple[bytes, dict[str, Any]]] | None = None) -> Bundle:
        graph_input, outputs = graph_specs(64)
        with BundleWriter(tmp_path / "bundles", "screw") as writer:
            (writer.path / FP32_GRAPH).write_bytes(graph)
            (writer.path / FP16_GRAPH).write_bytes(graph + b"\x00fp16")
            for name, (data, changes) in (engines or {}).items():
                precision = changes.get("precision", "fp16")
                source = writer.path / (FP32_GRAPH if precision == "fp32" else FP16_GRAPH)
                write_engine(writer.path / "engines" / name, data, make_sidecar(data, source, **changes))
            return writer.commit(
                backbone="none",
                image_size=64,
                input=graph_input,
                outputs=outputs,
                threshold=threshold_from_normals([0.25, 0.5]),
                licences={"code": "Apache-2.0", "weights": "none", "data": "none"},
            )

    return make


@pytest.fixture
def put_engine(cache: Path) -> Callable[..., Path]:
    """Put an engine of a bundle into the cache, as building it would."""

    def put(bundle: Bundle, data: bytes | None = None, **changes: Any) -> Path:
        data = engine_bytes() if data is None else data
        graph = bundle.file(FP32_GRAPH if changes.get("precision") == "fp32" else FP16_GRAPH)
        sidecar = make_sidecar(data, graph, **changes)
        path = cached_engine(
            cache,
            onnx_sha256=sidecar.onnx_sha256,
            gpu=GPU,
            library_version=sidecar.library_version,
            precision=sidecar.precision,
            batch=sidecar.batch,
        )
        write_engine(path, data, sidecar)
        return path

    return put


@pytest.fixture
def clean(gpu: Gpu) -> Iterator[None]:
    """Require at the end that everything was released, once, and nothing was touched afterwards."""
    yield
    gpu.require_clean()


@pytest.fixture
def start(trt: SimulatedTensorrt, tmp_path: Path) -> Callable[..., EngineRunner]:
    """Start an engine of 64 pixels for batches of 1 to 4."""
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"graph")

    def make(
        batch: str = "1:4", driver: str = "auto", fixed: bool = False, scratch: int = 1000, **options: Any
    ) -> EngineRunner:
        profile = BatchProfile.parse(batch)
        data = engine_bytes(
            batch=(profile.minimum, profile.optimum, profile.maximum), fixed=fixed, scratch=scratch
        )
        sidecar = make_sidecar(data, graph, batch=profile)
        cuda = open_cuda(driver)
        return EngineRunner(
            lambda: LoadedEngine(trt.module(), data, sidecar), cuda, BackendOptions(**options)
        )

    return make
