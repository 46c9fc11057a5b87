"""The challenge sets of a station: a lost part is a fault, until somebody clears it."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.challenge.edit import add_parts
from dmdd_edge.runtime.station.challenge import StationChallenge
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.plc.client import PlcClient
from dmdd_edge.runtime.station.recipes import StationRecipes
from tests.runtime.conftest import picture
from tests.runtime.delivery.delivery_receiver import Receiver
from tests.runtime.forked import Forked
from tests.runtime.station.constant_bundles import Reports, put_in_force, station_settings
from tests.runtime.station.program import TEXT, Process

Make = Callable[..., Bundle]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A known-bad part with a score of 0.6."""
    path = tmp_path / "faint.png"
    cv2.imwrite(str(path), picture(patch=153))
    return path


def at_threshold(make_bundle: Make, threshold: float, category: str = "screw") -> Bundle:
    return make_bundle(category, threshold=threshold_from_normals([threshold / 2, threshold]))


def test_only_bundles_that_are_loaded_are_run(make_bundle: Make, part: Path, tmp_path: Path) -> None:
    for category, threshold in (("screw", 0.7), ("bolt", 0.5), ("nut", 0.5)):
        bundle = at_threshold(make_bundle, threshold, category)
        if category != "nut":
            add_parts(bundle.path.parent, [part])
    settings = station_settings(
        tmp_path,
        {"lid": "screw", "loose": {"category": "screw", "threshold": 0.55}, "head": "bolt", "ring": "nut"},
        {1: ["lid", "loose"], 2: ["head", "ring"]},
    )
    told: list[tuple[list[dict[str, Any]], str]] = []
    said: list[str] = []
    reports = Reports()
    challenge = StationChallenge(lambda lines, problem: told.append((lines, problem)), said.append)
    book = StationRecipes(settings, reports, challenge)
    try:
        for number in (1, 2, 1):
            put_in_force(book, reports, number)
    finally:
        book.close()
    found = [[(line["inspection"], line["recipe"], line["found"]) for line in lines] for lines, _ in told]
    assert found == [[("lid", 1, 0), ("loose", 1, 1)], [("head", 2, 1)], []]
    lost = "The challenge set of lid: not found: faint."
    assert [problem for _, problem in told] == [lost, "", lost]
    assert "ring: the challenge set of nut is empty." in said


def test_a_set_that_cannot_be_run_is_a_problem_and_the_recipe_is_loaded(
    make_bundle: Make, part: Path, tmp_path: Path
) -> None:
    bundle = at_threshold(make_bundle, 0.5)
    add_parts(bundle.path.parent, [part])
    (bundle.path.parent / "challenge" / "index.json").write_text("{")
    told: list[str] = []
    reports = Reports()
    book = StationRecipes(
        station_settings(tmp_path, {"lid": "screw"}, {1: ["lid"]}),
        reports,
        StationChallenge(lambda lines, problem: told.append(problem), lambda line: None),
    )
    try:
        put_in_force(book, reports, 1)
    finally:
        book.close()
    assert len(told) == 1
    assert "it cannot be run" in told[0]
    assert "index.json is damaged" in told[0]


@pytest.mark.slow
def test_no_part_is_accepted_until_the_fault_is_cleared(
    make_bundle: Make, part: Path, tmp_path: Path, forked: Forked, dmdd_edge: Program
) -> None:
    bundle = at_threshold(make_bundle, 0.7)
    add_parts(bundle.path.parent, [part])
    (tmp_path / "parts").mkdir()
    cv2.imwrite(str(tmp_path / "parts" / "good.png"), picture())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    receiver = Receiver()
    text = f"challenge = true\n{TEXT.format(port=port)}webhook = {json.dumps(receiver.url)}\n"
    (tmp_path / "line1.toml").write_text(text)
    try:
        with Process(forked, tmp_path, "--quiet") as station:
            station.ready()
            with PlcClient("127.0.0.1", port) as plc:
                assert plc.wait_for(lambda status: bool(status["Fault"]), 60)
                assert plc.status["ErrorCode"] == ErrorCode.CHALLENGE_LOST
                assert not plc.wait_for(lambda status: bool(status["Ready"]), 0.5)
                plc.exchange(ClearError=1)
                assert plc.wait_for(lambda status: bool(status["Ready"]), 60)
                plc.exchange(ClearError=0)
                (verdict,) = plc.run(range(1, 2), 0.0, patience=60)
            # Before a shift, while the station runs.
            done = dmdd_edge("station", "challenge", "line1.toml", "--json")
            assert station.end() == 0
        kinds = [request.message["type"] for request in receiver.accepted]
    finally:
        receiver.close()
    assert kinds.count("challenge") == 2
    assert verdict.verdict == "Pass"
    lines = [json.loads(line) for line in (tmp_path / "line1.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["challenge", "part", "summary"]
    assert (lines[0]["inspection"], lines[0]["found"], lines[0]["lost"]) == ("lid", 0, ["faint"])
    assert done.returncode == 3
    assert json.loads(done.stdout)["found"] == 0
    assert "\nline1: 0 of 1 known-bad part found\n" in done.stderr


def test_the_command_answers_for_each_inspection(
    make_bundle: Make, part: Path, tmp_path: Path, dmdd_edge: Program
) -> None:
    bundle = at_threshold(make_bundle, 0.5)
    (tmp_path / "line1.toml").write_text(TEXT.format(port=5020))
    done = dmdd_edge("station", "challenge", "line1.toml")
    assert done.returncode == 1
    assert "No inspection of line1 has a challenge set" in done.stderr
    add_parts(bundle.path.parent, [part])
    done = dmdd_edge("station", "challenge", "line1.toml")
    assert (done.returncode, done.stderr.splitlines()[:2]) == (
        0,
        ["line1: 1 of 1 known-bad part found", "lid: challenge: 1 of 1 known-bad part found"],
    )
    (bundle.path.parent / "challenge" / "faint.png").unlink()
    assert dmdd_edge("station", "challenge", "line1.toml").returncode == 3
    (bundle.path.parent / "challenge" / "index.json").write_text("{")
    done = dmdd_edge("station", "challenge", "line1.toml")
    assert done.returncode == 1
    assert "index.json is damaged" in done.stderr
