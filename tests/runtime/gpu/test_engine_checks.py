"""An engine is used only where everything it is bound to agrees; every mismatch names both sides."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.cache import cached_engine, cached_engines, engine_cache, timing_cache
from dmdd_edge.runtime.engines.engine import (
    BatchProfile,
    EngineNeeds,
    EngineSidecar,
    check_engine,
    load_engine,
    read_sidecar,
    rebuild_command,
    sidecar_path,
    write_engine,
)

DATA = b"plan" * 100
ONNX = "ab" * 32
ORIN = GpuFacts("Orin", "sm87", "540.4.0", "12.6", 32 << 30, integrated=True)
A2000 = GpuFacts("NVIDIA RTX A2000", "sm86", "580.65.06", "13.0", 6 << 30)
BLACKWELL = GpuFacts("NVIDIA RTX PRO 4000", "sm120", "580.65.06", "13.0", 24 << 30)


def sidecar(**changes: Any) -> EngineSidecar:
    values: dict[str, Any] = {
        "flavour": "tensorrt",
        "engine_sha256": hashlib.sha256(DATA).hexdigest(),
        "engine_bytes": len(DATA),
        "onnx_sha256": ONNX,
        "library_version": "10.3.0",
        "precision": "fp16",
        "image_size": 256,
        "batch": BatchProfile(minimum=1, optimum=8, maximum=8),
        "gpu": "Orin",
        "sms": ("sm87",),
        "driver": "540.4.0",
        "cuda": "12.6",
        "convolutions": 120,
        "half_convolutions": 90,
        "opt_level": 3,
        "build_seconds": 41.5,
        "created": "2026-11-24T08:00:00+00:00",
        "created_with": "dmdd-edge 0.1.0",
    }
    return EngineSidecar.model_validate(values | changes)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return engine_cache(tmp_path / "cache")


@pytest.fixture
def engine(cache: Path) -> Path:
    path = cache / "some.engine"
    write_engine(path, DATA, sidecar())
    return path


@pytest.fixture
def needs(cache: Path) -> EngineNeeds:
    return EngineNeeds(ONNX, "10.3.0", ORIN, cache=cache)


def test_an_engine_that_fits_is_returned_as_it_was_written(engine: Path, needs: EngineNeeds) -> None:
    assert check_engine(engine, needs) == []
    found, data = load_engine(engine, replace(needs, batch=4))
    assert data == DATA
    assert found == sidecar()
    assert found.half_share == 0.75
    assert found.library == "TensorRT 10.3.0"
    assert engine.read_bytes() == DATA  # plain: trtexec and Triton read the same file
    assert json.loads((engine.parent / "some.engine.json").read_text())["sms"] == ["sm87"]


MISMATCHES: list[tuple[dict[str, Any], str]] = [
    ({"onnx_sha256": "cd" * 32}, "built from another graph (abababababab); the bundle's is cdcdcdcdcdcd"),
    ({"library_version": "10.16.1.11"}, "built with TensorRT 10.3.0; this machine has 10.16.1.11"),
    ({"gpu": A2000}, "built on Orin (sm87); this GPU is NVIDIA RTX A2000 (sm86)"),
    ({"gpu": replace(ORIN, name="Orin NX")}, "built on Orin (sm87); this GPU is Orin NX (sm87)"),
    ({"batch": 16}, "it supports batches of 1:8, not 16"),
    ({"listed_sha256": "ee" * 32, "cache": None}, "not the file in the bundle's manifest"),
    ({"cache": None}, "neither in the bundle's manifest nor in the engine cache"),
]


@pytest.mark.parametrize(("change", "reason"), MISMATCHES)
def test_one_mismatch_gives_one_reason(
    change: dict[str, Any], reason: str, engine: Path, needs: EngineNeeds
) -> None:
    reasons = check_engine(engine, replace(needs, **change))
    assert len(reasons) == 1, reasons
    assert reason in reasons[0]
    with pytest.raises(DmddError, match="cannot be used on this machine") as raised:
        load_engine(engine, replace(needs, **change), model=Path("models/my screw"))
    assert reason in raised.value.message
    command = "dmdd-edge export --model 'models/my screw' --target tensorrt --precision fp16 --batch 1:8"
    assert raised.value.fix == f"Rebuild it: {command}"


def test_every_reason_is_told_at_once(engine: Path, needs: EngineNeeds) -> None:
    assert len(check_engine(engine, replace(needs, gpu=A2000, library_version="11.4", batch=9))) == 3


def test_an_engine_of_a_bundle_is_trusted_by_its_listed_hash(engine: Path, needs: EngineNeeds) -> None:
    listed = hashlib.sha256(DATA).hexdigest().upper()
    assert check_engine(engine, replace(needs, listed_sha256=listed, cache=None)) == []


def test_altered_cut_and_missing_files_are_told(engine: Path, needs: EngineNeeds) -> None:
    engine.write_bytes(DATA[:-1])
    assert "altered or truncated" in check_engine(engine, needs)[0]
    sidecar_path(engine).write_text('{"flavour": "tensorrt"}')
    assert "is not a readable sidecar of an engine" in check_engine(engine, needs)[0]
    sidecar_path(engine).unlink()
    assert "has no sidecar some.engine.json" in check_engine(engine, needs)[0]
    write_engine(engine, DATA, sidecar(schema_version=2))
    assert "schema version 2" in check_engine(engine, needs)[0]
    write_engine(engine, DATA, sidecar())
    engine.unlink()
    assert "cannot be read" in check_engine(engine, needs)[0]
    with pytest.raises(DmddError, match="cannot read the engine"):
        load_engine(engine, needs)


def test_a_cache_that_others_can_write_is_not_trusted(engine: Path, needs: EngineNeeds, cache: Path) -> None:
    assert cache.stat().st_mode & 0o777 == 0o700
    for mode in (0o707, 0o770, 0o777):
        cache.chmod(mode)
        assert "other users can write to" in check_engine(engine, needs)[0]
    cache.chmod(0o755)
    assert check_engine(engine, needs) == []


def test_an_engine_written_under_an_open_umask_is_trusted(needs: EngineNeeds, cache: Path) -> None:
    before = os.umask(0o002)
    try:
        write_engine(cache / "graph" / "some.engine", DATA, sidecar())
    finally:
        os.umask(before)
    assert check_engine(cache / "graph" / "some.engine", needs) == []


def test_a_link_out_of_the_cache_is_not_trusted(needs: EngineNeeds, cache: Path, tmp_path: Path) -> None:
    write_engine(tmp_path / "else.engine", DATA, sidecar())
    (cache / "else.engine").symlink_to(tmp_path / "else.engine")
    (cache / "else.engine.json").symlink_to(tmp_path / "else.engine.json")
    assert "neither in the bundle's manifest" in check_engine(cache / "else.engine", needs)[0]


@pytest.mark.parametrize(
    ("gpu", "fits"),
    [(A2000, True), (BLACKWELL, True), (ORIN, False), (replace(A2000, sm="sm75"), False)],
)
def test_an_rtx_engine_runs_on_the_gpus_it_was_built_for(
    gpu: GpuFacts, fits: bool, cache: Path, needs: EngineNeeds
) -> None:
    path = cache / "rtx.engine"
    write_engine(path, DATA, sidecar(flavour="rtx", gpu=None, sms=("sm86", "sm89", "sm120"), driver=None))
    reasons = check_engine(path, replace(needs, gpu=gpu))
    assert (reasons == []) == fits
    if not fits:
        assert reasons == [f"it was built for sm86, sm89, sm120; this GPU is {gpu.name} ({gpu.sm})"]
        assert rebuild_command(read_sidecar(path), gpu).endswith(f"--batch 1:8 --gpu {gpu.sm}")


@pytest.mark.parametrize(("sm", "fits"), [("sm75", False), ("sm80", True), ("sm90", True), ("sm120", True)])
def test_a_hardware_compatible_engine_starts_at_ampere(
    sm: str, fits: bool, cache: Path, needs: EngineNeeds
) -> None:
    path = cache / "compatible.engine"
    write_engine(path, DATA, sidecar(hardware_compatible=True, gpu="A100", sms=("sm80",)))
    assert (check_engine(path, replace(needs, gpu=replace(A2000, sm=sm))) == []) == fits


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("1", (1, 1, 1)), ("4", (4, 4, 4)), ("1:8", (1, 8, 8)), ("1:4:8", (1, 4, 8)), ("2:2:2", (2, 2, 2))],
)
def test_batch_profiles_are_read_and_written(text: str, sizes: tuple[int, int, int]) -> None:
    profile = BatchProfile.parse(text)
    assert (profile.minimum, profile.optimum, profile.maximum) == sizes
    assert BatchProfile.parse(str(profile)) == profile


@pytest.mark.parametrize("text", ["", "0", "8:1", "1:9:8", "1:2:3:4", "-1", "a", "1:", "1.5", "99999"])
def test_other_batch_profiles_are_refused(text: str) -> None:
    with pytest.raises(DmddError, match="not a batch size"):
        BatchProfile.parse(text)


def test_every_fact_that_binds_an_engine_changes_its_place(cache: Path) -> None:
    facts: dict[str, Any] = {
        "onnx_sha256": ONNX,
        "gpu": ORIN,
        "library_version": "10.3.0",
        "precision": "fp16",
        "batch": BatchProfile.parse("1:8"),
    }
    place = cached_engine(cache, **facts)
    assert place == cache / "abababababababab" / "orin-sm87-trt10.3.0-fp16-b1-8.engine"
    changes: list[dict[str, Any]] = [
        {"onnx_sha256": "cd" * 32},
        {"gpu": replace(ORIN, name="Orin NX")},
        {"gpu": replace(ORIN, sm="sm101")},
        {"library_version": "10.3.1"},
        {"precision": "fp32"},
        {"batch": BatchProfile.parse("1")},
        {"batch": BatchProfile.parse("1:4:8")},
        {"hardware_compatible": True},
    ]
    places = {cached_engine(cache, **(facts | change)) for change in changes}
    assert len(places | {place}) == len(changes) + 1
    assert timing_cache(cache, A2000, "11.4") == cache / "timing" / "nvidia-rtx-a2000-sm86-trt11.4.timing"


def test_engines_of_a_graph_are_found_again(cache: Path) -> None:
    assert cached_engines(cache, ONNX) == []
    first = cached_engine(
        cache, onnx_sha256=ONNX, gpu=ORIN, library_version="10.3", precision="fp16", batch=BatchProfile()
    )
    write_engine(first, DATA, sidecar())
    assert cached_engines(cache, ONNX) == [first]
    assert not [path for path in first.parent.iterdir() if path.name.endswith(".part")]


def test_the_cache_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert engine_cache() == tmp_path / ".cache" / "dmdd-edge" / "engines"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert engine_cache() == tmp_path / "xdg" / "dmdd-edge" / "engines"
    assert engine_cache(tmp_path / "mine") == tmp_path / "mine"
    (tmp_path / "file").touch()
    with pytest.raises(DmddError, match="--engine-cache"):
        engine_cache(tmp_path / "file" / "x")
    with pytest.raises(DmddError, match="cannot be written"):
        write_engine(tmp_path / "file" / "x.engine", DATA, sidecar())
