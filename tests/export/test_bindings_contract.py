"""Every name of TensorRT, TensorRT-RTX and CUDA that the code uses, held against the genuine bindings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.export.binding_names import CUDA, RTX, TENSORRT, Binding, Collected, collect, project_sources
from tests.export.binding_wheels import Wheel, missing_names

ROOT = Path(__file__).resolve().parents[2]

TRT_10_3 = Wheel(("tensorrt-cu12-bindings==10.3.0",), "tensorrt_bindings")
TRT_10_16 = Wheel(("tensorrt-cu12-bindings==10.16.1.11",), "tensorrt_bindings")
TRT_11_4 = Wheel(("tensorrt-cu13-bindings==11.4.0.106",), "tensorrt_bindings")
RTX_1_7 = Wheel(("tensorrt-rtx-cu13-bindings==1.7.1.116",), "tensorrt_rtx_bindings")
CUDA_12_9 = Wheel(("cuda-bindings==12.9.10", "cuda-pathfinder==1.9.0"), "cuda.bindings.runtime")
CUDA_13 = Wheel(("cuda-bindings==13.0.3", "cuda-pathfinder==1.9.0"), "cuda.bindings.runtime")

Missing = Callable[[Wheel, list[str]], list[str]]


@pytest.fixture(scope="module")
def missing(tmp_path_factory: pytest.TempPathFactory) -> Missing:
    folder = tmp_path_factory.mktemp("bindings")
    return lambda wheel, names: missing_names(wheel, names, folder)


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return project_sources(ROOT)


@pytest.fixture(scope="module")
def collected(sources: dict[str, str]) -> dict[Binding, Collected]:
    return {binding: collect(sources, binding) for binding in (TENSORRT, RTX, CUDA)}


def places(found: Collected, names: list[str]) -> list[str]:
    return [f"{use.name} ({use.where})" for use in found.uses if use.name in names]


@pytest.mark.parametrize("binding", [TENSORRT, RTX, CUDA], ids=lambda binding: binding.module)
def test_every_use_can_be_resolved(binding: Binding, collected: dict[Binding, Collected]) -> None:
    assert collected[binding].unresolved == []


def test_what_the_code_is_known_to_use_is_collected(collected: dict[Binding, Collected]) -> None:
    names = set(collected[TENSORRT].names)
    assert names >= {
        "Builder.create_network",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "OnnxParser.parse",
        "IBuilderConfig.progress_monitor",
        "IProgressMonitor.step_complete",
        "ILogger.Severity.WARNING",
        "LayerType.CONVOLUTION",
        "ICudaEngine.device_memory_size_v2",
        "IExecutionContext.execute_async_v3",
    }
    assert "IBuilderConfig.num_compute_capabilities" not in names
    assert "IBuilderConfig.num_compute_capabilities" in collected[RTX].names
    assert "IRuntimeConfig.cuda_graph_strategy" in collected[RTX].names
    assert {"cudaDeviceProp.totalGlobalMem", "cudaGraphInstantiate"} <= set(collected[CUDA].names)


@pytest.mark.network
@pytest.mark.parametrize("wheel", [TRT_10_3, TRT_10_16, TRT_11_4, RTX_1_7], ids=str)
def test_tensorrt_has_every_name_in_all_versions(
    wheel: Wheel, collected: dict[Binding, Collected], missing: Missing
) -> None:
    found = collected[TENSORRT]
    assert len(found.names) > 40
    assert places(found, missing(wheel, found.names)) == []


@pytest.mark.network
def test_tensorrt_rtx_has_every_name(collected: dict[Binding, Collected], missing: Missing) -> None:
    found = collected[RTX]
    assert places(found, missing(RTX_1_7, found.names)) == []


@pytest.mark.network
@pytest.mark.parametrize("wheel", [CUDA_12_9, CUDA_13], ids=str)
def test_cuda_bindings_have_every_name(
    wheel: Wheel, collected: dict[Binding, Collected], missing: Missing
) -> None:
    found = collected[CUDA]
    assert len(found.names) > 8
    assert places(found, missing(wheel, found.names)) == []


FORBIDDEN = """
from types import ModuleType
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import tensorrt

def set_half(trt: ModuleType, config: tensorrt.IBuilderConfig) -> None:
    if hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.FP16)
    config.plugin_flag = trt.NetworkDefinitionCreationFlag.PREFER_AOT_PYTHON_PLUGINS
"""


@pytest.mark.network
@pytest.mark.parametrize(
    ("wheel", "lacks"),
    [
        (TRT_10_3, ["NetworkDefinitionCreationFlag.PREFER_AOT_PYTHON_PLUGINS"]),
        (TRT_10_16, []),
        (TRT_11_4, ["BuilderFlag.FP16"]),
    ],
    ids=str,
)
def test_a_name_that_one_version_lacks_fails(wheel: Wheel, lacks: list[str], missing: Missing) -> None:
    """The proof that the contract can fail: weak typing's flag, gone in 11, and a newcomer after 10.3."""
    found = collect({"half.py": FORBIDDEN}, TENSORRT)
    assert missing(wheel, found.names) == sorted([*lacks, "IBuilderConfig.plugin_flag"])
    assert "BuilderFlag.FP16 (half.py:9)" in places(found, ["BuilderFlag.FP16"])
