"""The drift watch of a run: its lines, its state over restarts, its place on the page and in the metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.assembly import run_source
from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.drift.sink import RunDrift
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.options.run import RunOptions
from dmdd_edge.runtime.page.history import History
from dmdd_edge.runtime.page.metrics import metrics_text
from dmdd_edge.runtime.page.snapshot import Snapshot, drift_messages
from dmdd_edge.runtime.result import FrameLook, Result
from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile
from dmdd_edge.runtime.sources import open_source

Make = Callable[..., Bundle]
FRAME = Frame(np.zeros((4, 4, 3), np.uint8), "", 0)


def results(
    count: int, start: int = 0, light: float = 120.0, version: str = "", threshold: float = 0.5
) -> list[Result]:
    noise = np.random.default_rng(start).standard_normal((count, 5)).tolist()
    return [
        Result(
            source="cam",
            index=start + number,
            status="good",
            time=1.7e9 + start + number,
            score=0.3 + 0.01 * score,
            normalized_score=0.3,
            threshold=threshold,
            is_anomalous=False,
            anomaly_map=np.zeros((2, 2), np.float32),
            version=version,
            look=FrameLook(light + 2 * a, 1.5 + 0.05 * b, 0.5 + 0.01 * x, 0.5 + 0.01 * y),
        )
        for number, (a, b, x, y, score) in enumerate(noise)
    ]


class Watched:
    """A run without frames, whose results are made up."""

    def __init__(
        self, bundle: Bundle, images: Path, state: Path | None = None, out: Path | None = None
    ) -> None:
        self.detector = Detector.load(bundle.path, backend="cpu")
        self.control = RunControl(self.detector, open_source(str(images)))
        self.said: list[str] = []
        self.file = None if out is None else JsonLinesFile(out)
        sinks = [] if self.file is None else [self.file]
        self.sink = RunDrift(self.control, 1_000_000, state, sinks, self.said.append, "calibrate it")
        self.version = bundle.version

    def feed(self, found: list[Result]) -> None:
        for each in found:
            self.sink.result(FRAME, each)

    def report(self) -> dict[str, Any]:
        return self.control.state().summary.drift["screw"]

    def close(self) -> None:
        self.sink.close()
        if self.file is not None:
            self.file.close()
        self.detector.close()


@pytest.fixture
def bundle(make_bundle: Make) -> Bundle:
    scores = [0.3 + 0.001 * k for k in range(-20, 20)]
    return make_bundle(threshold=threshold_from_normals([*scores, 0.5]))


def test_a_run_writes_what_it_learned_and_each_warning(bundle: Bundle, images: Path, tmp_path: Path) -> None:
    run = Watched(bundle, images, out=tmp_path / "results.jsonl")
    run.feed(results(1000, version=bundle.version))
    run.feed(results(200, 1000, light=100.0, version=bundle.version))
    report = run.report()
    assert report["cause"] == "light"
    [warning] = report["warnings"]
    assert warning["measure"] == "light"
    assert warning["direction"] == "down"
    assert warning["since"]["index"] == 1000
    assert drift_messages({"screw": report}) == [warning["message"]]
    assert drift_messages({"lid": report}, named=True) == [f"lid: {warning['message']}"]
    text = metrics_text(Snapshot(run.control.state(), 1.0, 0.0, 0.0), History())
    assert 'dmdd_edge_drift{measure="light"} 1.0' in text
    assert 'dmdd_edge_drift{measure="score"} 0.0' in text
    assert 'dmdd_edge_drift_evidence{direction="down",measure="light"} 1.0' in text
    assert "dmdd_edge_drift_learning 0.0" in text
    run.feed(results(600, 1200, version=bundle.version))
    run.close()
    baseline, begun, over = (json.loads(line) for line in (tmp_path / "results.jsonl").open())
    assert [each["event"] for each in (baseline, begun, over)] == ["baseline", "warning", "ended"]
    assert {each["type"] for each in (baseline, begun, over)} == {"drift"}
    assert baseline["index"] == 399
    assert (baseline["version"], baseline["threshold"], baseline["stride"]) == (bundle.version, 0.5, 1)
    assert baseline["promise"]["normals"] == 41
    assert baseline["promise"]["rate"] == pytest.approx(1 / 42)
    assert len(baseline["promise"]["scores"]) == 40
    assert baseline["levels"]["light"] == pytest.approx(120, abs=0.5)
    assert begun["message"].startswith("The light is 1")
    assert (begun["cause"], begun["measure"]) == ("light", "light")
    assert (
        begun["fix"] == "Look at the lamp, stray light and the exposure. If the change is meant: calibrate it"
    )
    assert over["message"] == "The light is as before again."
    assert run.said == [f"drift: {begun['message']}", f"fix:  {begun['fix']}", f"drift: {over['message']}"]


def test_what_was_learned_survives_a_restart(bundle: Bundle, images: Path, tmp_path: Path) -> None:
    state = tmp_path / "state" / "drift.json"
    state.parent.mkdir()
    first = Watched(bundle, images, state)
    first.feed(results(1000, version=bundle.version))
    first.close()
    second = Watched(bundle, images, state)
    second.feed(results(200, light=100.0, version=bundle.version))
    assert [each["measure"] for each in second.report()["warnings"]] == ["light"]
    second.close()
    other = Watched(bundle, images, state)
    other.feed(results(200, light=100.0, version="another"))
    assert other.report()["learning"]
    other.detector.close()
    state.write_text("{")
    broken = Watched(bundle, images, state)
    assert broken.said == [f"{state} cannot be read; the drift watch learns again what is usual."]
    broken.close()
    assert json.loads(state.read_text())["inspections"]


def test_a_state_that_cannot_be_written_is_said_once(bundle: Bundle, images: Path, tmp_path: Path) -> None:
    run = Watched(bundle, images, tmp_path / "missing" / "drift.json")
    run.sink.close()
    run.sink.close()
    assert len(run.said) == 1
    assert "continues without keeping what it learned" in run.said[0]
    run.detector.close()


def test_another_bundle_begins_anew_and_a_threshold_of_the_run_only_the_scores(
    bundle: Bundle, images: Path
) -> None:
    run = Watched(bundle, images)
    run.feed(results(1000, version=bundle.version))
    run.detector.set_threshold(0.4)
    run.feed(results(100, 1000, light=100.0, version=bundle.version, threshold=0.4))
    report = run.report()
    assert report["frames"] == 1100
    assert report["learning"]
    assert report["levels"].keys() >= {"light", "x"}
    run.feed(results(100, 1100, version="another", threshold=0.4))
    assert run.report()["frames"] == 100
    run.close()


@pytest.mark.slow
def test_a_run_over_files_has_looks_lines_and_a_summary(make_bundle: Make, tmp_path: Path) -> None:
    bundle = make_bundle()
    folder = tmp_path / "parts"
    folder.mkdir()
    for number in range(700):
        rng = np.random.default_rng(number)
        level = 60 if number < 450 else 45
        picture = rng.normal(level + rng.normal(), 6, (64, 64, 3))
        cv2.imwrite(str(folder / f"{number:04}.png"), np.clip(picture, 0, 255).astype(np.uint8))
    out = tmp_path / "results.jsonl"
    said: list[str] = []
    outcome = run_source(
        RunOptions(source=str(folder), model=bundle.path, backend="cpu", jsonl=out), say=said.append
    )
    lines = [json.loads(line) for line in out.open()]
    assert [line["event"] for line in lines if line["type"] == "drift"][:2] == ["baseline", "warning"]
    assert all(line["look"]["light"] > 40 for line in lines if line["type"] == "result")
    warned = {each["measure"]: each for each in lines[-1]["drift"]["screw"]["warnings"]}
    assert "light" in warned
    assert warned["light"]["since"]["index"] == pytest.approx(450, abs=20)
    assert outcome.summary.drift["screw"]["cause"] == "light"
    assert any(line.startswith("drift: The light is ") for line in said)
    off = RunOptions(source=str(folder), model=bundle.path, backend="cpu", drift=False, limit=5)
    silent = run_source(off)
    assert silent.summary.drift == {}


def test_scores_unlike_the_calibration_are_told_apart_from_drift(bundle: Bundle, images: Path) -> None:
    run = Watched(bundle, images)
    found = [replace(each, score=each.score + 0.03) for each in results(500, version=bundle.version)]
    run.feed(found)
    report = run.report()
    assert report["cause"] == "calibration"
    [warning] = report["warnings"]
    assert warning["message"].startswith("Passing parts have higher scores than the calibration's in 9")
    other = "The threshold was set with other parts, or under other conditions."
    assert run.said[1] == f"fix:  {other} If the parts are good: calibrate it"
    run.close()
