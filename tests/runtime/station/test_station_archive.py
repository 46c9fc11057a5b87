"""The archive of a station: its records, the Review tab of its page, and a disk that is full or hangs."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.archive import sink as archive_sink
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.writing import write_files
from dmdd_edge.runtime.station import recorder
from tests.docs import pages
from tests.runtime.delivery.delivery_broker import free_port
from tests.runtime.station.assembled import assembled, lines_of
from tests.runtime.station.running import wait_until

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[Any]]

#: The blue patch of an image is in the region on the right; the graph's score is the largest blue / 255.
TEXT = """\
[cameras.top]
source = "images:parts"
[inspections.left]
category = "screw"
backend = "cpu"
region = [0, 0, 90, 128]
[inspections.right]
category = "screw"
backend = "cpu"
region = [90, 0, 166, 128]
[[recipes]]
number = 1
name = "both"
inspections = ["left", "right"]
[plc.modbus]
host = "127.0.0.1"
port = {port}
[results]
jsonl = "line1.jsonl"
archive = "kept"
archive_sample = 0
drift = false
serve = "127.0.0.1:0"
"""


@pytest.fixture
def place(tmp_path: Path, make_bundle: Make, make_picture: Picture) -> Path:
    """A folder with a bundle and images of which every second one is anomalous."""
    make_bundle()
    (tmp_path / "parts").mkdir()
    for number, blue in enumerate((30, 204)):
        cv2.imwrite(str(tmp_path / f"parts/{number}.png"), make_picture(patch=blue))
    return tmp_path


def test_a_record_names_its_inspection_and_is_reviewed_on_the_page(place: Path) -> None:
    with assembled(place, TEXT.format(port=free_port())) as running:
        running.trigger(2)
        wait_until(lambda: bool(list(ArchiveFolder(place / "kept").records())))
        (record,) = ArchiveFolder(place / "kept").records()
        assert (record.inspection, record.category, record.status, record.kept, record.index) == (
            *("right", "screw", "anomalous", "anomalous", 2),
        )
        assert record.score == pytest.approx(204 / 255)
        image = ArchiveFolder(place / "kept").image(record)
        assert image.shape == (128, 166, 3)  # the region, which is what the detector received
        # The way from one page to the other, and back.
        assert running.ask("/api/state").json["review"] is True
        assert b'<a href="/review.html">Review</a>' in running.ask("/").body
        review = running.ask("/review.html").body
        assert b'href="/"' in review
        wait_until(lambda: running.ask("/api/review/state").json["records"] == 1)
        state = running.ask("/api/review/state").json
        assert state["facets"]["parts"] == [{"category": "screw", "inspection": "right", "records": 1}]
        assert [item["id"] for item in running.ask("/api/review/list?inspection=right").json["items"]] == [
            record.id
        ]
        assert running.ask("/api/review/list?inspection=left").json["items"] == []
        assert running.ask(f"/review/{record.id}.jpg").status == 200
        verdict = {"id": record.id, "verdict": "good", "who": "Ann", "seen": 0}
        assert running.ask("/api/review/verdict", "POST", verdict).status == 401
        assert running.ask("/api/review/verdict", "POST", verdict, running.token).status == 200
        (given,) = map(json.loads, (place / "kept" / "feedback.jsonl").read_text().splitlines())
        assert (given["id"], given["verdict"], given["inspection"]) == (record.id, "good", "right")
    assert running.summary is not None
    figures = {"path": str(place / "kept"), "kept": {"anomalous": 1}, "lost": 0, "problem": ""}
    assert running.summary.archive == figures
    assert lines_of(place / "line1.jsonl", "summary")[0]["archive"] == figures


def test_a_station_without_an_archive_has_no_tab(place: Path) -> None:
    text = TEXT.format(port=free_port()).replace('archive = "kept"\narchive_sample = 0\n', "")
    with assembled(place, text) as running:
        running.trigger()
        assert running.ask("/api/state").json["review"] is False
        assert running.ask("/api/review/state").status == 404
    assert lines_of(place / "line1.jsonl", "summary")[0]["archive"] == {}


def test_a_full_archive_disk_loses_images_and_nothing_else(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = False

    def written(*arguments: Any) -> None:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*arguments)

    real = write_files
    monkeypatch.setattr(archive_sink, "write_files", written)
    with assembled(place, TEXT.format(port=free_port())) as running:
        running.trigger(4)
        wait_until(lambda: running.station.outputs.archive.lost == 2)  # type: ignore[union-attr]
        state = running.desk.state()
        assert (state.ready, state.fault, state.message) == (True, False, "")
        (problem,) = [line for line in running.said if "Images cannot be written to the archive" in line]
        shown = running.ask("/api/state").json["archive"]
        assert (shown["lost"], shown["problem"]) == (2, problem)
        text = running.ask("/metrics").body.decode()
        assert "dmdd_edge_archive_failing 1.0" in text
        assert "dmdd_edge_archive_lost_total 2.0" in text
        page = pages.text(pages.ROOT / "docs" / "reference" / "formats.md")
        assert all(f"`archive_{name}" in page for name in ("failing`", "lost_total`", "kept_total{reason}`"))
        room = True
        running.trigger(2)
        wait_until(lambda: any("written to the archive" in line for line in running.said[-2:]))
        wait_until(lambda: running.ask("/api/state").json["archive"]["problem"] == "")
        text = running.ask("/metrics").body.decode()
        assert "dmdd_edge_archive_failing 0.0" in text
        assert 'dmdd_edge_archive_kept_total{reason="anomalous"} 1.0' in text
    assert running.summary is not None
    assert (running.summary.archive["kept"], running.summary.archive["lost"]) == ({"anomalous": 1}, 2)
    assert [line["status"] for line in lines_of(place / "line1.jsonl", "part")] == ["good", "anomalous"] * 3


def test_an_archive_disk_that_hangs_delays_neither_a_verdict_nor_the_other_files(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    real = write_files

    def written(*arguments: Any) -> None:
        hangs.wait(60)
        real(*arguments)

    monkeypatch.setattr(archive_sink, "write_files", written)
    # The end waits for the results for a shorter time than the archive does for its disk.
    monkeypatch.setattr(recorder, "_LEAVE_SECONDS", 1.0)
    monkeypatch.setattr(archive_sink, "_LEAVE_SECONDS", 5.0)
    try:
        with assembled(place, TEXT.format(port=free_port())) as running:
            running.trigger(4)
            wait_until(lambda: len(lines_of(place / "line1.jsonl", "part")) == 4)
            state = running.desk.state()
            assert (state.ready, state.fault, state.passed, state.anomalous) == (True, False, 2, 2)
            assert running.station.engine.alive()
        assert [line["type"] for line in lines_of(place / "line1.jsonl")] == [*["part"] * 4, "summary"]
        assert [line for line in running.said if f"{place / 'kept'} did not finish" in line]
    finally:
        hangs.set()
