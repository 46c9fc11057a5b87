from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.figures import heat_overlay
from dmdd_edge.preprocess import Preprocess
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Region, Result, Timings
from dmdd_edge.runtime.sinks.csv_file import CsvFile
from dmdd_edge.runtime.sinks.json_lines import JsonLines
from dmdd_edge.runtime.sinks.overlays import Overlays, draw_overlay
from dmdd_edge.runtime.sinks.pictures import picture_name
from dmdd_edge.runtime.summary import Tally


def _result(status: str = "anomalous", score: float = 0.75, name: str = "a/0.png") -> tuple[Frame, Result]:
    image = np.full((64, 96, 3), 90, np.uint8)
    anomaly_map = np.zeros((32, 32), np.float32)
    anomaly_map[8:16, 8:16] = score if math.isfinite(score) else 0
    result = Result(
        source=f"images/{name}",
        index=4,
        status=status,  # type: ignore[arg-type]
        time=1795507200.25,
        score=score,
        normalized_score=score,
        threshold=0.5,
        is_anomalous=score > 0.5,
        anomaly_map=anomaly_map,
        regions=(Region(24, 16, 24, 16, 384, 0.75),),
        timings=Timings(1.0, 2.0, 3.0, 4.5),
        reason="too dark, very" if status == "unreliable" else "",
    )
    return Frame(image, f"images/{name}", name, 4), result


_BROKEN = BrokenFrame("images/x.png", 5, DmddError("x.png: the file is empty", "remove it"))


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


def test_json_lines_are_written_whole_and_flushed() -> None:
    stream = _Stream()
    sink = JsonLines(stream)
    sink.result(*_result())
    sink.broken(_BROKEN)
    sink.result(*_result("unreliable", math.nan))
    sink.summary(Tally("cpu").summary())
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


def test_a_reader_that_went_away_ends_the_run_with_a_message() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(DmddError, match="gone away"):
        JsonLines(Closed()).result(*_result())


def test_csv_rows(tmp_path: Path) -> None:
    sink = CsvFile(tmp_path / "new" / "results.csv")
    sink.result(*_result())
    sink.broken(_BROKEN)
    sink.result(*_result("unreliable", math.nan))
    with (tmp_path / "new" / "results.csv").open(newline="") as stream:  # before it is closed: flushed
        rows = list(csv.DictReader(stream))
    sink.close()
    assert len(rows) == 3
    first = {name: rows[0][name] for name in ("source", "index", "status", "score", "regions", "infer_ms")}
    assert list(first.values()) == ["images/a/0.png", "4", "anomalous", "0.75", "1", "3.0"]
    assert (rows[1]["status"], rows[1]["reason"]) == ("error", "x.png: the file is empty")
    assert (rows[2]["score"], rows[2]["reason"]) == ("", "too dark, very")


def test_a_csv_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DmddError, match="cannot be written"):
        CsvFile(tmp_path / "file" / "results.csv")


def test_overlays_mirror_the_folders_of_the_source(tmp_path: Path) -> None:
    sink = Overlays(tmp_path / "out", tmp_path / "images")
    for name in ("a/0.png", "b/0.png", "a/0.jpg"):
        sink.result(*_result(name=name))
    sink.broken(_BROKEN)
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert found == {"a/0.png", "b/0.png", "a/0.jpg.png"}
    assert sink.written == 3


def test_no_two_names_share_an_overlay() -> None:
    names = [
        "0.png",
        "0.jpg",
        "0.jpg.png",
        "0.jpg.png.png",
        "0.PNG",
        "0.tif",
        "a.b.png",
        "v.mp4/frame-000001",
    ]
    written = [picture_name(name, ".png") for name in names]
    assert written[0] == "0.png"
    assert written[-1] == "v.mp4/frame-000001.png"
    assert len(set(written)) == len(names)
    assert all(name.endswith(".png") for name in written)


def test_only_anomalous_leaves_good_ones_out(tmp_path: Path) -> None:
    sink = Overlays(tmp_path / "out", tmp_path / "images", only_anomalous=True)
    sink.result(*_result("good", 0.2, "good.png"))
    sink.result(*_result("unreliable", 0.2, "dark.png"))
    sink.result(*_result("anomalous", 0.8, "bad.png"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"dark.png", "bad.png"}


def test_an_overlay_never_lands_among_the_images_of_the_source(tmp_path: Path) -> None:
    original = tmp_path / "images" / "images" / "0.png"
    original.parent.mkdir(parents=True)
    original.write_bytes(b"original")
    sink = Overlays(tmp_path, tmp_path / "images")
    with pytest.raises(DmddError, match="among the source's images"):
        sink.result(*_result(name="images/0.png"))
    assert original.read_bytes() == b"original"
    inside = Overlays(tmp_path / "images" / "out", tmp_path / "images")
    inside.result(*_result(name="images/0.png"))
    assert (tmp_path / "images" / "out" / "images" / "0.png").is_file()


def test_the_colours_are_fixed_to_the_threshold(tmp_path: Path) -> None:
    sink = Overlays(tmp_path / "out", tmp_path / "images")
    frame, result = _result()
    sink.result(frame, result)
    written = cv2.imread(str(tmp_path / "out" / "a" / "0.png"))
    assert written is not None
    height = frame.image.shape[0]
    assert written.shape[0] > height, "the verdict is written below the picture"
    lifted = cv2.resize(result.anomaly_map, (96, 64), interpolation=cv2.INTER_LINEAR)
    expected = heat_overlay(frame.image, np.asarray(lifted, np.float32), 0.5)
    cv2.rectangle(expected, (24, 16), (47, 31), (255, 255, 255), 1)
    np.testing.assert_array_equal(written[:height], expected)


def test_where_nothing_is_found_the_picture_stays_as_it_is() -> None:
    frame, result = _result("good", 0.0)
    result = Result(**{**result.__dict__, "regions": ()})
    drawn = draw_overlay(frame.image, result)
    np.testing.assert_array_equal(drawn[:64], frame.image)


def test_a_map_of_a_region_of_interest_lies_where_it_was_taken_from() -> None:
    frame, result = _result()
    preprocess = Preprocess(roi=(32, 0, 64, 64))
    result = Result(**{**result.__dict__, "regions": (), "preprocess": preprocess})
    drawn = draw_overlay(frame.image, result)
    changed = np.argwhere((drawn[:64] != frame.image).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    # Map pixels 8..15 of 32 are source pixels 16..31 of the 64; interpolation blurs the edge by two.
    assert (top, bottom) == (pytest.approx(16, abs=2), pytest.approx(31, abs=2))
    assert (left, right) == (pytest.approx(48, abs=2), pytest.approx(63, abs=2))
