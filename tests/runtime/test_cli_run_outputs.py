"""``dmdd-edge run`` as a process: files, resuming, changing the bundle, being stopped twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.threshold import threshold_from_normals
from tests.runtime.piped import next_line

Make = Callable[..., Bundle]
Program = Callable[..., subprocess.CompletedProcess[str]]
Picture = Callable[..., NDArray[np.uint8]]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def film(tmp_path: Path, make_picture: Picture) -> Path:
    """A video of good parts, to be played as a camera."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (256, 128))
    for _ in range(10):
        writer.write(make_picture())
    writer.release()
    return path


@pytest.mark.slow
def test_every_output_at_once(make_bundle: Make, images: Path, tmp_path: Path, dmdd_edge: Program) -> None:
    make_bundle()
    outputs = "--jsonl r.jsonl --csv r.csv --save out --save-maps maps --save-only-anomalous --video v.mkv"
    done = dmdd_edge("run", "--source", "images", *outputs.split(), "--fsync", "always", "--json")
    assert done.returncode == 0, done.stderr
    *results, summary = _lines(tmp_path / "r.jsonl")
    assert [line["status"] for line in results] == ["anomalous", "anomalous", "good", "good"]
    assert summary["busy"].keys() == {"capture", "prepare", "infer", "write"}
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == [*["result"] * 4, "summary"]
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 5
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.png")) == ["0.png", "1.png"]
    assert sorted(p.name for p in (tmp_path / "maps").rglob("*.tiff")) == ["0.tiff", "1.tiff"]
    capture = cv2.VideoCapture(str(tmp_path / "v.mkv"))
    assert sum(1 for _ in iter(lambda: capture.grab(), False)) == 4
    assert "2 overlays in out" in done.stderr
    again = dmdd_edge("run", "--source", "images", "--jsonl", "r.jsonl")
    assert again.returncode == 1
    assert "--resume" in again.stderr
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    # The first frame that would be written again is known before anything is judged.
    refused = dmdd_edge(
        "run", "--source", "images", "--save", "out", "--save-frames", "f", "--jsonl", "s.jsonl"
    )
    assert refused.returncode == 1
    assert "0.png already exists" in refused.stderr
    assert not (tmp_path / "s.jsonl").exists()
    same = dmdd_edge("run", "--source", "images", "--save", "f", "--save-frames", "f")
    assert same.returncode == 1
    assert "--save-frames" in same.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    options = "--save out --save-frames f --overwrite --save-format jpg --save-size 64 --no-save-caption"
    done = dmdd_edge("run", "--source", "images", *options.split())
    assert done.returncode == 0, done.stderr
    assert "4 frames in f" in done.stderr
    for image in (tmp_path / "images").rglob("*.png"):
        name = image.relative_to(tmp_path / "images")
        overlay = cv2.imread(str((tmp_path / "out" / name).with_suffix(".jpg")))
        assert overlay is not None
        assert overlay.shape == (32, 64, 3)
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / "f" / name)), cv2.imread(str(image)))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_killed_run_is_resumed_with_every_frame_once(
    make_bundle: Make, images: Path, tmp_path: Path, program: list[str], dmdd_edge: Program
) -> None:
    make_bundle()
    (tmp_path / "many").mkdir()
    for number in range(600):
        os.link(images / ("bad" if number % 3 == 0 else "good") / "0.png", tmp_path / f"many/{number:04}.png")
    command = ["run", "--source", "many", "--jsonl", "r.jsonl", "--csv", "r.csv", "--json"]
    with subprocess.Popen(
        [*program, *command], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        process.stdout.read()
    before = (tmp_path / "r.jsonl").read_bytes().count(b"\n")
    assert 0 < before < 600
    done = dmdd_edge(*command, "--resume", "--fail-on-anomaly")
    assert done.returncode == 3, done.stderr
    *results, summary = _lines(tmp_path / "r.jsonl")
    assert [line["index"] for line in results] == list(range(600))
    assert [Path(line["source"]).name for line in results] == [f"{n:04}.png" for n in range(600)]
    assert summary["frames"] < 600
    rows = (tmp_path / "r.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[1]) for row in rows] == list(range(600))
    # Nothing is left to do, and nothing is written.
    content = (tmp_path / "r.jsonl").read_bytes()
    done = dmdd_edge(*command, "--resume", "--fail-on-anomaly")
    assert done.returncode == 3
    assert "600 frames were already done" in done.stderr
    assert (tmp_path / "r.jsonl").read_bytes() == content


@pytest.mark.slow
@pytest.mark.parametrize("how", ["CURRENT", "SIGHUP"])
def test_the_bundle_is_changed_while_the_run_goes_on(
    make_bundle: Make, film: Path, tmp_path: Path, program: list[str], how: str
) -> None:
    first = make_bundle()
    arguments = ["run", "--source", "replay:film.avi?loop=1", "--category", "screw", "--json"]
    with subprocess.Popen(
        [*program, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = [json.loads(next_line(process.stdout))]
        if how == "CURRENT":
            make_bundle(threshold=threshold_from_normals([0.75]))
        else:
            calibration = {"category": "screw", "version": first.version, "created": "", "source": ""}
            calibration["threshold"] = json.loads(threshold_from_normals([0.75]).model_dump_json())
            path = first.path.parent / f"calibration-{first.version}.json"
            path.write_text(json.dumps(calibration))
            process.send_signal(signal.SIGHUP)
        while found[-1]["threshold"] != 0.75:
            found.append(json.loads(next_line(process.stdout)))
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    *results, summary = [*found, *map(json.loads, rest.splitlines())]
    assert [line["index"] for line in results] == list(range(len(results)))
    assert summary["frames"] == len(results)
    assert "threshold 0.7500" in errors


def test_a_second_signal_stops_at_once(
    make_bundle: Make, images: Path, tmp_path: Path, program: list[str]
) -> None:
    """A pipe that nobody reads holds the run up; the first Ctrl-C waits for it, the second does not."""
    make_bundle()
    (tmp_path / "many").mkdir()
    for number in range(3000):
        os.link(images / "good" / "0.png", tmp_path / "many" / f"{number}.png")
    with subprocess.Popen(
        [*program, "run", "--source", "many", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        ended = False
        while not ended:
            try:
                process.wait(2)
                ended = True
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
    # One more while Python is on its way out ends it by the signal itself.
    assert process.returncode in (130, -signal.SIGINT)


def test_calibrating_with_a_live_source_takes_as_many_frames_as_asked(
    make_bundle: Make, film: Path, dmdd_edge: Program
) -> None:
    make_bundle()
    done = dmdd_edge("calibrate", "--source", "replay:film.avi?loop=1", "--limit", "12", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["threshold"]["normals"] == 12
    # The film shows a good part: its blue level is 30 of 255, give or take what MJPG makes of it.
    assert found["threshold"]["image"] == pytest.approx(30 / 255, abs=0.02)
