from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from dmdd_edge import DmddError, OptionError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import calibration_path, history_path, read_calibration, write_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.cli import calibrate, models
from dmdd_edge.cli.calibrate import CalibrateCommand
from dmdd_edge.data.quality import FrameLimits

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def app() -> typer.Typer:
    """The two commands alone."""
    built = typer.Typer()
    models.register(built)
    calibrate.register(built)
    return built


@pytest.fixture
def run(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Call a command in ``tmp_path``; returns what it printed as JSON, or raises what it raised."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, [*arguments, "--json"])
        if isinstance(done.exception, DmddError):
            raise done.exception
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    return call


def test_versions_are_listed_and_rolled_back(make_bundle: Make, run: Callable[..., Any]) -> None:
    old, new = make_bundle(), make_bundle()
    make_bundle("bottle")
    rows = run("models")
    assert [(row["category"], row["in_use"]) for row in rows] == [
        ("bottle", True),
        ("screw", False),
        ("screw", True),
    ]
    assert rows[2]["version"] == new.version
    assert (rows[2]["threshold"], rows[2]["threshold_origin"]) == (0.5, "manifest")
    assert run("models", "use", "screw", old.version) == {"category": "screw", "version": old.version}
    assert [row["in_use"] for row in run("models")] == [True, True, False]
    with pytest.raises(DmddError, match="no version"):
        run("models", "use", "screw", "x")


def test_check_names_every_problem(make_bundle: Make, run: Callable[..., Any]) -> None:
    bundle = make_bundle()
    (report,) = run("models", "check", "screw")
    assert report["ok"]
    assert report["version"] == bundle.version
    bundle.file("model.fp32.onnx").write_bytes(b"x")
    calibration_path(bundle).write_text("{")
    make_bundle("bottle")
    (report,) = run("models", "check", "screw", code=1)
    first, second = report["problems"]
    assert "truncated" in first["message"]
    assert "calibration" in second["message"]
    assert first["fix"]
    assert second["fix"]
    assert [report["ok"] for report in run("models", "check", code=1)] == [True, False]


@pytest.mark.slow
def test_a_person_reads_a_table(make_bundle: Make, images: Path, dmdd_edge: Program) -> None:
    bundle = make_bundle()
    assert dmdd_edge("calibrate", "--yes", "--source", "images/good").returncode == 0
    done = dmdd_edge("models")
    assert done.returncode == 0
    assert bundle.version in done.stderr, "never cut: it is typed into models use"
    assert "yes" in done.stderr
    assert "0.1176" in done.stderr
    done = dmdd_edge("models", "check", "screw")
    assert "complete and unchanged" in done.stderr
    bundle.file("model.fp32.onnx").unlink()
    done = dmdd_edge("models", "check", "screw")
    assert done.returncode == 1
    assert "is missing" in done.stderr
    assert "fix:" in done.stderr


def test_no_bundle_yet(run: Callable[..., Any], dmdd_edge: Program) -> None:
    assert run("models") == []
    done = dmdd_edge("models")
    assert done.returncode == 0
    assert "dmdd-edge train --data DIR" in done.stderr


def test_calibration_from_good_parts(
    make_bundle: Make, images: Path, run: Callable[..., Any], make_picture: Picture
) -> None:
    limits = FrameLimits(mean_min=20, mean_max=255, saturated_max=1, black_max=1, sharpness_min=0, images=1)
    bundle = make_bundle(frame_limits=limits)
    good = images / "good"
    for number, level in enumerate((51, 102, 77)):
        cv2.imwrite(str(good / f"level{number}.png"), make_picture(level))
    cv2.imwrite(str(good / "black.png"), make_picture(0))
    (good / "broken.png").write_bytes(b"")
    # Scores: 30, 30, 51, 77, 102 of 255; rank ceil(6 * 0.7) = 5, so the largest; at 0.5 rank 3.
    found = run("calibrate", "--yes", "--source", "images/good", "--false-alarm-rate", "0.3")
    assert found["threshold"]["image"] == pytest.approx(102 / 255)
    found = run("calibrate", "--yes", "--source", "images/good", "--false-alarm-rate", "0.5")
    assert found["threshold"]["image"] == pytest.approx(51 / 255)
    assert (found["unreliable"], found["skipped"], found["threshold"]["normals"]) == (1, 1, 5)
    assert found["exported"] == 0.5
    assert found["backend"] == "cpu"
    assert found["path"] == str(calibration_path(bundle))
    (row,) = run("models")
    assert row["threshold"] == pytest.approx(0.2)
    assert row["threshold_origin"] == "calibration"
    assert row["calibration"]["source"] == "images/good"
    assert run("calibrate", "--reset")["removed"] is True
    assert run("calibrate", "--reset")["removed"] is False
    assert read_calibration(bundle) is None


@pytest.mark.slow
def test_a_switch_names_the_calibration_that_stays_with_the_old_version(
    make_bundle: Make, images: Path, dmdd_edge: Program
) -> None:
    new, old = make_bundle(), make_bundle()
    rates = ("--false-alarm-rate", "0.34", "--min-area", "12px")
    assert dmdd_edge("calibrate", "--yes", "--source", "images/good", *rates).returncode == 0
    lines = dmdd_edge("models", "use", "screw", new.version).stderr.splitlines()
    assert lines[0] == f"screw: {new.version} is in use"
    assert lines[1].startswith(f"not carried over from {old.version}: threshold 0.1176, --min-area 12px;")
    assert lines[2] == "next: dmdd-edge calibrate --category screw --source GOOD_PARTS --min-area 12px"
    # The way back loses nothing: the calibration is still there.
    lines = dmdd_edge("models", "use", "screw", old.version).stderr.splitlines()
    assert lines[1:] == ["next: dmdd-edge run --category screw --source FOLDER_OR_CAMERA"]


def test_few_good_parts_set_no_threshold_without_yes(
    make_bundle: Make, images: Path, run: Callable[..., Any]
) -> None:
    bundle = make_bundle()
    words = r"2 good images support a false-alarm rate of 33 % only; 1 % needs 99"
    with pytest.raises(OptionError, match=words) as caught:
        run("calibrate", "--source", "images/good")
    assert "at least 20 images" in caught.value.fix
    assert "--yes" in caught.value.fix
    assert read_calibration(bundle) is None
    # Two good parts are enough for one in three.
    assert run("calibrate", "--source", "images/good", "--false-alarm-rate", "0.34")["doubts"] == []


def test_a_broken_calibration_can_be_replaced_and_removed(
    make_bundle: Make, images: Path, run: Callable[..., Any]
) -> None:
    bundle = make_bundle()
    calibration_path(bundle).write_text("{")
    assert "calibration" in run("models")[0]["error"]
    assert run("calibrate", "--yes", "--source", "images/good")["threshold"]["normals"] == 2
    calibration_path(bundle).write_text("{")
    assert run("calibrate", "--reset")["removed"] is True


def test_what_calibrate_cannot_do(make_bundle: Make, images: Path, run: Callable[..., Any]) -> None:
    bundle = make_bundle()
    with pytest.raises(DmddError, match="calibrate needs --source, --from-feedback"):
        run("calibrate")
    with pytest.raises(OptionError, match="--source and --reset exclude each other"):
        CalibrateCommand(reset=True, source="images")
    with pytest.raises(DmddError, match="false-alarm-rate is 1"):
        run("calibrate", "--source", "images", "--false-alarm-rate", "1")
    for path in (images / "good").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DmddError, match="None of the 2 images could be judged"):
        run("calibrate", "--yes", "--source", "images/good")
    assert read_calibration(bundle) is None


