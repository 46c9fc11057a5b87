"""JSON lines to a standard output that is full, not read, or gone."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from dmdd_edge import DmddError
from dmdd_edge.messages import outlet as outlet_module
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import line_stream
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.json_lines import JsonLines

MakeResult = Callable[..., "tuple[Frame, Result]"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet_module, "RETRY", 0.01)
    monkeypatch.setattr(line_stream, "PAUSE", 0.01)
    monkeypatch.setattr(line_stream, "LAST_WAIT", 0.01)


@pytest.fixture
def pipe() -> Iterator[tuple[TextIO, TextIO]]:
    """Both ends; the writing one in a locale that knows ASCII alone."""
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as out, open(writing, "w", encoding="ascii") as into:  # noqa: PTH123
        yield out, into


def _until(so: Callable[[], bool]) -> None:
    waiting = threading.Event()
    while not so():
        waiting.wait(0.005)


def test_lines_are_utf8_in_any_locale(pipe: tuple[TextIO, TextIO], make_result: MakeResult) -> None:
    name = b"\xc3\xbc \xff.png".decode(errors="surrogateescape")
    JsonLines(pipe[1]).result(*make_result(name=name))
    assert json.loads(pipe[0].readline())["source"] == f"images/{name}"


def test_a_live_run_continues_while_nobody_reads_and_counts_what_it_drops(
    pipe: tuple[TextIO, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_stream, "STILL", 0.0)
    notes: list[str] = []
    stream = line_stream.LineStream(pipe[1], FileOptions(live=True, backlog=3, note=notes.append))
    stream.write(b"x" * 100_000 + b"\n")  # more than the pipe holds
    for number in range(10):
        stream.write(b"%d\n" % number)
    assert "up to 3 results wait in memory" in notes[0]
    assert len(pipe[0].readline()) == 100_001
    assert [pipe[0].readline() for _ in range(3)] == ["7\n", "8\n", "9\n"]
    monkeypatch.setattr(line_stream, "STILL", 60.0)
    _until(lambda: stream._outlet is not None and not stream._outlet.waiting)
    stream.write(b"last\n")
    stream.close()
    assert notes[1:] == ["Standard output is written again; 7 results are lost."]


def test_a_live_run_writes_later_what_a_full_disk_refused(tmp_path: Path) -> None:
    notes: list[str] = []
    path = tmp_path / "lines"
    with open("/dev/full", "w", encoding="utf-8") as full, path.open("w", encoding="utf-8") as disk:  # noqa: PTH123
        stream = line_stream.LineStream(full, FileOptions(live=True, note=notes.append))
        stream.write(b"1\n")
        _until(lambda: stream._outlet is not None and stream._outlet.error is not None)
        stream.write(b"2\n")
        os.dup2(disk.fileno(), full.fileno())
        _until(lambda: path.read_bytes() == b"1\n2\n")
        _until(lambda: stream._outlet is not None and not stream._outlet.waiting)
        stream.write(b"3\n")
        stream.close()
    assert path.read_bytes() == b"1\n2\n3\n"
    assert [note.split(".")[0] for note in notes] == [
        "Standard output cannot be written: No space left on device",
        "Standard output is written again; no result is lost",
    ]


def test_a_run_over_files_waits_then_ends_and_says_both(
    pipe: tuple[TextIO, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_stream, "STILL", 0.0)
    monkeypatch.setattr(line_stream, "READER_PATIENCE", 0.05)
    notes: list[str] = []
    stream = line_stream.LineStream(pipe[1], FileOptions(note=notes.append))
    with pytest.raises(DmddError, match="Nothing reads standard output; the run stops"):
        stream.write(b"x" * 100_000 + b"\n")
    stream.close()
    assert [note.split(".")[0] for note in notes] == ["Nothing has read standard output for 0 s"]
    assert "waits up to 0.05 s" in notes[0]
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        stream = line_stream.LineStream(full, FileOptions(patience=0.05, note=notes.append))
        with pytest.raises(DmddError, match="No space left"):
            stream.write(b"1\n")
        stream.close()
    assert "waits up to 0.05 s" in notes[1]


def test_the_wish_to_stop_ends_the_wait(pipe: tuple[TextIO, TextIO]) -> None:
    stream = line_stream.LineStream(pipe[1], FileOptions(stopping=lambda: True))
    with pytest.raises(DmddError, match="Nothing reads"):
        stream.write(b"x" * 100_000 + b"\n")
    stream.close()


@pytest.mark.parametrize("live", [False, True])
def test_a_reader_that_disconnects_ends_the_run(pipe: tuple[TextIO, TextIO], live: bool) -> None:
    pipe[0].close()
    notes: list[str] = []
    stream = line_stream.LineStream(pipe[1], FileOptions(live=live, note=notes.append))
    with pytest.raises(DmddError, match="closed by its reader; the run stops"):  # noqa: PT012
        stream.write(b"1\n")
        _until(lambda: stream._outlet is not None and stream._outlet.error is not None)
        stream.write(b"2\n")
    stream.close()
    assert notes == []


def test_a_part_of_a_line_does_not_stay_at_the_end_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = os.write

    def only_once(descriptor: int, data: bytes) -> int:
        if data.startswith(b"second"):
            return wrote(descriptor, data[:3])
        if data.startswith(b"ond"):
            raise OSError(28, "No space left on device")
        return wrote(descriptor, data)

    with (tmp_path / "lines").open("w", encoding="utf-8") as disk:
        stream = line_stream.LineStream(disk, FileOptions(live=True, note=lambda text: None))
        monkeypatch.setattr(os, "write", only_once)
        stream.write(b"first\n")
        stream.write(b"second\n")
        _until(lambda: stream._outlet is not None and stream._outlet.error is not None)
        stream.close()
    assert (tmp_path / "lines").read_bytes() == b"first\n"
