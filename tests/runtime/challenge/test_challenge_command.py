"""The commands of the challenge set: what they print, and their exit codes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import BundleError, OptionError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.quality import FrameLimits

AtThreshold = Callable[..., Bundle]
Run = Callable[..., Any]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_run_reports_each_part_and_its_margin(
    at_threshold: AtThreshold, images: Path, run: Run, journal: Callable[[], list[dict[str, Any]]]
) -> None:
    bundle = at_threshold(0.5)
    added = run("challenge", "add", images, "--note", "all kinds")
    assert [part["name"] for part in added["added"]] == ["clear", "deep", "faint"]
    assert added["report"]["lost"] == ["clear"]
    report = run("challenge", "run", code=3)
    assert {key: report[key] for key in ("type", "version", "total", "found", "lost", "passed")} == {
        "type": "challenge",
        "version": bundle.version,
        "total": 3,
        "found": 2,
        "lost": ["clear"],
        "passed": False,
    }
    outcomes = {part["name"]: (part["outcome"], part["margin"]) for part in report["parts"]}
    assert outcomes == {
        "faint": ("found", pytest.approx(0.1)),
        "deep": ("found", pytest.approx(0.5)),
        "clear": ("missed", pytest.approx(30 / 255 - 0.5)),
    }
    run("challenge", "remove", "clear")
    assert run("challenge", "run")["passed"] is True
    assert run("challenge", "run", "--threshold", "0.6001", code=3)["lost"] == ["faint"]
    assert [line.get("found", line["action"]) for line in journal()] == [2, "remove", 2, 1]


def test_a_box_says_whether_the_defect_itself_is_found(
    at_threshold: AtThreshold, images: Path, run: Run
) -> None:
    at_threshold(0.5)
    run("challenge", "add", images / "faint.png", "--box", "130,30,5,5")
    run("challenge", "add", images / "deep.png", "--box", "0,100,20,20")
    parts = {part["name"]: part for part in run("challenge", "run")["parts"]}
    assert (parts["faint"]["at_box"], parts["deep"]["at_box"]) == (True, False)
    with pytest.raises(OptionError, match="is not a box"):
        run("challenge", "add", images / "clear.png", "--box", "1,2,3")


def test_what_cannot_be_decided_is_not_found(at_threshold: AtThreshold, images: Path, run: Run) -> None:
    bright = FrameLimits(
        mean_min=0, mean_max=29, saturated_max=1, black_max=1, sharpness_min=0, images=9
    )  # both are brighter
    at_threshold(0.1, frame_limits=bright)
    run("challenge", "add", images / "clear.png", images / "deep.png")
    (images.parent / "models" / "screw" / "challenge" / "clear.png").write_bytes(b"")
    report = run("challenge", "run", code=3)
    assert [part["outcome"] for part in report["parts"]] == ["unreadable", "unreliable"]
    assert "altered" in report["parts"][0]["reason"]
    assert report["parts"][1]["reason"]
    assert report["lost"] == ["clear", "deep"]


def test_an_empty_set_is_no_pass(at_threshold: AtThreshold, run: Run) -> None:
    at_threshold(0.5)
    assert run("challenge", "list") == {"category": "screw", "parts": [], "strays": []}
    with pytest.raises(BundleError, match="is empty, so nothing was checked"):
        run("challenge", "run")


def test_for_a_person(at_threshold: AtThreshold, images: Path, dmdd_edge: Program) -> None:
    bundle = at_threshold(0.5)
    done = dmdd_edge("challenge", "add", images / "faint.png", images / "clear.png")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines[0] == "added 2 parts; the challenge set of screw has 2"
    assert (
        "not found now: clear; a change is refused for a part only once a version has found it"
        in " ".join(lines)
    )
    assert lines[-1] == "next: dmdd-edge challenge run --category screw"
    done = dmdd_edge("challenge", "run")
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    expected = (
        f"screw: 1 of 2 known-bad parts found by {bundle.version} at threshold 0.5000 (set at export), on cpu"
    )
    assert lines[0] == expected
    assert lines[2].split() == ["clear", "missed", "0.1176", "-0.3824"]
    assert lines[3].split() == ["faint", "found", "0.6000", "+0.1000"]
    done = dmdd_edge("challenge", "list")
    assert "the challenge set of screw has 2 parts, in models/screw/challenge" in done.stderr


def test_the_way_back_names_the_threshold_first(
    at_threshold: AtThreshold, images: Path, dmdd_edge: Program
) -> None:
    at_threshold(0.7)
    good = images.parent / "good"
    good.mkdir()
    (images / "clear.png").rename(good / "0.png")
    dmdd_edge("challenge", "add", images / "deep.png")
    for back, head in (("--undo", "threshold 0.7000, as exported"), ("--reset", "calibration removed;")):
        dmdd_edge("calibrate", "--source", "good", "--yes", "--backend", "cpu")
        if back == "--undo":
            listed = " ".join(dmdd_edge("calibrate", "--history").stderr.split())
            assert "50 % (1 % needs 99 good parts)" in listed  # of the one image
        lines = dmdd_edge("calibrate", back).stderr.splitlines()
        assert lines[0].startswith(f"screw: {head}")
        assert lines[1:3] == [
            "challenge: 1 of 1 known-bad part found, 1 before",
            "a run that works now takes it on SIGHUP, or at its next start",
        ]
