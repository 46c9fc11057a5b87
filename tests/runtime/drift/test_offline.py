"""``dmdd-edge drift`` over results files: what is read, what is answered, and the page."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from dmdd_edge.errors import DataError
from dmdd_edge.runtime.drift.offline import examine
from dmdd_edge.runtime.drift.page import chart, page
from dmdd_edge.runtime.drift.results_file import FILES

Run = Callable[..., subprocess.CompletedProcess[str]]


def result(index: int, light: float = 120.0, source: str = "/dev/video0", **fields: Any) -> dict[str, Any]:
    a, b, c, d, e = np.random.default_rng([7, index, len(source)]).standard_normal(5).tolist()
    return {
        "type": "result",
        "source": source,
        "index": index,
        "status": "good",
        "time": f"2026-11-29T{index // 3600:02}:{index // 60 % 60:02}:{index % 60:02}.000Z",
        "score": 0.3 + 0.02 * e,
        "threshold": 0.5,
        "look": {
            "light": light + 2 * a,
            "sharpness": 1.5 + 0.05 * b,
            "x": 0.5 + 0.01 * c,
            "y": 0.5 + 0.01 * d,
        },
        **fields,
    }


def part(number: int, top: dict[str, Any], side: dict[str, Any]) -> dict[str, Any]:
    inspections = {"top": {"camera": "cam1", **top}, "side": {"camera": "cam2", **side}}
    return {
        "type": "part",
        "acquisition_id": number,
        "time": top["time"],
        "status": "good",
        "inspections": {name: {**each, "acquisition_id": number} for name, each in inspections.items()},
    }


def write(path: Path, lines: Iterable[dict[str, Any]], tail: bytes = b"") -> Path:
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    data = text + tail
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def dimmed(count: int = 1600, at: int = 1200) -> list[dict[str, Any]]:
    return [result(index, 120 if index < at else 112) for index in range(count)]


def test_a_change_is_found_with_its_beginning_and_cause(tmp_path: Path) -> None:
    torn = b'{"type": "result", "sou'
    [found], reading = examine([write(tmp_path / "r.jsonl", dimmed(), torn)])
    assert (found.name, found.frames, reading.lines, reading.unreadable) == ("/dev/video0", 1600, 1601, 1)
    [warning] = found.report["warnings"]
    assert warning["measure"] == "light"
    assert warning["since"]["index"] in (1180, 1200, 1220)  # to a batch
    assert warning["since"]["time"] in ("2026-11-29T00:19:40.000Z", "2026-11-29T00:20:00.000Z")
    assert found.report["cause"] == "light"
    assert warning["before"] == pytest.approx(120, abs=0.3)
    assert warning["now"] == pytest.approx(112, abs=0.6)


def test_rotated_compressed_and_concatenated_files_are_one_line_of_frames(tmp_path: Path) -> None:
    lines = dimmed()
    write(tmp_path / "r.000001.jsonl", lines[:700])
    write(tmp_path / "r.000002.jsonl", lines[700:1000])
    again = [{**line, "index": line["index"] - 1000} for line in lines[1000:]]  # a later run begins at 0
    write(tmp_path / "r.jsonl", [{"type": "summary"}, *again])
    [rotated], _ = examine([tmp_path / "r.jsonl"])
    [packed], _ = examine([write(tmp_path / "all.jsonl.gz", lines)])
    assert rotated.to_json() == packed.to_json()
    assert rotated.report["warnings"][0]["since"]["index"] in (1180, 1200)


def test_each_inspection_of_a_station_is_watched_by_itself(tmp_path: Path) -> None:
    lines = [
        part(number, result(number, source="t"), result(number, 120 if number < 1000 else 111, source="side"))
        for number in range(1400)
    ]
    lines[5]["inspections"]["top"] = {"camera": "cam1", "error": "no frame", "status": "unreliable"}
    lines.append({"type": "missed", "error": "not ready"})
    found, reading = examine([write(tmp_path / "station.jsonl", lines)])
    top, side = found
    assert (top.name, top.camera, top.frames, top.report["warnings"]) == ("top", "cam1", 1399, [])
    assert (side.name, side.camera, side.report["cause"]) == ("side", "cam2", "light")
    assert reading.errors == 1


def test_another_threshold_begins_the_scores_again(tmp_path: Path) -> None:
    lines = [result(index) for index in range(1000)]
    lines += [result(index, threshold=0.6, score=0.4 + 0.001 * (index % 9)) for index in range(1000, 1800)]
    [found], _ = examine([write(tmp_path / "r.jsonl", lines)])
    assert [each["index"] for each in found.baselines] == [0, 1000]
    assert found.events == []  # higher scores are usual from there on


def test_what_a_run_wrote_about_its_threshold_is_used(tmp_path: Path) -> None:
    scores = [0.2 + 0.002 * k for k in range(40)]
    baseline = {
        "type": "drift",
        "event": "baseline",
        "version": "v1",
        "threshold": 0.5,
        "promise": {"normals": 41, "above": 0, "rate": 1 / 42, "scores": scores},
    }
    lines = [*(result(index) for index in range(600)), baseline]
    [found], _ = examine([write(tmp_path / "r.jsonl", lines)])
    assert found.report["promised_rate"] == pytest.approx(1 / 42)
    assert [warning["measure"] for warning in found.report["warnings"]] == ["calibration"]


def test_results_of_earlier_releases_are_watched_by_their_scores(tmp_path: Path) -> None:
    lines = [
        result(index, score=0.3 + 0.02 * float(np.random.default_rng(index).standard_normal()))
        for index in range(1500)
    ]
    for line in lines:
        del line["look"]
        if line["index"] >= 1000:
            line["score"] += 0.03
    [found], _ = examine([write(tmp_path / "r.jsonl", lines)])
    assert [warning["measure"] for warning in found.report["warnings"]] == ["score"]
    assert found.report["cause"] == "unknown"


def test_files_without_frames_are_refused_and_few_frames_tell_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        examine([tmp_path / "missing.jsonl"])
    broken = [b"\0\0\0\n", b"[1]\n", b'{"type": "result"}\n', b'{"type": "error", "index": 1}\n']
    (tmp_path / "none.jsonl").write_bytes(b"".join(broken))
    with pytest.raises(DataError, match="no line is of a frame"):
        examine([tmp_path / "none.jsonl"])
    names = [f"parts/{number}.png" for number in range(50)]
    lines = [result(number, source=name) for number, name in enumerate(names)]
    [few], _ = examine([write(tmp_path / "few.jsonl", lines)])
    assert (few.name, few.frames, few.report["learning"]) == (FILES, 50, True)
    assert few.report["warnings"] == []


@pytest.mark.parametrize(
    "damage",
    [
        {"score": 1e308},
        {"score": 10**400},
        {"threshold": float("nan")},
        {"time": "0001-01-01T00:00:00+14:00"},
        {"time": "9999-12-31T23:59:59-14:00"},
        {"time": 5},
        {"look": {"light": 1e308, "sharpness": 1.5, "x": 0.5, "y": 0.5}},
        {"look": {"light": float("nan"), "sharpness": 1.5, "x": 0.5, "y": 0.5}},
        {"index": "a"},
    ],
)
def test_a_line_with_an_impossible_number_is_left_out(tmp_path: Path, damage: dict[str, Any]) -> None:
    lines = [{**result(index), **(damage if index % 3 == 0 else {})} for index in range(900)]
    found, reading = examine([write(tmp_path / "r.jsonl", lines)])
    assert (reading.lines, reading.unreadable) == (900, 300)
    assert [each.frames for each in found] == [600]


def test_the_page_is_whole_and_escapes_names(tmp_path: Path) -> None:
    lines = [{**line, "source": "<cam>"} for line in dimmed()]
    [found], _ = examine([write(tmp_path / "r.jsonl", lines)])
    html = page([found], "Drift in 1 of 1 inspections.", "about")
    assert "&lt;cam&gt;" in html
    assert "<cam>" not in html
    assert "http://" not in html
    assert "https://" not in html
    assert html.count("<figure>") == 6
    assert found.report["warnings"][0]["message"].replace("'", "&#39;") in html


def test_a_chart_places_its_points_and_marks() -> None:
    root = ElementTree.fromstring(chart([(100, 1.0), (150, 3.0), (200, 2.0)], [150]))
    line = next(each for each in root.iter("polyline"))
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert [x for x, _ in points] == [52.0, 232.0, 412.0]  # 52 + 360 * (frame - 100) / 100
    assert points[1][1] < points[2][1] < points[0][1]  # y grows downwards
    mark = next(each for each in root.iter("line") if each.attrib["class"] == "since")
    assert float(mark.attrib["x1"]) == 232.0


def test_the_command_answers_first_and_names_the_next_command(dmdd_edge: Run, tmp_path: Path) -> None:
    write(tmp_path / "r.jsonl", dimmed())
    told = dmdd_edge("drift", "r.jsonl")
    assert told.returncode == 0, told.stderr
    lines = told.stderr.splitlines()
    assert lines[0] == "Drift in 1 of 1 inspections: /dev/video0."
    assert lines[-1] == "next: dmdd-edge drift r.jsonl --report drift.html"
    document = json.loads(dmdd_edge("drift", "r.jsonl", "--json", "--report", "out/d.html").stdout)
    assert document["drift"] is True
    assert document["inspections"]["/dev/video0"]["cause"] == "light"
    assert (tmp_path / "out" / "d.html").read_text().startswith("<!doctype html>")
    missing = dmdd_edge("drift", "nothing.jsonl")
    assert missing.returncode == 1
    assert "nothing.jsonl does not exist." in missing.stderr


@pytest.mark.slow
def test_frames_without_a_score_are_not_too_few(tmp_path: Path, dmdd_edge: Run) -> None:
    write(tmp_path / "nan.jsonl", [result(index, look=None, score=None) for index in range(1000)])
    said = dmdd_edge("drift", "nan.jsonl").stderr.splitlines()
    assert said[0] == "None of 1000 frames has a score that is a number: scores cannot be watched."
    assert said[1] == "/dev/video0: 1000 frames, none with a score that is a number."
    write(tmp_path / "few.jsonl", [result(index, look=None) for index in range(100)])
    assert dmdd_edge("drift", "few.jsonl").stderr.startswith("Too few frames: ")
    # 1000 frames are enough, but only 100 of their parts pass.
    rare = [result(index, look=None, status="anomalous" if index % 10 else "good") for index in range(1000)]
    write(tmp_path / "rare.jsonl", rare)
    assert dmdd_edge("drift", "rare.jsonl").stderr.startswith("Too few parts that pass, 100 in 1000 frames:")


def test_of_many_inspections_the_rest_is_counted(tmp_path: Path, dmdd_edge: Run) -> None:
    write(tmp_path / "many.jsonl", [result(0, source=f"rtsp://cam{at}") for at in range(300)])
    done = dmdd_edge("drift", "many.jsonl", "--report", "page.html")
    lines = done.stderr.splitlines()
    assert len(lines) == 1 + 20 + 1 + 2
    assert lines[21] == "280 more inspections, 0 of them with a warning; --json lists them"
    text = (tmp_path / "page.html").read_text()
    assert text.count("<h2") == 200
    assert "100 more inspections are not shown" in text
    assert len(json.loads(dmdd_edge("drift", "many.jsonl", "--json").stdout)["inspections"]) == 300
