"""The TensorRT target: its cache, its sidecars, its errors.

There is no GPU in CI. TensorRT-RTX, whose builder needs none and has the same interface, stands in for
TensorRT here, with a GPU that we say is there; what is built is a real engine. Tests marked gpu use the
real library wherever there is one.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.export.engines import tensorrt_target
from dmdd_edge.export.engines.build import BuildOptions
from dmdd_edge.export.engines.tensorrt_target import build_tensorrt, tensorrt_missing
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.cuda.gpu import GpuFacts, GpuProbe, probe_gpu
from dmdd_edge.runtime.engines.engine import BatchProfile, EngineNeeds, check_engine, read_sidecar
from dmdd_edge.runtime.engines.library import load_tensorrt

ORIN = GpuFacts("Orin", "sm87", "540.4.0", "12.6", 32 << 30, integrated=True)
L4 = GpuFacts("NVIDIA L4", "sm89", "580.65.06", "13.0", 24 << 30)
OPTIONS = BuildOptions(batch=BatchProfile.parse("1:8"))


def pretend(monkeypatch: pytest.MonkeyPatch, version: str = "10.3.0", gpu: GpuFacts = ORIN) -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu13 is not installed")
    stand_in = ModuleType("tensorrt")
    stand_in.__dict__.update({k: v for k, v in vars(rtx).items() if not k.startswith("__")})
    stand_in.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", stand_in)
    monkeypatch.setattr(tensorrt_target, "probe_gpu", lambda: GpuProbe(gpu))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_an_engine_is_built_into_the_cache_and_found_again(
    monkeypatch: pytest.MonkeyPatch, small_fp16: Path, cache: Path
) -> None:
    pretend(monkeypatch)
    before = small_fp16.read_bytes()
    built = build_tensorrt(small_fp16, cache=cache, options=OPTIONS)
    digest = hashlib.sha256(before).hexdigest()
    assert not built.reused
    assert built.path == cache / digest[:16] / "orin-sm87-trt10.3.0-fp16-b1-8.engine"
    sidecar = read_sidecar(built.path)
    assert sidecar == built.sidecar
    assert (sidecar.flavour, sidecar.library_version, sidecar.library) == (
        "tensorrt",
        "10.3.0",
        "TensorRT 10.3.0",
    )
    assert (sidecar.gpu, sidecar.sms, sidecar.driver, sidecar.cuda) == ("Orin", ("sm87",), "540.4.0", "12.6")
    assert (sidecar.convolutions, sidecar.half_convolutions) == (5, 5)
    assert sidecar.engine_sha256 == hashlib.sha256(built.path.read_bytes()).hexdigest()
    assert check_engine(built.path, EngineNeeds(digest, "10.3.0", ORIN, cache=cache, batch=3)) == []
    timing = cache / "timing" / "orin-sm87-trt10.3.0.timing"
    assert timing.stat().st_size > 0
    assert small_fp16.read_bytes() == before
    assert sorted(path.name for path in small_fp16.parent.iterdir()) == [
        "fp16.onnx"
    ]  # nothing beside the graph

    again = build_tensorrt(small_fp16, cache=cache, options=OPTIONS)
    assert again.reused
    assert (again.path, again.sidecar) == (built.path, sidecar)


@pytest.mark.parametrize("change", ["options", "asked", "altered", "sidecar"])
def test_what_does_not_fit_is_built_anew(
    change: str, monkeypatch: pytest.MonkeyPatch, small_fp16: Path, cache: Path
) -> None:
    pretend(monkeypatch)
    first = build_tensorrt(small_fp16, cache=cache, options=OPTIONS)
    options = replace(OPTIONS, opt_level=1) if change == "options" else OPTIONS
    if change == "altered":
        first.path.write_bytes(first.path.read_bytes()[:-7])
    if change == "sidecar":
        first.path.with_name(first.path.name + ".json").unlink()
    second = build_tensorrt(small_fp16, cache=cache, options=options, rebuild=change == "asked")
    assert not second.reused
    assert second.path == first.path
    digest = second.sidecar.onnx_sha256
    assert check_engine(second.path, EngineNeeds(digest, "10.3.0", ORIN, cache=cache)) == []


def test_another_version_or_gpu_has_its_own_engine(
    monkeypatch: pytest.MonkeyPatch, small_fp16: Path, cache: Path
) -> None:
    pretend(monkeypatch)
    first = build_tensorrt(small_fp16, cache=cache)
    pretend(monkeypatch, version="11.4.0.106")
    second = build_tensorrt(small_fp16, cache=cache)
    pretend(monkeypatch, gpu=L4)
    third = build_tensorrt(small_fp16, cache=cache)
    assert len({first.path, second.path, third.path}) == 3
    assert not second.reused
    assert not third.reused
    reasons = check_engine(first.path, EngineNeeds(first.sidecar.onnx_sha256, "11.4.0.106", L4, cache=cache))
    assert len(reasons) == 2


def test_a_timing_cache_of_another_machine_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, small_fp16: Path, cache: Path
) -> None:
    pretend(monkeypatch)
    timing = cache / "timing" / "orin-sm87-trt10.3.0.timing"
    timing.parent.mkdir(parents=True)
    timing.write_bytes(b"not a timing cache")
    assert build_tensorrt(small_fp16, cache=cache).path.is_file()
    assert timing.read_bytes() != b"not a timing cache"


def test_without_tensorrt_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, small_fp16: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(DmddError, match="Cannot import TensorRT") as raised:
        build_tensorrt(small_fp16)
    assert raised.value.fix == f"Install it: {install_command('tensorrt')}"
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(DmddError) as raised:
        build_tensorrt(small_fp16)
    assert "JetPack" in raised.value.fix
    assert "--system-site-packages" in raised.value.fix
    monkeypatch.setattr(tensorrt_target, "probe_gpu", lambda: GpuProbe(None, "no driver"))
    assert tensorrt_missing() == "no driver"  # the package would be of no use here
    monkeypatch.setattr(tensorrt_target, "probe_gpu", lambda: GpuProbe(None))
    assert "JetPack" in tensorrt_missing()


@pytest.mark.parametrize(
    ("version", "served"),
    [
        ("8.6.1", False),
        ("10.2.0", False),
        ("10.3.0", True),
        ("10.16.1.11", True),
        ("11.4.1", True),
        ("12.0", False),
    ],
)
def test_versions_outside_the_served_range_are_refused(
    version: str, served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, version=version)
    if served:
        assert load_tensorrt().__version__ == version
        assert tensorrt_missing() == ""
    else:
        with pytest.raises(DmddError, match=f"TensorRT {version} is not supported"):
            load_tensorrt()


def test_without_a_gpu_the_reason_and_the_other_way_are_told(
    monkeypatch: pytest.MonkeyPatch, small_fp16: Path, cache: Path
) -> None:
    pretend(monkeypatch)
    monkeypatch.setattr(tensorrt_target, "probe_gpu", lambda: GpuProbe(None, "no NVIDIA driver is loaded"))
    with pytest.raises(DmddError, match=r"no GPU can be used here: no NVIDIA driver is loaded\.") as raised:
        build_tensorrt(small_fp16, cache=cache)
    assert "--target rtx" in raised.value.fix
    assert tensorrt_missing() == "no NVIDIA driver is loaded"
    assert not cache.exists()


def test_hardware_compatible_engines_are_not_for_jetson(
    monkeypatch: pytest.MonkeyPatch, small_fp16: Path, cache: Path
) -> None:
    pretend(monkeypatch)
    with pytest.raises(DmddError, match="--hardware-compatible does not apply to Orin"):
        build_tensorrt(small_fp16, cache=cache, options=replace(OPTIONS, hardware_compatible=True))


@pytest.mark.gpu
def test_a_real_engine_is_built_and_deserialised_on_a_gpu(small_fp16: Path, cache: Path) -> None:
    trt = pytest.importorskip("tensorrt", reason="TensorRT is not installed")
    if (reason := probe_gpu().reason) != "":
        pytest.skip(reason)
    built = build_tensorrt(small_fp16, cache=cache, options=OPTIONS)
    assert built.sidecar.half_share == 1.0
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    engine = runtime.deserialize_cuda_engine(built.path.read_bytes())
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    assert sorted(names) == ["anomaly_map", "image", "score"]
    assert tuple(engine.get_tensor_profile_shape("image", 0)[2]) == (8, 32, 32, 3)
