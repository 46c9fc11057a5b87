from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.runtime.doctor import engines
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.engines import examine_engines
from dmdd_edge.runtime.doctor.subprocess_call import Reply
from dmdd_edge.runtime.engines.sidecar import BatchProfile, EngineSidecar, sidecar_path, write_engine

LOADED = {"installed": True, "version": "10.3.0", "path": "/x"}
NO_CACHE = {"path": "/cache", "engines": []}


def write(folder: Path, name: str, version: str = "10.3.0") -> Path:
    file = folder / "0123456789abcdef" / name
    sidecar = EngineSidecar(
        flavour="tensorrt",
        engine_sha256="0" * 64,
        engine_bytes=2_000_000,
        onnx_sha256="1" * 64,
        library_version=version,
        precision="fp16",
        image_size=256,
        batch=BatchProfile(maximum=8),
        gpu="Orin",
        sms=("sm87",),
        convolutions=10,
        half_convolutions=10,
        opt_level=3,
        build_seconds=1.0,
        created="2026-11-24T00:00:00Z",
        created_with="dmdd-edge 0.1.0",
    )
    write_engine(file, bytes(2_000_000), sidecar)
    return file


def test_a_library_is_ok_missing_or_broken(make_context: Callable[..., Context]) -> None:
    failed = Reply(failure="Cannot import TensorRT: libnvinfer.so.10.", kind="DmddError")
    context = make_context(
        {"load tensorrt": failed, "load rtx": {"installed": False}, "list_cache": NO_CACHE}, gpu=True
    )
    tensorrt, rtx, cache = examine_engines(context)
    assert (tensorrt.state, tensorrt.detail) == ("broken", failed.failure)
    assert tensorrt.fix == "python -m pip install '/path/to/dmdd-edge[tensorrt]'"
    assert (rtx.state, rtx.fix) == ("missing", "python -m pip install '/path/to/dmdd-edge[rtx]'")
    assert (cache.state, cache.detail) == ("missing", "no engine in /cache")


def test_without_a_gpu_the_purpose_says_that_one_is_needed(
    make_context: Callable[..., Context],
) -> None:
    context = make_context({"load": {"installed": False}, "list_cache": NO_CACHE})
    assert {finding.needed_for.rpartition(", ")[2] for finding in examine_engines(context)} == {
        "once there is an NVIDIA GPU"
    }


def test_the_cache_is_counted_and_not_created(make_context: Callable[..., Context], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert engines.list_cache(str(folder))["engines"] == []
    assert not folder.exists()
    write(folder, "orin-sm87-trt10.3.0-fp16-b8.engine")
    write(folder, "orin-sm87-trt10.1.0-fp16-b8.engine", version="10.1.0")
    listed = engines.list_cache(str(folder))
    assert [entry["library_version"] for entry in listed["engines"]] == ["10.1.0", "10.3.0"]
    assert {entry["error"] for entry in listed["engines"]} == {""}
    context = make_context({"load": LOADED, "list_cache": listed}, gpu=True)
    *_, cache = examine_engines(context)
    assert cache.state == "ok"
    assert cache.detail == f"2 in {folder}, 4 MiB; 1 for another version of TensorRT"


@pytest.mark.parametrize("damage", ["no sidecar", "malformed", "cut short"])
def test_a_damaged_engine_is_named_with_what_removes_it(
    make_context: Callable[..., Context], tmp_path: Path, damage: str
) -> None:
    file = write(tmp_path, "orin.engine")
    if damage == "no sidecar":
        sidecar_path(file).unlink()
    elif damage == "malformed":
        sidecar_path(file).write_text("{")
    else:
        file.write_bytes(b"short")
    context = make_context({"load": LOADED, "list_cache": engines.list_cache(str(tmp_path))}, gpu=True)
    *_, cache = examine_engines(context)
    assert cache.state == "broken"
    assert str(file) in cache.detail
    assert cache.fix == f"rm '{file}'; they will be rebuilt"


@pytest.mark.parametrize("flavour", ["tensorrt", "rtx"])
def test_the_libraries_of_this_environment_are_reported(flavour: str) -> None:
    name = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}[flavour]
    found = engines.load(flavour)
    assert found["installed"] == (importlib.util.find_spec(name) is not None)
    if found["installed"]:
        assert found["version"].count(".") >= 2
