"""Results files that somebody removes, moves or cuts while a run writes them."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import line_file
from dmdd_edge.runtime.sinks.csv_file import CsvFile
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.video import Video
from dmdd_edge.runtime.summary import RunStatistics
from dmdd_edge.runtime.writer import Writer

MakeResult = Callable[..., "tuple[Frame, Result]"]


def _remove(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


def _move(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.touch()
    other.replace(path)


def _cut(path: Path) -> None:
    path.write_bytes(b"")


def _indices(path: Path) -> list[int]:
    return [int(row["index"]) for row in csv.DictReader(path.read_text().splitlines())]


@pytest.mark.parametrize("take", [_remove, _move, _replace, _cut])
def test_a_live_run_continues_in_a_new_file(
    tmp_path: Path, make_result: MakeResult, take: Callable[[Path], None]
) -> None:
    path, notes = tmp_path / "out" / "r.csv", list[str]()
    sink = CsvFile(path, FileOptions(live=True, existing="append", note=notes.append))
    sink.result(*make_result(index=0))
    take(path)
    for index in (1, 2):
        sink.result(*make_result(index=index))
    sink.close()
    assert _indices(path) == [1, 2], "with its own header"
    assert len(notes) == (take is not _cut)


@pytest.mark.parametrize("take", [_remove, _replace, _cut])
@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_run_over_files_ends_and_is_resumed(
    tmp_path: Path, make_result: MakeResult, take: Callable[[Path], None], at_the_end: bool
) -> None:
    path = tmp_path / "out" / "r.csv"
    sink = CsvFile(path, FileOptions())
    sink.result(*make_result(index=0))
    take(path)
    with pytest.raises(DmddError, match="while the run wrote to it") as caught:
        sink.close() if at_the_end else sink.result(*make_result(index=1))
    assert "--resume" in caught.value.fix


def test_a_half_written_line_is_whole_in_the_new_file(
    tmp_path: Path, make_result: MakeResult, disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_file, "RETRY", 0.0)
    path = tmp_path / "out" / "r.csv"
    sink = CsvFile(path, FileOptions(live=True, existing="append", note=str))
    disk.free = 150
    sink.result(*make_result(index=0))
    disk.free = None
    _move(path)
    sink.retry()
    sink.close()
    assert _indices(path) == [0]
    assert sink.lost == 0


def test_what_waits_for_the_disk_is_written_although_no_frame_comes(
    tmp_path: Path, make_result: MakeResult, disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_file, "RETRY", 0.0)
    monkeypatch.setattr("dmdd_edge.runtime.writer._IDLE", 0.01)
    written: list[str] = []
    sink = CsvFile(tmp_path / "r.csv", FileOptions(live=True, existing="append", note=written.append))
    disk.free = 0
    sink.result(*make_result(index=0))
    disk.free = None
    writer = Writer([sink], RunStatistics("cpu"))
    until = time.monotonic() + 60
    while len(written) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert _indices(tmp_path / "r.csv") == [0]
    writer.close()


def test_a_video_that_was_moved_is_followed_by_a_new_one(tmp_path: Path, make_result: MakeResult) -> None:
    path, notes = tmp_path / "out" / "v.avi", list[str]()
    sink = Video(path, 10, options=FileOptions(live=True, existing="append", note=notes.append))
    sink.result(*make_result(index=0))
    _move(path)
    sink.result(*make_result(index=1))
    sink.close()
    assert path.stat().st_size > 0
    assert (tmp_path / "moved" / "v.avi").stat().st_size > 0
    assert "A new video is begun" in notes[0]
