"""``calibrate --from-feedback``, ``--undo`` and ``--history`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import effective_threshold, read_calibration
from dmdd_edge.cli import calibrate, models
from dmdd_edge.cli.threshold_picture import WIDTH, picture
from dmdd_edge.runtime.recalibration.evidence import read_evidence
from tests.runtime.recalibration.archives import Archive

Call = Callable[..., Any]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call ``calibrate`` in ``tmp_path``; returns JSON and what a person reads, or raises."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    models.register(app)
    calibrate.register(app)

    def run(*arguments: str) -> tuple[Any, str]:
        done = CliRunner().invoke(app, ["calibrate", *arguments, "--json"])
        if isinstance(done.exception, DmddError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout), done.stderr

    return run


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    """Its exported threshold is 0.5."""
    return make_bundle()


@pytest.fixture
def line(bundle: Bundle, tmp_path: Path) -> Archive:
    """960 parts passed, 96 of them sampled; 40 good alarms from 0.51 to 0.9, three bad ones."""
    archive = Archive(tmp_path / "line", "screw", bundle.version)
    archive.keep_all(np.linspace(0.1, 0.49, 96).round(4).tolist())
    archive.keep_all([round(0.5 + at / 100, 2) for at in range(1, 41)], "good")
    archive.keep_all([0.7, 0.95, 0.97], "bad")
    archive.count(960, 43)
    return archive


def test_the_threshold_is_set_with_what_it_rests_on(call: Call, bundle: Bundle, line: Archive) -> None:
    document, text = call("--from-feedback", "line", "--yes")
    assert document["threshold"]["image"] == 0.81
    assert document["threshold"]["normals"] == 1000
    facts = document["feedback"]
    assert (facts["passing"], facts["sampled"], facts["alarms"], facts["alarms_good"]) == (960, 96, 43, 40)
    assert (facts["found_before"], facts["found"], facts["bad"]) == (3, 2, 3)
    assert (facts["rate_before"], facts["rate"]) == (0.04, 0.009)
    assert effective_threshold(bundle).image == 0.81
    lines = text.splitlines()
    assert lines[0].startswith("screw: threshold 0.8100, was 0.5000: at most 1 % of good parts")
    assert "known-bad parts found: 2 of 3, 3 before; it loses 1, with scores up to 0.7000" in text
    assert lines[-1] == "next: dmdd-edge review line --export reviewed"
    assert "undo: dmdd-edge calibrate --category screw --undo" in text


def test_the_scores_it_keeps_stand_for_all_good_parts(call: Call, line: Archive) -> None:
    scores = call("--from-feedback", "line", "--yes")[0]["threshold"]["scores"]
    assert len(scores) == 96
    assert scores == sorted(scores)
    above = sum(score > 0.5 for score in scores)
    assert above == round(96 * 0.04), "as many as among the parts, not as among the images"


def test_nothing_is_set_unless_it_is_confirmed(call: Call, bundle: Bundle, line: Archive) -> None:
    with pytest.raises(DmddError, match="The threshold was not changed") as caught:
        call("--from-feedback", "line")
    assert "--yes" in caught.value.fix
    assert read_calibration(bundle) is None


def test_undo_goes_back_step_by_step(call: Call, bundle: Bundle, line: Archive) -> None:
    call("--from-feedback", "line", "--yes")
    call("--from-feedback", "line", "--yes", "--false-alarm-rate", "0.02")
    assert effective_threshold(bundle).image == 0.71
    rows, text = call("--history")
    assert [(row["threshold"], row["in_use"]) for row in rows] == [(0.5, False), (0.81, False), (0.71, True)]
    assert call("--undo")[0]["threshold"] == 0.81
    assert effective_threshold(bundle).image == 0.81
    document, text = call("--undo")
    assert document["threshold"] == 0.5
    assert text.startswith("screw: threshold 0.5000, as exported")
    assert read_calibration(bundle) is None
    with pytest.raises(DmddError, match="no earlier calibration"):
        call("--undo")


def test_a_band_is_set_along(call: Call, bundle: Bundle, line: Archive) -> None:
    # 3 % of 1001 is 30.03: the 30th largest of 0.51 to 0.9 is 0.61.
    document, text = call("--from-feedback", "line", "--yes", "--suspect-rate", "0.03")
    assert (document["threshold"]["image"], document["threshold"]["suspect"]) == (0.81, 0.61)
    assert "suspect above 0.6100: at most 3 % of good parts" in text
    assert effective_threshold(bundle).suspect == 0.61
    # The rate of the band stays until another one is given; 2 % of 1001 is 20.02.
    again = call("--from-feedback", "line", "--yes", "--false-alarm-rate", "0.02")[0]
    assert (again["threshold"]["image"], again["threshold"]["suspect"]) == (0.71, 0.61)
    with pytest.raises(DmddError, match=r"must be between --false-alarm-rate, 0\.04"):
        call("--from-feedback", "line", "--yes", "--false-alarm-rate", "0.04")


def test_a_threshold_that_nothing_exceeds_is_refused(call: Call, bundle: Bundle, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "line", "screw", bundle.version)
    archive.keep_all([0.2] * 50)
    archive.keep_all([1.0] * 60, "good")
    archive.count(500, 60)
    with pytest.raises(DmddError, match="it would be 1, which no score exceeds, so every part would pass"):
        call("--from-feedback", "line", "--yes")
    assert read_calibration(bundle) is None


def test_what_is_not_an_archive_is_named(call: Call, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DmddError, match="empty is not an archive"):
        call("--from-feedback", "empty", "--yes")


def test_the_picture_shows_both_thresholds_between_the_parts(line: Archive, bundle: Bundle) -> None:
    evidence = read_evidence(line.folder, "screw", bundle.version)
    lines = [text for text, _ in picture(evidence, 0.5, 0.81)]
    assert max(map(len, lines)) <= WIDTH
    old = next(at for at, text in enumerate(lines) if text.startswith("---- old threshold 0.5000"))
    new = next(at for at, text in enumerate(lines) if text.startswith("---- new threshold 0.8100"))
    assert _good(lines[1:old]) == pytest.approx(960, abs=old)
    assert _good(lines[old + 1 : new]) == 31
    assert _good(lines[new + 1 : -1]) == 9
    bad = [text for text in lines[1:-1] if "#" in text[57:]]
    assert [lines.index(text) > new for text in bad] == [False, True]


def _good(lines: list[str]) -> int:
    """Sum of the good parts that the lines state."""
    return sum(int(text[16:57].split()[-1]) for text in lines if text[16:57].split())


def test_a_smallest_area_without_room_in_an_image_is_refused(
    call: Call, bundle: Bundle, images: Path
) -> None:
    # The images have 256 x 128 = 32768 pixels.
    arguments = ("--source", str(images / "good"), "--yes", "--min-area")
    with pytest.raises(DmddError, match="--min-area 32769px is larger than an image, 256 x 128 pixels"):
        call(*arguments, "32769px")
    assert read_calibration(bundle) is None
    call(*arguments, "32768px")
    assert read_calibration(bundle) is not None


def test_scores_of_0_are_doubtful(call: Call, bundle: Bundle, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "line", "screw", bundle.version)
    archive.keep_all([0.0] * 200)
    archive.count(2000, 0)
    doubt = "doubtful: the threshold would be 0, so every score above 0 is an alarm"
    with pytest.raises(DmddError, match="nobody can answer here"):
        call("--from-feedback", "line")
    assert read_calibration(bundle) is None
    assert doubt in call("--from-feedback", "line", "--yes")[1]
