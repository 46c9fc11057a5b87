"""A whole INT8 export of a tiny run: what it writes, and that the version in use is whole at every moment."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmdd_edge import BundleError, Detector, DmddError
from dmdd_edge.bundle.bundle import INT8_GRAPH, Bundle, check, list_versions
from dmdd_edge.export import pipeline
from dmdd_edge.export.int8 import add, choice, images, quantize
from dmdd_edge.export.int8.gate import Verdict
from dmdd_edge.export.int8.images import Int8Images
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.export.pipeline import Exported
from dmdd_edge.runtime.options.backend import BackendOptions
from tests.graphs import shared_folder, written_once

Export = Callable[..., Exported]


@pytest.fixture(scope="module")
def export(tiny_outcome: Any, tiny_export: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Export]:
    """Export the tiny run in INT8 into a folder; its other graphs are copies of those written before."""
    graphs = shared_folder(tmp_path_factory.getbasetemp(), "graphs")

    def copied(graph: object, path: Path, size: int) -> None:
        shutil.copyfile(tiny_export.bundle.path / path.name, path)

    def run(models: Path, allowed: float = 100.0, **options: Any) -> Exported:
        return pipeline.export_run(tiny_outcome.run.folder, models, int8=allowed, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "write_onnx", copied)
        patch.setattr(quantize, "write_onnx", written_once(write_onnx, graphs))
        patch.setattr(images, "_RANGES", (8, 1))
        patch.setattr(images, "_CHOICE", (8, 1))
        patch.setattr(images, "_GATE", (8, 1))
        patch.setattr(images, "_SENSITIVITY", 4)
        yield run


@pytest.fixture
def models(tiny_export: Any, tmp_path: Path) -> Path:
    """A folder of bundles with the tiny run's version without INT8, in use."""
    shutil.copytree(tiny_export.bundle.path.parent.parent, tmp_path / "models")
    return tmp_path / "models"


@pytest.mark.slow
def test_at_every_moment_a_whole_version_is_in_use(export: Export, models: Path) -> None:
    """A killed process leaves what is on the disk at that moment: it is looked at in each phase."""
    before = Bundle.load(models / "plate").version
    seen: dict[str, set[str]] = {}

    def look(phase: str, done: int, total: int | None) -> None:
        if phase in seen and done != total:
            return
        seen.setdefault(phase, set()).add(Bundle.load(models / "plate").version)
        for version in list_versions(models, "plate"):
            assert check(version.path) == []

    first = export(models, progress=look)
    assert {"ranges for INT8", "choosing what is INT8", "writing the INT8 graph"} < set(seen)
    assert {"INT8 on made damage", "INT8 on test images"} < set(seen)
    assert set().union(*seen.values()) == {before}
    bundle = Bundle.load(models / "plate")
    assert bundle.version == first.bundle.version
    manifest = bundle.manifest
    assert INT8_GRAPH in manifest.files
    assert set(manifest.thresholds) == {"int8"}
    row = manifest.parity["onnxruntime int8"]
    assert row["gate"]["allowed_loss"] == 100.0
    assert [loss["images"] for loss in row["gate"]["losses"]] == ["made damage", "test images"]
    assert 0 < row["gate"]["share"] < 1
    with Detector.load(bundle.path, "cpu", options=BackendOptions(precision="int8")) as detector:
        assert detector.threshold.image == manifest.thresholds["int8"].image
    second = export(models)
    assert Bundle.load(models / "plate").version == second.bundle.version
    assert len(list_versions(models, "plate")) == 3
    assert second.bundle.manifest.files[INT8_GRAPH] == manifest.files[INT8_GRAPH]  # from the same images


def test_a_full_disk_leaves_the_version_before(
    export: Export, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Bundle.load(models / "plate").version
    real = Path.write_bytes

    def refuse(path: Path, data: bytes) -> int:
        if path.name == INT8_GRAPH:
            real(path, data[:1000])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(DmddError, match="no space is left on the disk") as caught:
        export(models)
    assert "the version in use is unchanged" in caught.value.fix
    assert Bundle.load(models / "plate").version == before
    assert {entry.name for entry in (models / "plate").iterdir()} == {"CURRENT", before}


@pytest.mark.slow
def test_a_refused_graph_is_followed_by_one_with_less_int8(
    export: Export, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Verdict] = []

    def problems(verdict: Verdict) -> list[str]:
        if not any(verdict is other for other in seen):
            seen.append(verdict)
        return ["the order changes"] if any(verdict is other for other in seen[:2]) else []

    monkeypatch.setattr(Verdict, "problems", problems)
    gate = export(models).bundle.manifest.parity["onnxruntime int8"]["gate"]
    assert len(gate["refused"]) == 2
    assert gate["refused"][0] > gate["refused"][1] > gate["share"]


@pytest.mark.slow
def test_ranges_of_one_image_are_refused_with_the_numbers(
    export: Export, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One black image, and a choice that sends no place back: what the gate is there for."""
    before = Bundle.load(models / "plate").version

    def one(run: Any) -> Int8Images:
        found = images.int8_images(run)
        return replace(found, ranges=np.zeros_like(found.ranges[:1]))

    monkeypatch.setattr(add, "int8_images", one)
    monkeypatch.setattr(add, "_GRAPHS", 2)
    measure = choice.Measurement.__call__
    monkeypatch.setattr(choice.Measurement, "__call__", lambda self, half: (measure(self, half)[0], ()))
    with pytest.raises(BundleError, match=r"made damage: .* (points|scores)") as caught:
        export(models, 0.0)
    assert "INT8 costs too much here, with" in caught.value.message
    assert "the version in use is unchanged" in caught.value.message
    assert Bundle.load(models / "plate").version == before
    assert {entry.name for entry in (models / "plate").iterdir()} == {"CURRENT", before}
