"""A disk that rejects writes: live runs continue, runs over files wait; losses are counted."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import file_options, line_file
from dmdd_edge.runtime.sinks.csv_file import CsvFile
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile
from dmdd_edge.runtime.sinks.overlays import Overlays

MakeResult = Callable[..., "tuple[Frame, Result]"]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between tries."""
    monkeypatch.setattr(line_file, "RETRY", 0.0)
    monkeypatch.setattr(file_options, "PAUSE", 0.0)


def _indices(path: Path) -> list[int]:
    text = path.read_text()
    assert text.endswith("\n")
    if path.suffix == ".csv":
        return [int(row["index"]) for row in csv.DictReader(text.splitlines())]
    return [json.loads(line)["index"] for line in text.splitlines()]


@pytest.mark.parametrize("free", [0, 1, 150, 700])
@pytest.mark.parametrize("kind", [JsonLinesFile, CsvFile])
def test_a_live_run_continues_and_its_lines_follow_in_order(
    tmp_path: Path, make_result: MakeResult, disk: Any, kind: Any, free: int
) -> None:
    notes: list[str] = []
    path = tmp_path / "results.csv" if kind is CsvFile else tmp_path / "results.jsonl"
    sink = kind(path, FileOptions(live=True, existing="append", note=notes.append))
    disk.free = free
    for index in range(10):
        sink.result(*make_result(index=index))
    disk.free = None
    sink.result(*make_result(index=10))
    assert _indices(path) == list(range(11))
    sink.close()
    assert sink.lost == 0
    assert len(notes) == 2
    assert "No space left" in notes[0]
    assert "no result is lost" in notes[1]


@pytest.mark.parametrize("free", [0, 150])
def test_what_the_bound_drops_is_the_oldest_and_is_counted(
    tmp_path: Path, make_result: MakeResult, disk: Any, free: int
) -> None:
    notes: list[str] = []
    options = FileOptions(live=True, existing="append", backlog=4, note=notes.append)
    sink = JsonLinesFile(tmp_path / "results.jsonl", options)
    sink.result(*make_result(index=0))
    disk.free = free
    for index in range(1, 10):
        sink.result(*make_result(index=index))
        assert _indices(tmp_path / "results.jsonl") == [0], "of a line that does not fit nothing remains"
    assert sink.lost == 5
    disk.free = None
    sink.result(*make_result(index=10))
    sink.close()
    assert _indices(tmp_path / "results.jsonl") == [0, 6, 7, 8, 9, 10]
    assert sink.lost == 5
    assert [note for note in notes if "5 results are lost" in note]


def test_a_live_run_that_ends_on_a_full_disk_leaves_no_torn_line(
    tmp_path: Path, make_result: MakeResult, disk: Any
) -> None:
    notes: list[str] = []
    options = FileOptions(live=True, existing="append", note=notes.append)
    sink = JsonLinesFile(tmp_path / "results.jsonl", options)
    sink.result(*make_result(index=0))
    disk.free = 100
    for index in range(1, 4):
        sink.result(*make_result(index=index))
    sink.close()
    assert _indices(tmp_path / "results.jsonl") == [0]
    assert sink.lost == 3
    assert "3 results" in notes[-1]


