from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from dmdd_edge.runtime.backends.selection import BACKENDS
from dmdd_edge.runtime.doctor import onnxruntime
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.onnxruntime import CONVOLUTION, examine_onnxruntime
from dmdd_edge.runtime.doctor.subprocess_call import Reply

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
WORKS: dict[str, Any] = {"active": [CPU], "right": True}


def loaded(*providers: str) -> dict[str, Any]:
    return {"version": "1.23.2", "compiled_in": list(providers)}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set which builds pip has installed."""

    def install(*names: str) -> None:
        monkeypatch.setattr(onnxruntime, "version_of", lambda name: "1.23.2" if name in names else "")

    install("onnxruntime")
    return install


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name.removeprefix("onnxruntime."): finding for finding in findings}


def test_the_graph_is_a_valid_model_of_one_convolution() -> None:
    model = onnx.load(CONVOLUTION)
    onnx.checker.check_model(model, full_check=True)
    (node,) = model.graph.node
    assert (node.op_type, list(node.input), list(node.output)) == ("Conv", ["x", "w"], ["y"])
    assert onnx.helper.printable_type(model.graph.input[0].type) == "FLOAT, 1x1x3x3"


def test_the_cpu_of_this_machine_runs_a_convolution() -> None:
    assert onnxruntime.try_provider(CPU) == {"active": [CPU], "right": True}


def test_a_provider_that_falls_back_is_seen() -> None:
    """Azure's supports no operator of this graph, so the CPU runs it, and the session lists that."""
    if "AzureExecutionProvider" not in onnxruntime.load()["compiled_in"]:
        pytest.skip("this ONNX Runtime has one provider")
    assert CPU in onnxruntime.try_provider("AzureExecutionProvider")["active"]


@pytest.mark.parametrize(
    ("reply", "gpu", "state", "detail"),
    [
        ({"active": [CUDA, CPU], "right": True}, True, "ok", "runs a convolution"),
        (WORKS, True, "broken", f"failed to start: the session fell back to {CPU}"),
        (WORKS, False, "missing", "built in, but there is no NVIDIA GPU"),
        (Reply(failure="it crashed (SIGSEGV)", kind="crash"), True, "broken", "it crashed (SIGSEGV)"),
        ({"active": [CUDA, CPU], "right": False}, True, "broken", "wrong results"),
    ],
)
def test_cuda_counts_when_the_session_has_it(
    make_context: Callable[..., Context],
    installed: Callable[..., None],
    reply: Any,
    gpu: bool,
    state: str,
    detail: str,
) -> None:
    installed("onnxruntime-gpu")
    given = {
        "load": loaded(CUDA, CPU),
        f"try_provider {CPU}": WORKS,
        f"try_provider {CUDA}": reply,
        "try_bundle": {"category": None, "right": True},
    }
    found = by_name(examine_onnxruntime(make_context(given, gpu=gpu)))
    assert (found["cuda"].state, found["cuda"].detail) == (state, detail)
    assert found["cpu"].state == "ok"
    usable = {item["name"]: item["usable"] for item in found["package"].facts["providers"]}
    assert usable == {CUDA: state == "ok", CPU: True}


@pytest.mark.parametrize(
    ("reply", "state", "detail"),
    [
        ({"category": "screw", "right": True}, "ok", "runs the bundle screw"),
        (
            {"category": "screw", "right": False},
            "broken",
            "its scores of the bundle screw differ from those of the CPU",
        ),
        (
            Reply(failure="ONNX Runtime failed: CUDNN_STATUS_NOT_INITIALIZED", kind="DmddError"),
            "broken",
            "runs a convolution, but no bundle: ONNX Runtime failed: CUDNN_STATUS_NOT_INITIALIZED",
        ),
    ],
)
def test_cuda_must_run_the_graph_of_a_bundle_that_is_here(
    make_context: Callable[..., Context],
    installed: Callable[..., None],
    reply: Any,
    state: str,
    detail: str,
) -> None:
    installed("onnxruntime-gpu")
    works = {"active": [CUDA, CPU], "right": True}
    given = {"load": loaded(CUDA, CPU), "try_provider": works, "try_bundle": reply}
    cuda = by_name(examine_onnxruntime(make_context(given, gpu=True)))["cuda"]
    assert (cuda.state, cuda.detail) == (state, detail)


def test_both_providers_run_the_same_noise(
    make_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert onnxruntime.try_bundle(str(tmp_path / "models")) == {"category": None, "right": True}
    make_bundle()
    # The CPU replaces CUDA; then a backend with another score.
    monkeypatch.setitem(BACKENDS, "cuda", lambda bundle, options: OnnxRuntimeCpu(bundle))
    assert onnxruntime.try_bundle(str(tmp_path / "models")) == {"category": "screw", "right": True}

    class Other(OnnxRuntimeCpu):
        def infer(self, images: Any) -> Any:
            maps, scores = super().infer(images)
            return maps, scores - np.float32(0.5)

    monkeypatch.setitem(BACKENDS, "cuda", lambda bundle, options: Other(bundle))
    assert onnxruntime.try_bundle(str(tmp_path / "models")) == {"category": "screw", "right": False}


def test_the_build_without_cuda_names_the_commands_that_replace_it(
    make_context: Callable[..., Context], installed: Callable[..., None]
) -> None:
    context = make_context({"load": loaded(CPU), "try_provider": WORKS})
    cuda = by_name(examine_onnxruntime(context))["cuda"]
    assert cuda.state == "missing"
    assert cuda.fix == (
        "python -m pip uninstall --yes onnxruntime && python -m pip install '/path/to/dmdd-edge[gpu]'"
    )


def test_two_builds_over_each_other_are_broken(
    make_context: Callable[..., Context], installed: Callable[..., None]
) -> None:
    installed("onnxruntime", "onnxruntime-gpu")
    context = make_context({"load": loaded(CPU), "try_provider": WORKS}, gpu=True)
    cuda = by_name(examine_onnxruntime(context))["cuda"]
    assert cuda.state == "broken"
    assert cuda.detail == "hidden: onnxruntime and onnxruntime-gpu are installed over each other"
    assert "uninstall --yes onnxruntime onnxruntime-gpu &&" in cuda.fix


def test_absent_is_missing_and_unloadable_is_broken(
    make_context: Callable[..., Context], installed: Callable[..., None]
) -> None:
    absent = Reply(failure="ModuleNotFoundError: No module named 'onnxruntime'", kind="ModuleNotFoundError")
    crash = Reply(failure="it crashed (SIGILL)", kind="crash")
    (broken,) = examine_onnxruntime(make_context({"load": crash}))
    assert (broken.state, broken.detail) == ("broken", "it crashed (SIGILL)")
    assert broken.fix.startswith("python -m pip uninstall --yes onnxruntime && ")
    installed()
    (missing,) = examine_onnxruntime(make_context({"load": absent}))
    assert (missing.state, missing.fix) == ("missing", "python -m pip install '/path/to/dmdd-edge[cpu]'")
