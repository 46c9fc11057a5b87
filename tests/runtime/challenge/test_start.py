"""The challenge set in a run: its line at the start, and what another threshold or version would lose."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import BundleError, Detector, RunOptions, run_source
from dmdd_edge.bundle.bundle import Bundle, use_version
from dmdd_edge.runtime.challenge.edit import add_parts
from dmdd_edge.runtime.challenge.start import remark
from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.sources import open_source
from tests.runtime.delivery.delivery_broker import Broker, Listener
from tests.runtime.delivery.delivery_receiver import Receiver
from tests.runtime.delivery.delivery_results import wait_until

AtThreshold = Callable[..., Bundle]
Run = Callable[..., Any]


@pytest.fixture
def options(at_threshold: AtThreshold, images: Path, tmp_path: Path) -> RunOptions:
    """A run of a good part with a set of two parts, of which the threshold of 0.7 finds one."""
    bundle = at_threshold(0.7)
    add_parts(bundle.path.parent, [images / "faint.png", images / "deep.png"])
    return RunOptions(
        source=str(images / "clear.png"),
        models_dir=tmp_path / "models",
        backend="cpu",
        jsonl=tmp_path / "results.jsonl",
        challenge=True,
    )


def test_its_line_comes_first_and_a_lost_part_fails_the_run(options: RunOptions, tmp_path: Path) -> None:
    said: list[str] = []
    outcome = run_source(options, say=said.append)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["challenge", "result", "summary"]
    assert (lines[0]["total"], lines[0]["found"], lines[0]["lost"]) == (2, 1, ["faint"])
    assert lines[0]["passed"] is False
    assert said[0] == (
        "challenge: 1 of 2 known-bad parts found at threshold 0.7000; NOT found: faint (missed, score 0.6000)"
    )
    assert outcome.verdict.failed == {"known-bad parts not found": 1}
    assert not outcome.verdict.passed
    # Where all are found, the run passes; and a file that begins with such a line is continued.
    again = run_source(options.__class__(**{**options.values(), "threshold": 0.55, "overwrite": True}))
    assert again.verdict.passed
    resumed = run_source(options.__class__(**{**options.values(), "threshold": 0.55, "resume": True}))
    assert resumed.resumed == 1


def test_an_empty_set_ends_the_run_before_it_writes(
    at_threshold: AtThreshold, images: Path, tmp_path: Path
) -> None:
    at_threshold(0.5)
    file = tmp_path / "results.jsonl"
    with pytest.raises(BundleError, match="is empty, so nothing was checked"):
        run_source(RunOptions(source=str(images), models_dir=tmp_path / "models", jsonl=file, challenge=True))
    assert not file.exists()


def test_the_line_goes_to_a_webhook_although_only_anomalies_are_wanted(
    options: RunOptions, tmp_path: Path
) -> None:
    receiver = Receiver()
    try:
        values = {**options.values(), "webhook": receiver.url, "spool": tmp_path / "spool"}
        run_source(options.__class__(**values))
        (first, *_) = (request.message for request in receiver.accepted)
    finally:
        receiver.close()
    assert (first["type"], first["found"], first["total"]) == ("challenge", 1, 2)
    assert first["category"] == "screw"
    assert first["id"]


def test_the_line_goes_to_mqtt(options: RunOptions, tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    broker.start()
    listener = Listener(broker.port)
    try:
        listener.connect()
        address = f"mqtt://127.0.0.1:{broker.port}/line1"
        run_source(options.__class__(**{**options.values(), "mqtt": address, "spool": tmp_path / "spool"}))
        wait_until(lambda: len(listener.messages("line1")) == 3)
        first = listener.messages("line1")[0]
    finally:
        listener.close()
        broker.stop()
    assert (first["type"], first["lost"]) == ("challenge", ["faint"])


def test_recorded_scores_say_what_a_threshold_loses(
    at_threshold: AtThreshold, images: Path, run: Run
) -> None:
    bundle = at_threshold(0.5)
    assert remark(bundle, 0.99) == ""  # no set
    add_parts(bundle.path.parent, [images / "faint.png"])
    assert remark(bundle, 0.5).startswith(f"1 challenge parts have no score with {bundle.version}; run them:")
    run("challenge", "run")
    assert remark(bundle, 0.59) == ""
    assert remark(bundle, 0.61) == (
        "Challenge parts that threshold 0.6100 does not find: faint (score 0.6000)."
    )
    (bundle.path.parent / "challenge" / "index.json").write_text("{")
    assert remark(bundle, 0.1).startswith("The challenge set cannot be read:")


def test_a_change_during_a_run_says_what_it_loses(at_threshold: AtThreshold, images: Path, run: Run) -> None:
    new, old = at_threshold(0.5), at_threshold(0.5)
    run("challenge", "add", images / "faint.png")
    said: list[str] = []

    def load() -> Detector:
        return Detector.load(old.path.parent, "cpu")

    control = RunControl(load(), open_source(str(images)), load, said.append)
    control.set_threshold(0.65)
    control.set_threshold(0.5)
    # Put to use by a program that asks no challenge set.
    use_version(old.path.parent.parent, "screw", new.version)
    control.request_reload()
    control.reload_if_requested()
    control.take_new()
    control.detector.close()
    assert said[0] == (
        "threshold 0.5000 -> 0.6500 for the rest of this run. "
        "Challenge parts that threshold 0.6500 does not find: faint (score 0.6000)."
    )
    assert said[1] == "threshold 0.6500 -> 0.5000 for the rest of this run"
    assert f"1 challenge parts have no score with {new.version}" in said[2]


def test_a_threshold_option_says_what_it_loses(options: RunOptions, run: Run) -> None:
    run("challenge", "run", code=3)
    said: list[str] = []
    given = {**options.values(), "threshold": 0.8, "challenge": False}
    run_source(options.__class__(**given), say=said.append)
    assert said[0] == "Challenge parts that threshold 0.8000 does not find: faint (score 0.6000)."