def test_rotation_on_a_full_disk(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file cannot be made for a while: the lines wait for it."""
    path = tmp_path / "results.jsonl"
    sink = JsonLinesFile(path, FileOptions(live=True, existing="append", rotate=1000))
    refused = []
    real = os.open

    def open_none(name: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_CREAT and len(refused) < 3:
            refused.append(name)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(name, flags, *rest)

    monkeypatch.setattr(os, "open", open_none)
    for index in range(10):
        sink.result(*make_result(index=index))
    sink.close()
    assert len(refused) == 3
    files = [*sorted(tmp_path.glob("results.*.jsonl")), path]
    assert [index for file in files for index in _indices(file)] == list(range(10))


@pytest.mark.parametrize("free", [0, 150])
def test_a_run_over_files_waits_for_space(
    tmp_path: Path, make_result: MakeResult, disk: Any, free: int
) -> None:
    notes: list[str] = []

    def wait() -> bool:
        disk.free = None  # somebody frees some while the run waits
        return False

    options = FileOptions(stopping=wait, note=notes.append)
    sinks = (
        Overlays(tmp_path / "out", tmp_path / "images", options=options),
        JsonLinesFile(tmp_path / "results.jsonl", options),
    )
    for index in range(4):
        for sink in sinks:
            if index in (1, 2):
                disk.free = free
            sink.result(*make_result(index=index, name=f"{index}.png"))
    assert _indices(tmp_path / "results.jsonl") == [0, 1, 2, 3]
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert "waits up to 60 s" in notes[0]
    assert "can be written again" in notes[1]
    assert len(notes) == 8


@pytest.mark.parametrize("free", [0, 150])
def test_a_run_over_files_ends_with_what_to_do_and_is_resumed(
    tmp_path: Path, make_result: MakeResult, disk: Any, free: int
) -> None:
    path = tmp_path / "results.jsonl"
    sink = JsonLinesFile(path, FileOptions(patience=0.0, note=lambda text: None))
    sink.result(*make_result(index=0, name="0.png"))
    disk.free = free
    with pytest.raises(DmddError, match="No space left") as caught:
        sink.result(*make_result(index=1, name="1.png"))
    assert "--resume" in caught.value.fix
    sink.close()
    assert _indices(path) == [0]
    disk.free = None
    again = JsonLinesFile(path, FileOptions(existing="resume"))
    assert again.done.take("images/0.png") == "anomalous"
    assert again.done.take("images/1.png") is None
    again.result(*make_result(index=1, name="1.png"))
    again.close()
    assert _indices(path) == [0, 1]


def test_a_user_who_ends_the_run_does_not_wait(tmp_path: Path, make_result: MakeResult, disk: Any) -> None:
    sink = JsonLinesFile(
        tmp_path / "results.jsonl", FileOptions(stopping=lambda: True, note=lambda text: None)
    )
    disk.free = 0
    with pytest.raises(DmddError, match="No space left"):
        sink.result(*make_result())
    sink.close()


def test_what_does_not_pass_is_not_waited_for(tmp_path: Path, make_result: MakeResult, disk: Any) -> None:
    notes: list[str] = []
    sink = JsonLinesFile(tmp_path / "results.jsonl", FileOptions(note=notes.append))
    disk.free, disk.error = 0, errno.EPERM
    with pytest.raises(DmddError, match="not permitted"):
        sink.result(*make_result())
    sink.close()
    assert notes == []


def test_a_live_run_does_without_images(tmp_path: Path, make_result: MakeResult, disk: Any) -> None:
    notes: list[str] = []
    sink = Overlays(tmp_path / "out", tmp_path / "images", options=FileOptions(live=True, note=notes.append))
    sink.result(*make_result(name="0.png"))
    disk.free = 100
    sink.result(*make_result(name="1.png"))
    sink.result(*make_result(name="2.png"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0.png"}, "nothing half written is left"
    disk.free = None
    sink.result(*make_result(name="3.png"))
    sink.close()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0.png", "3.png"}
    assert (sink.written, sink.lost) == (2, 2)
    assert "No space left" in notes[0]
    assert "2 files are lost" in notes[1]
    assert "2 files could not be written" in notes[2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small file system needs root")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_real_disk_that_fills_up(small_disk: Path, make_result: MakeResult) -> None:
    other = small_disk / "somebody-elses"
    other.write_bytes(b"\0" * 200_000)
    options = FileOptions(live=True, existing="append", rotate=20_000, note=lambda text: None)
    lines = JsonLinesFile(small_disk / "results.jsonl", options)
    rows = CsvFile(small_disk / "results.csv", options)
    for index in range(300):
        for sink in (lines, rows):
            sink.result(*make_result(index=index))
    assert shutil.disk_usage(small_disk).free < 1000
    other.unlink()
    for sink in (lines, rows):
        sink.result(*make_result(index=300))
        sink.close()
        assert sink.lost == 0
    for suffix in (".jsonl", ".csv"):
        files = [*sorted(small_disk.glob(f"results.*{suffix}")), small_disk / f"results{suffix}"]
        assert [index for file in files for index in _indices(file)] == list(range(301))
