"""JSON lines and CSV: what is in a line."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.csv_file import COLUMNS, CsvFile
from dmdd_edge.runtime.sinks.json_lines import JsonLines, JsonLinesFile
from dmdd_edge.runtime.summary import RunStatistics

MakeResult = Callable[..., "tuple[Frame, Result]"]


class _Stream(io.StringIO):
    """Notes what is written in each call, and that it is flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, text: str) -> int:
        self.calls.append(text)
        return super().write(text)

    def flush(self) -> None:
        self.calls.append("flush")


def test_json_lines_are_written_whole_and_flushed(make_result: MakeResult, broken: BrokenFrame) -> None:
    stream = _Stream()
    sink = JsonLines(stream)
    sink.result(*make_result())
    sink.broken(broken)
    sink.result(*make_result("unreliable", math.nan))
    sink.summary(RunStatistics("cpu").summary())
    sink.close()
    assert stream.calls[1::2] == ["flush"] * 4
    assert all(call.endswith("\n") and call.count("\n") == 1 for call in stream.calls[::2])
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["type"] for line in lines] == ["result", "error", "result", "summary"]
    assert lines[0]["time"] == "2026-11-24T08:00:00.250Z"
    assert lines[0]["regions"] == [{"x": 24, "y": 16, "width": 24, "height": 16, "area": 384, "peak": 0.75}]
    assert lines[0]["timings_ms"] == {"capture": 1.0, "prepare": 2.0, "infer": 3.0, "finish": 4.5}
    assert lines[1] == {
        "type": "error",
        "source": "images/x.png",
        "index": 5,
        "message": "x.png: the file is empty",
        "fix": "remove it",
    }
    assert lines[2]["score"] is None


def test_a_file_gets_the_same_lines_as_a_stream(
    make_result: MakeResult, broken: BrokenFrame, tmp_path: Path
) -> None:
    stream = io.StringIO()
    sinks = (JsonLines(stream), JsonLinesFile(tmp_path / "new" / "results.jsonl"))
    summary = RunStatistics("cpu").summary()
    for sink in sinks:
        sink.result(*make_result(name="Stück.png"))
        sink.broken(broken)
        sink.summary(summary)
    written = (tmp_path / "new" / "results.jsonl").read_text(encoding="utf-8")  # before it is closed
    assert written == stream.getvalue()
    assert written.count("\n") == 3
    sinks[1].close()


def test_a_name_that_is_not_utf8(make_result: MakeResult, tmp_path: Path) -> None:
    name = b"teil-\xff.png".decode(errors="surrogateescape")
    stream = io.StringIO()
    JsonLines(stream).result(*make_result(name=name))
    assert json.loads(stream.getvalue())["source"] == f"images/{name}"
    sink = CsvFile(tmp_path / "results.csv")
    sink.result(*make_result(name=name))
    sink.close()
    assert "images/teil-\\udcff.png,4" in (tmp_path / "results.csv").read_text(encoding="utf-8")


def test_a_reader_that_disconnects_ends_the_run_with_a_message(make_result: MakeResult) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(DmddError, match="closed by its reader"):
        JsonLines(Closed()).result(*make_result())


def test_csv_rows(tmp_path: Path, make_result: MakeResult, broken: BrokenFrame) -> None:
    sink = CsvFile(tmp_path / "new" / "results.csv")
    sink.result(*make_result())
    sink.broken(broken)
    sink.result(*make_result("unreliable", math.nan))
    with (tmp_path / "new" / "results.csv").open(newline="") as stream:  # before it is closed
        rows = list(csv.DictReader(stream))
    sink.close()
    assert len(rows) == 3
    first = {name: rows[0][name] for name in ("source", "index", "status", "score", "regions", "infer_ms")}
    assert list(first.values()) == ["images/a/0.png", "4", "anomalous", "0.75", "1", "3.0"]
    assert (rows[1]["status"], rows[1]["reason"]) == ("error", "x.png: the file is empty")
    assert (rows[2]["score"], rows[2]["reason"]) == ("", "too dark, very")


def test_a_row_is_one_line_of_the_file(tmp_path: Path) -> None:
    sink = CsvFile(tmp_path / "results.csv")
    sink.broken(BrokenFrame('a,"b"\nc.png', 0, DmddError("first\nsecond")))
    sink.close()
    text = (tmp_path / "results.csv").read_text()
    assert text.count("\n") == 2
    row = next(csv.DictReader(io.StringIO(text)))
    assert (row["source"], row["reason"]) == ('a,"b" c.png', "first second")


def test_a_run_without_frames_leaves_the_header(tmp_path: Path) -> None:
    CsvFile(tmp_path / "results.csv").close()
    assert (tmp_path / "results.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DmddError, match="cannot be written"):
        CsvFile(tmp_path / "file" / "results.csv")
    with pytest.raises(DmddError, match="cannot be written"):
        JsonLinesFile(tmp_path)
