"""The GPU probe against a CUDA that answers what we tell it."""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from dmdd_edge.extras import install_command
from dmdd_edge.runtime.cuda import gpu as device


class Status(IntEnum):
    cudaSuccess = 0  # noqa: N815 - CUDA's names
    cudaErrorInsufficientDriver = 35  # noqa: N815
    cudaErrorNoDevice = 100  # noqa: N815


ORIN = SimpleNamespace(name=b"Orin\0\0\0", major=8, minor=7, totalGlobalMem=32 << 30, integrated=1)


def fake_cuda(monkeypatch: pytest.MonkeyPatch, status: Status, count: int | None, text: bytes) -> None:
    runtime = ModuleType("cuda.bindings.runtime")
    runtime.cudaError_t = Status  # type: ignore[attr-defined]
    runtime.cudaGetDeviceCount = lambda: (status, count)  # type: ignore[attr-defined]
    runtime.cudaGetDeviceProperties = lambda index: (Status.cudaSuccess, ORIN)  # type: ignore[attr-defined]
    runtime.cudaDriverGetVersion = lambda: (Status.cudaSuccess, 12060)  # type: ignore[attr-defined]
    runtime.cudaGetErrorString = lambda code: (Status.cudaSuccess, text)  # type: ignore[attr-defined]
    bindings = ModuleType("cuda.bindings")
    bindings.runtime = runtime  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)


def test_facts_are_read_in_plain_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_cuda(monkeypatch, Status.cudaSuccess, 1, b"")
    version = tmp_path / "version"
    version.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\nGCC 11.4.0\n"
    )
    monkeypatch.setattr(device, "_KERNEL_DRIVER", version)
    facts = device.gpu_facts()
    assert facts == device.GpuFacts("Orin", "sm87", "540.4.0", "12.6", 32 * 1024**3, integrated=True)
    assert str(facts) == "Orin (sm87, driver 540.4.0, CUDA 12.6)"
    version.unlink()
    assert device.probe_gpu().facts is not None
    assert device.probe_gpu().facts.driver == "of CUDA 12.6"  # type: ignore[union-attr]
    assert device.probe_gpu(1).reason == "no GPU has the index 1; CUDA sees 1"


def test_a_missing_driver_is_not_called_an_old_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = b"CUDA driver version is insufficient for CUDA runtime version"
    fake_cuda(monkeypatch, Status.cudaErrorInsufficientDriver, None, said)
    monkeypatch.setattr(device, "_KERNEL_DRIVER", tmp_path / "none")
    assert device.probe_gpu() == device.GpuProbe(None, "no NVIDIA driver is loaded on this machine")
    (tmp_path / "none").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57.02  Tue Jul\n")
    assert "driver 470.57.02 is older than cuda-bindings needs" in device.probe_gpu().reason


def test_other_answers_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_cuda(monkeypatch, Status.cudaErrorNoDevice, 0, b"no CUDA-capable device is detected")
    assert device.probe_gpu() == device.GpuProbe(None, "no CUDA-capable device is detected")


def test_without_cuda_bindings_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    probe = device.probe_gpu()
    assert probe.facts is None
    assert install_command("tensorrt") in probe.reason


def test_the_real_bindings_answer_here() -> None:
    pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")
    probe = device.probe_gpu()
    assert (probe.facts is None) == bool(probe.reason)
    if probe.facts is not None:
        assert probe.facts.memory > 1 << 30
        assert probe.facts.sm.startswith("sm")
