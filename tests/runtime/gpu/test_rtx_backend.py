"""The rtx backend: what is particular to TensorRT-RTX, its compiled kernels and its graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.backends.selection import select
from dmdd_edge.runtime.backends.tensorrt_engine import TensorRtRtx
from dmdd_edge.runtime.options.backend import BackendOptions
from tests.runtime.gpu.engine_files import pictures, require_right
from tests.runtime.gpu.simulated_gpu import Gpu
from tests.runtime.gpu.simulated_tensorrt import (
    ExecutionContextAllocationStrategy,
    SimulatedTensorrt,
    engine_bytes,
)

Make = Callable[..., Bundle]

#: What an RTX engine's sidecar says: built for several GPUs, on none.
RTX: dict[str, Any] = {
    "flavour": "rtx",
    "library_version": "1.7.1",
    "gpu": None,
    "driver": None,
    "cuda": None,
    "sms": ("sm86", "sm89", "sm120"),
}


@pytest.fixture
def bundle(both_graphs: Make) -> Bundle:
    return both_graphs({"rtx.engine": (engine_bytes(), RTX)})


@pytest.fixture
def options(cache: Path) -> BackendOptions:
    return BackendOptions(engine_cache=cache)


def kernel_files(cache: Path) -> list[Path]:
    return list((cache / "rtx").glob("*.kernels"))


@pytest.mark.usefixtures("cudart", "clean")
def test_an_engine_that_came_with_the_bundle_runs(
    bundle: Bundle, options: BackendOptions, rtx: SimulatedTensorrt, gpu: Gpu
) -> None:
    selection = select(bundle, "auto", options)
    backend = selection.backend
    assert backend.name == "rtx"
    assert [passed.name for passed in selection.passed_over] == ["tensorrt"]
    for count in (1, 4, 9, 1):
        require_right(backend.infer(pictures(count)), pictures(count))
    (config,) = rtx.configs
    assert config.strategy == ExecutionContextAllocationStrategy.USER_MANAGED
    assert config.cuda_graph_strategy == "whole"
    assert config.dynamic_shapes_kernel_specialization_strategy == "eager"
    assert "cudaStreamBeginCapture" not in gpu.calls, "the library captures by itself"
    assert "TensorRT-RTX 1.7.1, fp16" in backend.description
    assert "CUDA graphs" in backend.description
    backend.close()


@pytest.mark.usefixtures("cudart", "clean")
def test_graphs_can_be_switched_off(bundle: Bundle, cache: Path, rtx: SimulatedTensorrt) -> None:
    backend = TensorRtRtx(bundle, BackendOptions(engine_cache=cache, cuda_graphs=False))
    assert rtx.configs[0].cuda_graph_strategy == "disabled"
    assert "graphs" not in backend.description
    backend.close()


@pytest.mark.usefixtures("cudart", "clean")
def test_compiled_kernels_are_kept_and_found_again(
    bundle: Bundle, options: BackendOptions, rtx: SimulatedTensorrt, cache: Path
) -> None:
    first = TensorRtRtx(bundle, options)
    (file,) = kernel_files(cache)
    assert rtx.kernels_offered == []
    assert file.name.endswith("-sm86-rtx1.7.1.kernels")
    assert file.parent.stat().st_mode & 0o777 == 0o700
    content = file.read_bytes()
    for _ in range(3):
        first.infer(pictures(1))
    assert file.read_bytes() == content, "nothing new was compiled"
    first.infer(pictures(2))
    assert file.read_bytes() != content, "a new batch size was"
    first.close()
    content = file.read_bytes()
    second = TensorRtRtx(bundle, options)
    assert rtx.kernels_offered == [content]
    second.close()


@pytest.mark.usefixtures("cudart", "clean")
def test_kernels_that_others_could_have_written_are_not_loaded(
    bundle: Bundle, options: BackendOptions, rtx: SimulatedTensorrt, cache: Path
) -> None:
    TensorRtRtx(bundle, options).close()
    (file,) = kernel_files(cache)
    for shared, mode in ((file, 0o664), (file.parent, 0o770), (cache, 0o722)):
        before = shared.stat().st_mode
        shared.chmod(mode)
        if shared is cache:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("dmdd_edge.runtime.engines.engine._trust", lambda *_: [])
                TensorRtRtx(bundle, options).close()
        else:
            TensorRtRtx(bundle, options).close()
        shared.chmod(before)
    assert rtx.kernels_offered == []
    TensorRtRtx(bundle, options).close()
    assert len(rtx.kernels_offered) == 1


@pytest.mark.usefixtures("cudart", "clean")
def test_kernels_that_do_not_fit_and_a_disk_that_refuses_are_no_harm(
    bundle: Bundle, options: BackendOptions, cache: Path, rtx: SimulatedTensorrt
) -> None:
    TensorRtRtx(bundle, options).close()
    (file,) = kernel_files(cache)
    file.write_bytes(b"of another version")
    backend = TensorRtRtx(bundle, options)
    require_right(backend.infer(pictures(1)), pictures(1))
    backend.close()
    assert rtx.kernels_offered == [b"of another version"]
    file.unlink()
    file.parent.rmdir()
    file.parent.touch()  # a file where the folder would be
    backend = TensorRtRtx(bundle, options)
    require_right(backend.infer(pictures(2)), pictures(2))
    backend.close()


@pytest.mark.usefixtures("cudart", "rtx")
def test_a_gpu_that_it_was_not_built_for(
    both_graphs: Make, options: BackendOptions, rtx: SimulatedTensorrt
) -> None:
    bundle = both_graphs({"rtx.engine": (engine_bytes(), RTX | {"sms": ("sm89",)})})
    with pytest.raises(
        DmddError, match=r"it was built for sm89; this GPU is Simulated GPU \(sm86\)"
    ) as caught:
        TensorRtRtx(bundle, options)
    assert "--target rtx" in caught.value.fix
    assert "--gpu sm86" in caught.value.fix
    assert rtx.deserialized == []