@pytest.mark.slow
def test_calibrate_says_how_to_undo_it(make_bundle: Make, images: Path, dmdd_edge: Program) -> None:
    make_bundle()
    done = dmdd_edge("calibrate", "--yes", "--source", "images/good")
    assert done.returncode == 0
    assert done.stdout == ""
    assert "needs 99" in done.stderr
    assert "undo: dmdd-edge calibrate --category screw --undo" in done.stderr
    assert done.stderr.strip().splitlines()[-1] == "next: dmdd-edge models show screw"
    assert "calibrated here" in dmdd_edge("run", "--source", "images/good").stderr


def test_list_is_what_models_alone_gives(make_bundle: Make, run: Callable[..., Any]) -> None:
    make_bundle()
    assert run("models", "list") == run("models")


def test_a_bundle_is_shown(make_bundle: Make, run: Callable[..., Any], app: typer.Typer) -> None:
    old, new = make_bundle(), make_bundle()
    assert run("models", "show")["version"] == new.version
    shown = run("models", "show", "screw", old.version)
    assert [(each["created"], each["in_use"]) for each in shown["calibrations"]] == [(None, True)]
    assert shown["challenge"] == {"parts": 0, "problem": None}
    assert (shown["version"], shown["in_use"]) == (old.version, False)
    assert shown["files"] == old.manifest.files
    text = CliRunner().invoke(app, ["models", "show"]).stderr
    assert f"{new.version} (in use)" in text
    assert "model.fp32.onnx" in text
    with pytest.raises(DmddError, match="there is no version") as caught:
        run("models", "show", "screw", "1999")
    assert old.version in caught.value.fix


