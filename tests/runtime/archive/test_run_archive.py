"""``run --archive`` and a station's archive, from end to end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.assembly import run_source
from dmdd_edge.runtime.options.run import RunOptions

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_run_keeps_what_is_worth_a_look_and_says_what_is_next(
    make_bundle: Make, images: Path, dmdd_edge: Program, tmp_path: Path
) -> None:
    bundle = make_bundle()
    done = dmdd_edge("run", "images", "--archive", "my archive", "--archive-sample", 1)
    assert done.returncode == 0, done.stderr
    *_, first, last = done.stderr.splitlines()
    assert first == "4 images kept in my archive: 2 anomalous, 2 sample"
    assert last == "next: dmdd-edge review 'my archive'"
    archive = ArchiveFolder(tmp_path / "my archive")
    records = {record.source: record for record in archive.records()}
    assert {name: record.kept for name, record in records.items()} == {
        "images/bad/0.png": "anomalous",
        "images/bad/1.png": "anomalous",
        "images/good/0.png": "sample",
        "images/good/1.png": "sample",
    }
    bad = records["images/bad/0.png"]
    assert (bad.category, bad.version) == (bundle.category, bundle.version)
    assert bad.score == pytest.approx(0.8)
    assert (archive.image(bad) == cv2.imread(str(images / "bad" / "0.png"))).all()
    again = dmdd_edge("run", "images", "--archive", "my archive")
    assert again.returncode == 0, again.stderr
    assert sum(counts.anomalous for counts in archive.counts()) == 4


def test_an_archive_inside_the_source_is_not_judged(make_bundle: Make, images: Path, tmp_path: Path) -> None:
    make_bundle()
    options = RunOptions(
        source=str(images), models_dir=tmp_path / "models", archive=images / "archive", archive_sample=1.0
    )
    assert [run_source(options).summary.frames for _ in range(2)] == [4, 4]
    outcome = run_source(options)
    assert outcome.summary.passed_over["written by a run"] == 16
    assert outcome.archive is not None
    assert dict(outcome.archive.kept) == {"anomalous": 2, "sample": 2}


@pytest.mark.parametrize("place", ["images", "images/good/0.png", "models/screw/other"])
def test_a_folder_that_cannot_be_an_archive_is_one_message(
    place: str, make_bundle: Make, images: Path, dmdd_edge: Program, tmp_path: Path
) -> None:
    make_bundle()
    (tmp_path / "models" / "screw" / "other").mkdir()
    (tmp_path / "models" / "screw" / "other" / "x").write_text("")
    before = sorted(path for path in tmp_path.rglob("*"))
    done = dmdd_edge("run", "images", "--archive", place)
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert sorted(path for path in tmp_path.rglob("*")) == before
