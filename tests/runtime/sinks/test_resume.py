"""Exactly once, however often a run over files is killed and started again."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.csv_file import CsvFile
from dmdd_edge.runtime.sinks.file_options import FileOptions, existing_policy
from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile
from dmdd_edge.runtime.sinks.resume import Done, ResumeState
from dmdd_edge.runtime.summary import RunStatistics

MakeResult = Callable[..., "tuple[Frame, Result]"]

RESUME = FileOptions(existing="resume")


def _kill(*arguments: object) -> dict[str, int]:
    script = Path(__file__).with_name("killed_runs.py")
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    assert _kill("random", tmp_path, 7, 6)["kills"] == 6


@pytest.mark.slow
def test_killed_at_fifty_random_moments(tmp_path: Path) -> None:
    assert _kill("random", tmp_path, 8, 50)["kills"] == 50


@pytest.mark.slow
def test_killed_at_a_choice_of_the_steps(tmp_path: Path) -> None:
    # A run of ten frames takes some 75 steps; it is killed before, or in the middle of, each 17th.
    assert _kill("everywhere", tmp_path / "run", 17, 10)["kills"] >= 8


@pytest.mark.slow
def test_killed_at_every_single_step(tmp_path: Path) -> None:
    # Five frames have all kinds of steps: images, a video, a broken frame, a second file of lines, of rows.
    assert _kill("everywhere", tmp_path / "run", 1, 5)["kills"] >= 60


def _sources(path: Path) -> list[str]:
    return [json.loads(line)["source"] for line in path.read_text().splitlines() if '"source"' in line]


def test_a_torn_last_line_is_cut_off(tmp_path: Path, make_result: MakeResult) -> None:
    lines, rows = tmp_path / "results.jsonl", tmp_path / "results.csv"
    for kind, path in ((JsonLinesFile, lines), (CsvFile, rows)):
        sink = kind(path)
        for index in range(3):
            sink.result(*make_result(name=f"{index}.png", index=index))
        sink.close()
        whole = path.read_bytes()
        last = whole.splitlines(keepends=True)[-1]
        # A write that was cut short, and the zeros that a loss of power may leave behind it.
        for rest in (last[: len(last) // 2], last[:-1], b"\0" * 5000, last[:9] + b"\0" * 70_000):
            path.write_bytes(whole + rest)
            again = kind(path, RESUME)
            state = ResumeState([again.done])
            assert [state.skip(f"images/{index}.png", index) for index in range(4)] == [True] * 3 + [False]
            again.close()
            assert path.read_bytes() == whole


def test_a_torn_first_line_too(tmp_path: Path, make_result: MakeResult) -> None:
    for kind, name in ((JsonLinesFile, "results.jsonl"), (CsvFile, "results.csv")):
        sink = kind(tmp_path / name)
        sink.result(*make_result())
        sink.close()
        whole = (tmp_path / name).read_bytes()
        for length in (1, 8, 40):
            (tmp_path / name).write_bytes(whole[:length])
            again = kind(tmp_path / name, RESUME)
            again.result(*make_result())
            again.close()
            assert (tmp_path / name).read_bytes() == whole


def test_a_frame_that_only_one_file_has_is_written_to_the_other_alone(
    tmp_path: Path, make_result: MakeResult, broken: BrokenFrame
) -> None:
    lines, rows = JsonLinesFile(tmp_path / "results.jsonl"), CsvFile(tmp_path / "results.csv")
    frames = [make_result(name=f"{index}.png", index=index) for index in range(4)]
    error = BrokenFrame("images/4.png", 4, broken.error)
    for frame, result in frames:
        lines.result(frame, result)
    lines.broken(error)
    for frame, result in frames[:2]:
        rows.result(frame, result)
    lines.close()
    rows.close()

    lines, rows = JsonLinesFile(tmp_path / "results.jsonl", RESUME), CsvFile(tmp_path / "results.csv", RESUME)
    state = ResumeState([lines.done, rows.done])
    assert [state.skip(f"images/{index}.png", index) for index in range(6)] == [True] * 2 + [False] * 4
    assert state.skipped == {"anomalous": 2}
    for frame, result in [*frames[2:], make_result(name="5.png", index=5)]:
        lines.result(frame, result)
        rows.result(frame, result)
    lines.broken(error)
    rows.broken(error)
    lines.close()
    rows.close()
    assert sorted(_sources(tmp_path / "results.jsonl")) == [f"images/{index}.png" for index in range(6)]
    with (tmp_path / "results.csv").open(newline="") as stream:
        assert sorted(row["source"] for row in csv.DictReader(stream)) == [
            f"images/{index}.png" for index in range(6)
        ]


def test_lines_stand_for_the_frames_of_a_source_in_order() -> None:
    done = Done()
    for source, status in (("v.mp4", "good"), ("a.png", "error"), ("v.mp4", "anomalous")):
        done.add(source, status)
    state = ResumeState([done])
    asked = [("v.mp4", 0), ("new.png", 1), ("a.png", 2), ("v.mp4", 3), ("a.png", 4), ("v.mp4", 5)]
    # An image that was added in between replaces no other; a path that comes again is another frame.
    assert [state.skip(*frame) for frame in asked] == [True, False, True, True, False, False]
    assert state.skipped == {"good": 1, "error": 1, "anomalous": 1}
    assert not done


def test_a_run_that_is_not_resumed_skips_nothing(tmp_path: Path, make_result: MakeResult) -> None:
    append = FileOptions(live=True, existing="append")
    for _ in range(2):
        sink = JsonLinesFile(tmp_path / "results.jsonl", append)
        assert not ResumeState([sink.done]).skip("images/a/0.png", 4)
        sink.result(*make_result())
        sink.close()
    assert len(_sources(tmp_path / "results.jsonl")) == 2


def test_a_summary_ends_each_run_and_a_finished_one_stays_as_it_is(
    tmp_path: Path, make_result: MakeResult
) -> None:
    path = tmp_path / "results.jsonl"

    def run(names: list[str], options: FileOptions = RESUME) -> list[str]:
        sink = JsonLinesFile(path, options)
        state = ResumeState([sink.done])
        for index, name in enumerate(names):
            frame, result = make_result(name=name, index=index)
            if not state.skip(frame.source, index):
                sink.result(frame, result)
        sink.summary(RunStatistics("cpu").summary())
        sink.close()
        return [json.loads(line)["type"] for line in path.read_text().splitlines()]

    assert run(["a.png"]) == ["result", "summary"]
    assert run(["a.png"]) == ["result", "summary"]
    assert run(["a.png", "b.png"]) == ["result", "summary", "result", "summary"]
    # A run killed before its summary gets it when it is resumed, even when no frame is left.
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:1]))
    assert run(["a.png"]) == ["result", "summary"]


def test_earlier_results_are_neither_mixed_nor_overwritten_unasked(
    tmp_path: Path, make_result: MakeResult
) -> None:
    path = tmp_path / "results.csv"

    def write(**options: Any) -> int:
        sink = CsvFile(path, FileOptions(**options))
        sink.result(*make_result())
        sink.close()
        return path.read_text().count("images/")

    assert write() == 1
    with pytest.raises(DmddError, match="earlier run") as caught:
        write()
    assert "--resume" in caught.value.fix
    assert "--overwrite" in caught.value.fix
    assert write(existing="append") == 2
    assert write(existing="replace") == 1
    path.rename(tmp_path / "results.000001.csv")
    with pytest.raises(DmddError, match="earlier run"):  # a rotated part is results just as well
        write()
    (tmp_path / "results.000002.csv").write_text("somebody's\n")
    assert write(existing="replace") == 1
    assert not (tmp_path / "results.000001.csv").exists()
    assert (tmp_path / "results.000002.csv").read_text() == "somebody's\n"


@pytest.mark.parametrize("content", ["{}\n", "my notes\n", "my no", "[1, 2]\n", "a,b\n1,2\n"])
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, content: str) -> None:
    for kind in (JsonLinesFile, CsvFile):
        path = tmp_path / f"{kind.__name__}.txt"
        path.write_text(content)
        for existing in ("resume", "append", "refuse"):
            options = FileOptions(existing=existing)  # type: ignore[arg-type]
            with pytest.raises(DmddError, match=r"not a results file|earlier run"):
                kind(path, options)
        assert path.read_text() == content


def test_what_is_done_about_earlier_results() -> None:
    assert existing_policy(live=True, resume=False, overwrite=False) == "append"
    assert existing_policy(live=False, resume=False, overwrite=False) == "refuse"
    assert existing_policy(live=False, resume=True, overwrite=False) == "resume"
    assert existing_policy(live=True, resume=False, overwrite=True) == "replace"
    with pytest.raises(DmddError, match="contradict"):
        existing_policy(live=False, resume=True, overwrite=True)
    with pytest.raises(DmddError, match="cannot repeat its frames"):
        existing_policy(live=True, resume=True, overwrite=False)