def test_a_version_is_removed_with_its_calibration(
    make_bundle: Make, run: Callable[..., Any], make_picture: Picture
) -> None:
    old, new = make_bundle(), make_bundle()
    calibration_path(old).write_text("{}")
    assert run("models", "remove", "screw", old.version) == {"category": "screw", "removed": old.version}
    assert sorted(path.name for path in new.path.parent.iterdir()) == sorted(["CURRENT", new.version])
    with pytest.raises(DmddError, match="is in use") as caught:
        run("models", "remove", "screw", new.version)
    assert "dmdd-edge models use screw VERSION" in caught.value.fix
    assert new.path.is_dir()


def test_a_mistyped_category_is_guessed(make_bundle: Make, run: Callable[..., Any]) -> None:
    bundle = make_bundle()
    for command in (["use", "screv", bundle.version], ["remove", "screv", "x"], ["show", "screv"]):
        with pytest.raises(DmddError, match="no bundle 'screv'") as caught:
            run("models", *command)
        assert caught.value.fix == "Did you mean 'screw'?"


def test_an_option_before_the_sub_command_counts(
    make_bundle: Make, app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle()
    monkeypatch.chdir("/")
    done = CliRunner().invoke(app, ["models", "--models-dir", str(bundle.path.parents[1]), "--json", "show"])
    assert json.loads(done.stdout)["version"] == bundle.version


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_version_in_use(
    broken: str, make_bundle: Make, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_bundle(), make_bundle()

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, broken, refuse)
    with pytest.raises(DmddError, match="the disk reports an input/output error") as caught:
        run("models", "use", "screw", old.version)
    assert "CURRENT cannot be written" in caught.value.message
    monkeypatch.undo()
    assert (new.path.parent / "CURRENT").read_text().strip() == new.version


def test_show_lists_the_calibrations_before(
    make_bundle: Make, app: typer.Typer, run: Callable[..., Any]
) -> None:
    bundle = make_bundle()
    for value in (0.6, 0.7):
        write_calibration(bundle, threshold_from_normals([value]), "images/good")
    listed = [
        (each["threshold"], each["source"], each["in_use"]) for each in run("models", "show")["calibrations"]
    ]
    assert listed == [(0.5, "", False), (0.6, "images/good", False), (0.7, "images/good", True)]
    text = " ".join(CliRunner().invoke(app, ["models", "show"]).stderr.split())
    assert "0.5000, set at export 0.6000, calibrated on" in text
    assert "from images/good (in use)" in text
    history_path(bundle).write_text("{")
    assert "damaged" in run("models", "show")["error"] or "not valid JSON" in run("models", "show")["error"]
