"""``run --archive`` and a station's archive, from end to end."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cli.run_report import print_archive
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.assembly import run_source
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.options.run import RunOptions
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.station import recorder
from dmdd_edge.runtime.summary import Summary
from tests.runtime.archive.kept import opened
from tests.runtime.station.constant_bundles import station_settings
from tests.runtime.station.running import Answer, Camera, frame, lost, running

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


class Hanging:
    """A sink that waits for ``gate``."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def result(self, frame: Frame, result: Result) -> None:
        self.gate.wait(60)

    def broken(self, frame: BrokenFrame) -> None:
        """Nothing is broken."""

    def summary(self, summary: Summary) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to release."""


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
    again = dmdd_edge("run", "images", "--archive", "my archive", "--json", "--archive-sample", 0)
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout.splitlines()[-1])
    assert summary["archive"] == {"path": "my archive", "kept": {"anomalous": 2}, "lost": 0, "problem": ""}
    assert sum(counts.anomalous for counts in archive.counts()) == 4


@pytest.mark.parametrize("first", ["anomalous", "sample"])
def test_what_was_kept_is_named_in_one_order(first: str, capsys: pytest.CaptureFixture[str]) -> None:
    # The archive's thread takes whichever image waits, the sample first: what it writes first is chance.
    kept = {first: 2} | {"anomalous": 2, "sample": 2}
    print_archive(SimpleNamespace(kept=kept, path=Path("line")))  # type: ignore[arg-type]
    assert capsys.readouterr().err.splitlines()[0] == "4 images kept in line: 2 anomalous, 2 sample"


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


def test_a_station_has_one_archive_for_all_inspections(make_bundle: Make, tmp_path: Path) -> None:
    make_bundle("screw")
    settings = station_settings(
        tmp_path,
        {
            "head": {"category": "screw", "region": (8, 8, 32, 32)},
            "foot": {"category": "screw", "region": (8, 30, 40, 32)},
        },
        {1: ["head", "foot"]},
    )
    sink = opened(tmp_path / "archive", archive_sample=0, inspections=True)
    camera = Camera()
    answers: Iterator[Answer] = iter([frame(200), frame(30), lost("top")])
    camera.answers = lambda: next(answers)
    with running(settings, {"top": camera}, [sink]) as station:
        station.trigger(3)
        station.verdicts(3)
    archive = ArchiveFolder(tmp_path / "archive")
    records = {record.inspection: record for record in archive.records()}
    assert {name: archive.image(record).shape for name, record in records.items()} == {
        "head": (32, 32, 3),
        "foot": (32, 40, 3),
    }
    assert {record.kept for record in records.values()} == {"anomalous"}
    counts = {line.inspection: (line.good, line.anomalous, line.category) for line in archive.counts()}
    assert counts == {"head": (1, 1, "screw"), "foot": (1, 1, "screw")}


def test_a_station_too_slow_for_images_still_counts_every_frame(make_bundle: Make, tmp_path: Path) -> None:
    make_bundle("screw")
    settings = station_settings(tmp_path, {"head": {"category": "screw"}}, {1: ["head"]})
    hanging = Hanging()
    sink = opened(tmp_path / "archive", archive_sample=1.0, inspections=True)
    with running(settings, {"top": Camera()}, [hanging, sink], say=lambda line: None) as station:
        number = recorder._WITH_IMAGES + 4
        for count in range(number):
            station.trigger()
            station.verdicts(count + 1)
        hanging.gate.set()
    [counts] = ArchiveFolder(tmp_path / "archive").counts()
    assert (counts.good, counts.sampled) == (number, number)
    assert 1 <= counts.lost == counts.sampled_lost <= 4
    assert len(list(ArchiveFolder(tmp_path / "archive").records())) == number - counts.lost
