"""Our own code, made wrong in one place each: the simulated GPU or the results tell every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.runtime.cuda import open_cuda
from dmdd_edge.runtime.cuda.cuda_bindings import CudaBindings
from dmdd_edge.runtime.engines import slot as slot_module
from dmdd_edge.runtime.engines.buffers import Buffer
from dmdd_edge.runtime.engines.launcher import Launcher
from dmdd_edge.runtime.engines.loaded import LoadedEngine
from dmdd_edge.runtime.engines.runner import EngineRunner
from dmdd_edge.runtime.engines.slot import Slot
from dmdd_edge.runtime.options.backend import BackendOptions
from tests.runtime.gpu.engine_files import make_sidecar
from tests.runtime.gpu.simulated_gpu import Gpu
from tests.runtime.gpu.simulated_tensorrt import SimulatedTensorrt, engine_bytes


@contextmanager
def _no_wait(patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr(CudaBindings, "wait", lambda self, event: None)
    yield


@contextmanager
def _capture_at_once(patch: pytest.MonkeyPatch) -> Iterator[None]:
    plain = Launcher.run

    def run(self: Launcher) -> None:
        self._has_run = True
        plain(self)

    patch.setattr(Launcher, "run", run)
    yield


@contextmanager
def _one_context_for_all(patch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[Any] = []
    plain = LoadedEngine.new_context

    def new_context(self: LoadedEngine) -> Any:
        made.append(made[0] if made else plain(self))
        return made[-1]

    patch.setattr(LoadedEngine, "new_context", new_context)
    yield


@contextmanager
def _download_too_much(patch: pytest.MonkeyPatch) -> Iterator[None]:
    plain = Buffer.download
    patch.setattr(Buffer, "download", lambda self, nbytes, stream: plain(self, 5 * nbytes, stream))
    yield


@contextmanager
def _upload_too_little(patch: pytest.MonkeyPatch) -> Iterator[None]:
    plain = Buffer.upload
    patch.setattr(Buffer, "upload", lambda self, nbytes, stream: plain(self, nbytes // 2, stream))
    yield


@contextmanager
def _no_copy_out(patch: pytest.MonkeyPatch) -> Iterator[None]:
    views = SimpleNamespace(array=lambda data, dtype: data, uint8=np.uint8, float32=np.float32)
    patch.setattr(slot_module, "np", views)
    yield


@contextmanager
def _free_without_settling(patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr(Slot, "settle", lambda self: None)
    yield


@contextmanager
def _forget_the_graphs(patch: pytest.MonkeyPatch) -> Iterator[None]:
    patch.setattr(Launcher, "free", lambda self: None)
    yield


@contextmanager
def _upload_after_the_run(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Queue the upload when the map is downloaded: after the engine has run."""
    waiting: list[Callable[[], None]] = []
    upload, download = Buffer.upload, Buffer.download
    patch.setattr(
        Buffer, "upload", lambda self, nbytes, stream: waiting.append(lambda: upload(self, nbytes, stream))
    )

    def late(self: Buffer, nbytes: int, stream: Any) -> None:
        while waiting:
            waiting.pop()()
        download(self, nbytes, stream)

    patch.setattr(Buffer, "download", late)
    yield


SABOTAGE = [
    _no_wait,
    _capture_at_once,
    _one_context_for_all,
    _download_too_much,
    _upload_too_little,
    _no_copy_out,
    _free_without_settling,
    _forget_the_graphs,
    _upload_after_the_run,
]


def session(trt: SimulatedTensorrt, tmp_path: Path, gpu: Gpu) -> None:
    """What the runtime does in its life; raises where anything of it is wrong."""
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"graph")
    data = engine_bytes(size=64)
    sidecar = make_sidecar(data, graph)
    runner = EngineRunner(
        lambda: LoadedEngine(trt.module(), data, sidecar), open_cuda(), BackendOptions(slots=2)
    )
    kept: list[tuple[NDArray[np.float32], NDArray[np.uint8]]] = []
    for seed, count in enumerate([4, 4, 1, 4, 1, 1, 2]):
        images = np.random.default_rng(seed).integers(0, 255, (count, 64, 64, 3)).astype(np.uint8)
        kept.append((runner.infer(images)[0], images))
    runner.submit(kept[0][1])
    runner.close()
    for maps, images in kept:
        np.testing.assert_allclose(maps, images[..., 0] / 255, atol=1e-6)
    gpu.require_clean()


@pytest.mark.usefixtures("cudart")
def test_the_session_is_right_as_it_is(trt: SimulatedTensorrt, tmp_path: Path, gpu: Gpu) -> None:
    session(trt, tmp_path, gpu)


@pytest.mark.usefixtures("cudart")
@pytest.mark.parametrize("sabotage", SABOTAGE, ids=lambda value: value.__name__.strip("_"))
def test_every_sabotage_is_caught(
    sabotage: Callable[..., Any], trt: SimulatedTensorrt, tmp_path: Path, gpu: Gpu
) -> None:
    with pytest.MonkeyPatch.context() as patch, sabotage(patch), pytest.raises(AssertionError):
        session(trt, tmp_path, gpu)
