"""``--target``: what auto takes, what is refused, and where the artefacts of a bundle go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dmdd_edge.bundle.bundle import FP16_GRAPH, FP32_GRAPH, Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.export import targets
from dmdd_edge.export.engines.build import BuildOptions
from dmdd_edge.export.targets import build_for_bundle, choose_targets, rtx_for_new_bundle, write_triton
from dmdd_edge.runtime.cuda.gpu import GpuProbe
from dmdd_edge.runtime.engines.engine import BatchProfile
from tests.export.small_bundle import write_bundle

OPTIONS = BuildOptions(batch=BatchProfile.parse("1:8"))


def machine(monkeypatch: pytest.MonkeyPatch, tensorrt: str = "", rtx: str = "", gpu: str = "") -> None:
    """A machine that lacks what the texts say."""
    monkeypatch.setattr(targets, "probe_gpu", lambda: GpuProbe(None, gpu))
    monkeypatch.setattr(targets, "tensorrt_missing", lambda: tensorrt)
    monkeypatch.setattr(targets, "rtx_missing", lambda: rtx)


@pytest.mark.parametrize(
    ("tensorrt", "rtx", "chosen"),
    [
        ("", "", ("onnx", "tensorrt", "rtx")),
        ("no driver", "", ("onnx", "rtx")),
        ("", "not installed", ("onnx", "tensorrt")),
        ("no driver", "not installed", ("onnx",)),
    ],
)
def test_auto_takes_what_the_machine_can_do_and_says_what_not(
    tensorrt: str, rtx: str, chosen: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, tensorrt, rtx)
    found = choose_targets("auto")
    assert found.chosen == chosen
    assert set(found.left_out) == {"onnx", "tensorrt", "rtx", "triton"} - set(chosen)
    assert found.left_out.get("tensorrt", "") == tensorrt
    assert found.left_out.get("rtx", "") == rtx


def test_a_machine_without_a_gpu_is_not_asked_to_install_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "no driver", "Cannot import it. Install it: pip", gpu="no driver")
    found = choose_targets("auto").left_out
    assert found["tensorrt"] == "no driver"
    assert found["rtx"] == "no driver; for the RTX GPUs of other machines give --target rtx"


def test_targets_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, tensorrt="no NVIDIA driver is loaded")
    assert choose_targets(" Triton,rtx,rtx").chosen == ("onnx", "rtx", "triton")
    assert choose_targets("onnx").chosen == ("onnx",)
    with pytest.raises(DmddError, match="--target tensorrt cannot be built here: no NVIDIA driver is loaded"):
        choose_targets("onnx,tensorrt")
    for text, message in (
        ("openvino", "Unknown target 'openvino'"),
        ("", "'' names no target"),
        ("auto,rtx", "auto is given together with other targets"),
        ("rtx openvino", "Unknown target 'rtx openvino'"),
    ):
        with pytest.raises(DmddError, match=message) as raised:
            choose_targets(text)
        assert "onnx, tensorrt, rtx, triton" in raised.value.fix


@pytest.fixture
def bundle(small_fp32: Path, small_fp16: Path, tmp_path: Path) -> Bundle:
    """A bundle with both graphs and, where it can be built, an RTX engine."""
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    graphs = {FP32_GRAPH: small_fp32, FP16_GRAPH: small_fp16}
    return write_bundle(tmp_path / "models", graphs, rtx_for_new_bundle(OPTIONS, "sm86,sm89"))


def test_an_rtx_engine_is_part_of_the_new_bundle(bundle: Bundle) -> None:
    import tensorrt_rtx

    assert "engines/rtx-sm86-sm89-fp16-b1-8.engine" in bundle.manifest.files
    assert "engines/rtx-sm86-sm89-fp16-b1-8.engine.json" in bundle.manifest.files
    assert bundle.manifest.created_with["tensorrt_rtx"] == tensorrt_rtx.__version__
    assert list(bundle.problems()) == []


def test_engines_built_later_leave_the_bundle_as_it_is(bundle: Bundle, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(bundle.path.rglob("*"))}
    built = build_for_bundle(bundle, "rtx", options=OPTIONS, gpus="sm120", cache=tmp_path / "cache")
    assert built.path.is_relative_to(tmp_path / "cache")
    assert built.sidecar.onnx_sha256 == bundle.manifest.files[FP16_GRAPH]
    write_triton(bundle, tmp_path / "repository", options=OPTIONS)
    assert (tmp_path / "repository" / "screw" / "config.pbtxt").is_file()
    assert {path: path.stat().st_mtime_ns for path in sorted(bundle.path.rglob("*"))} == before
    assert list(bundle.problems()) == []
    with pytest.raises(DmddError, match="triton is not an engine"):
        build_for_bundle(bundle, "triton", options=OPTIONS)


def test_engines_are_built_without_torch_and_onnx(bundle: Bundle, tmp_path: Path) -> None:
    """As on the edge box, where neither is installed."""
    code = f"""
import sys
from pathlib import Path
sys.modules["torch"] = sys.modules["onnx"] = sys.modules["onnxruntime"] = None
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.export.engines.build import BuildOptions
from dmdd_edge.export.targets import build_for_bundle, write_triton
bundle = Bundle.load({str(bundle.path)!r})
cache = Path({str(tmp_path / "cache")!r})
print(build_for_bundle(bundle, "rtx", options=BuildOptions(), cache=cache).path.name)
write_triton(bundle, Path({str(tmp_path / "repository")!r}), options=BuildOptions())
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "rtx-sm86-sm89-sm120-fp16-b1.engine"
