"""The command: what it prints, its exit codes, its keys, and the command that follows."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import CollectOptions
from dmdd_edge.cli.collect_keys import Keys
from dmdd_edge.runtime.collect.collect import Collected, OpenCollection
from dmdd_edge.runtime.collect.taking import Wish
from tests.runtime.collect.parts import folder_of, part, shot
from tests.runtime.forked import Forked

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def collect(tmp_path: Path, forked: Forked) -> Program:
    """Runs the command in a folder with ``shots/``: ten good parts, one of them twice."""
    images = {f"{seed}.png": part(seed) for seed in range(10)}
    folder_of(tmp_path / "shots", {**images, "again.png": shot(part(4), 88)})

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return forked.run(["collect", *arguments], tmp_path, 300)

    return run


def test_the_result_is_first_and_the_next_command_last(collect: Program, tmp_path: Path) -> None:
    done = collect("--source", "shots", "--into", "parts/my bracket", "--target", "12", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["images"], document["target"], document["ended_by"]) == (10, 12, "source")
    assert document["refused"] == {"repeated": 1}
    lines = done.stderr.splitlines()
    assert "10 good images in parts/my bracket (target 12)" in lines
    assert "refused: 1 repeated" in lines
    assert any(line.startswith("shots/again.png refused: the same shot as 000005: ") for line in lines)
    assert shlex.split(lines[-1].removeprefix("next: ")) == [
        "dmdd-edge",
        "train",
        "--data",
        "parts/my bracket",
    ]


def test_a_set_that_a_run_knows_is_continued_from_it(collect: Program, tmp_path: Path) -> None:
    collect("--source", "shots", "--into", "parts/bracket", "--target", "6")
    run = tmp_path / "runs" / "bracket"
    run.mkdir(parents=True)
    facts = {"root": str(tmp_path / "parts/bracket"), "train": ["000001.png"] * 5, "holdout": ["000006.png"]}
    (run / "run.json").write_text(json.dumps(facts))
    done = collect("--source", "shots", "--into", "parts/bracket")
    assert done.stderr.splitlines()[-2:] == [
        "run bracket has learned from 6 of these 10 images",
        "next: dmdd-edge train --continue bracket --add parts/bracket",
    ]


def test_a_run_of_the_same_name_is_not_overwritten(collect: Program, tmp_path: Path) -> None:
    (tmp_path / "runs" / "bracket").mkdir(parents=True)
    (tmp_path / "runs" / "bracket" / "run.json").write_text("{")
    done = collect("--source", "shots", "--into", "parts/bracket")
    assert done.stderr.splitlines()[-1] == "next: dmdd-edge train --data parts/bracket --run bracket_10"


def test_mistakes_are_one_message_with_a_fix(collect: Program, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, code, message in (
        (("--source", "shots", "--into", "file"), 1, "error: --into file is a file, not a folder."),
        (("--source", "shots", "--into", "shots"), 1, "error: --into shots is the source."),
        (("--source", "drawn:plate", "--into", "x"), 1, "error: Nobody can ask for an image: "),
        (("--source", "shots"), 2, "A folder is missing."),
    ):
        done = collect(*arguments)
        assert done.returncode == code, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_a_source_without_a_usable_image_fails(collect: Program, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no image")
    done = collect("--source", "broken", "--into", "x")
    assert done.returncode == 1
    assert "error: No image could be read; the first: " in done.stderr


def test_the_keys_of_a_terminal_take_remove_and_end(tmp_path: Path) -> None:
    shots = folder_of(tmp_path / "shots", {f"{seed}.png": part(seed) for seed in range(6)})
    options = CollectOptions(source=f"images:{shots}?fps=20", into=tmp_path / "set")
    ours, theirs = pty.openpty()

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    outcomes: list[Collected] = []
    with OpenCollection(options, lambda line: None, Wish()) as collection, Keys(collection, theirs) as keys:
        assert keys.help.startswith("space or Enter takes an image")
        running = threading.Thread(
            target=lambda: outcomes.append(collection.process(stop=lambda: keys.ended))
        )
        running.start()
        for key, count in ((b" ", 1), (b"\r", 2), (b"u", 1)):
            os.write(ours, key)
            until(lambda count=count: len(collection.collector) == count)  # type: ignore[misc]
        os.write(ours, b"q")
        running.join(60)
    os.close(ours)
    os.close(theirs)
    (outcome,) = outcomes
    assert (outcome.counts.images, outcome.ended_by) == (1, "stop")
    assert [path.name for path in (tmp_path / "set").glob("*.png")] == ["000001.png"]
