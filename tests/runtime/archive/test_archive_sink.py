"""An archive that is written: whole records, counts, a full disk, two writers."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmdd_edge.errors import DataError, OptionError
from dmdd_edge.runtime.archive import waiting
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.options.archive import ArchiveOptions
from tests.runtime.archive.kept import files_in, ids, image_of, judged, opened


def test_what_was_judged_is_read_back(tmp_path: Path) -> None:
    sink = opened(tmp_path / "kept here", archive_sample=0)
    for number, score in enumerate((0.9, 0.1, 0.48)):
        sink.result(*judged(score, index=number))
    sink.result(*judged(float("nan"), "unreliable", 3, reason="black"))
    sink.close()
    archive = ArchiveFolder(tmp_path / "kept here")
    unreliable, close, anomalous = archive.records()
    assert [each.kept for each in (unreliable, close, anomalous)] == ["unreliable", "close", "anomalous"]
    assert (anomalous.category, anomalous.version, anomalous.inspection) == ("plate", "1", "")
    assert (anomalous.score, anomalous.threshold, anomalous.status) == (0.9, 0.5, "anomalous")
    assert (anomalous.source, anomalous.index, anomalous.sampled) == ("0.png", 0, False)
    assert anomalous.regions[0].model_dump() == {
        "x": 1,
        "y": 2,
        "width": 3,
        "height": 4,
        "area": 10,
        "peak": 0.9,
    }
    assert (unreliable.score, unreliable.reason) == (None, "black")
    np.testing.assert_array_equal(archive.image(close), image_of(2))
    drawn = archive.map(close)
    assert drawn is not None
    np.testing.assert_array_equal(drawn.ravel(), np.arange(256))
    assert len(files_in(archive.path)) == 9
    [counts] = archive.counts()
    assert (counts.good, counts.anomalous, counts.unreliable, counts.sampled) == (2, 1, 1, 0)
    assert dict(sink.kept) == {"anomalous": 1, "close": 1, "unreliable": 1}


def test_the_sample_is_counted_and_carries_its_rate(tmp_path: Path) -> None:
    sink = opened(tmp_path / "a", archive_sample=0.2)
    for number in range(200):
        sink.result(*judged(0.48 if number % 2 else 0.1, index=number))
    sink.close()
    records = list(ArchiveFolder(tmp_path / "a").records())
    sampled = [each for each in records if each.sampled]
    assert {each.sample_rate for each in records} == {0.2}
    assert 20 < len(sampled) < 65
    assert {each.kept for each in sampled} == {"close", "sample"}
    assert sum(each.kept == "close" for each in records) == 100
    [counts] = ArchiveFolder(tmp_path / "a").counts()
    assert (counts.good, counts.sampled, counts.sample_rate) == (200, len(sampled), 0.2)


def test_another_threshold_bundle_inspection_or_precision_has_its_own_line(tmp_path: Path) -> None:
    sink = opened(tmp_path / "a", archive_sample=0, inspections=True)
    for fields in ({}, {}, {"threshold": 0.6}, {"version": "2"}, {"precision": "int8"}):
        sink.result(*judged(0.1, **fields))
    frame, result = judged(0.9, precision="int8")
    sink.result(replace(frame, source="lid"), result)
    sink.close()
    found = {
        (each.inspection, each.version, each.threshold, each.precision): (each.good, each.anomalous)
        for each in ArchiveFolder(tmp_path / "a").counts()
    }
    assert found == {
        ("0.png", "1", 0.5, ""): (2, 0),
        ("0.png", "1", 0.6, ""): (1, 0),
        ("0.png", "2", 0.5, ""): (1, 0),
        ("0.png", "1", 0.5, "int8"): (1, 0),
        ("lid", "1", 0.5, "int8"): (0, 1),
    }
    [record] = ArchiveFolder(tmp_path / "a").records()
    assert (record.inspection, record.precision) == ("lid", "int8")


def test_a_second_writer_is_turned_away_and_a_later_one_continues(tmp_path: Path) -> None:
    first = opened(tmp_path / "a")
    with pytest.raises(OptionError, match="in use by another run: process"):
        opened(tmp_path / "a")
    first.result(*judged(0.9))
    first.close()
    second = opened(tmp_path / "a")
    second.result(*judged(0.8))
    second.close()
    assert [record.score for record in ArchiveFolder(tmp_path / "a").records()] == [0.8, 0.9]
    assert [each.anomalous for each in ArchiveFolder(tmp_path / "a").counts()] == [1, 1]


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "part.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"part\.png"):
        opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["part.png"]


def test_a_full_disk_costs_images_is_said_once_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    sink = opened(tmp_path / "a", said, live=False)
    real, full = os.write, [True]

    def write(descriptor: int, data: Any) -> int:
        if full[0] and len(data) > 1000:  # an image
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    for number in range(3):
        sink.result(*judged(0.9, index=number))
    sink._waiting.close()
    sink._thread.join()
    sink.close()
    assert files_in(tmp_path / "a") == set()
    assert said == [
        f"Images cannot be written to the archive {tmp_path / 'a'}: no space is left on the disk.",
        f"{tmp_path / 'a'}: 3 images could not be kept.",
    ]
    full[0] = False
    later = opened(tmp_path / "a", said)
    later.result(*judged(0.8))
    later.close()
    assert len(ids(tmp_path / "a")) == 1
    counts = list(ArchiveFolder(tmp_path / "a").counts())
    assert [(each.anomalous, each.lost, each.sampled_lost) for each in counts] == [(3, 3, 0), (1, 0, 0)]


def test_a_flood_costs_alarms_and_never_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "OTHER_ROOM", 3 * 24 * 32 * 3)
    said: list[str] = []
    sink = opened(tmp_path / "a", said, archive_sample=1.0)
    sink._waiting.close()  # the thread ends, so that nothing is taken
    sink._thread.join()
    for number in range(10):
        sink.result(*judged(0.9, index=number))
    for number in range(5):
        sink.result(*judged(0.1, index=number))
    assert sink.lost == 8
    assert said == [f"Images come faster than the archive {tmp_path / 'a'} can write them; some are lost."]
    taken = [sink._waiting.take(0) for _ in range(7)]
    assert [each.choice.reason for each in taken if each] == ["sample"] * 5 + ["anomalous"] * 2
    [counts] = sink._tally.take()
    assert (counts.anomalous, counts.good, counts.sampled, counts.lost) == (10, 5, 5, 8)


def test_a_frame_without_its_image_is_counted_and_lost(tmp_path: Path) -> None:
    sink = opened(tmp_path / "a", archive_sample=1.0)
    sink.result(*judged(0.1, image=np.zeros((0, 0, 3), np.uint8)))
    sink.close()
    [counts] = ArchiveFolder(tmp_path / "a").counts()
    assert (counts.good, counts.sampled, counts.lost, counts.sampled_lost) == (1, 1, 1, 1)


def test_odd_names_and_a_jpg(tmp_path: Path) -> None:
    sink = opened(tmp_path / "a", archive_format="jpg")
    source = os.fsdecode(b"caf\xe9\n" + b"x" * 9000)
    sink.result(*judged(0.9, source=source))
    sink.close()
    [record] = ArchiveFolder(tmp_path / "a").records()
    assert record.image.endswith(".jpg")
    assert record.source.startswith("caf\\udce9\\nxxx")
    assert ArchiveFolder(tmp_path / "a").image(record).shape == (24, 32, 3)


def test_options_that_have_no_effect_are_refused() -> None:
    with pytest.raises(OptionError, match="--archive-sample has no effect without --archive"):
        ArchiveOptions(archive_sample=0.5)
    with pytest.raises(OptionError, match="--archive-size"):
        ArchiveOptions(archive=Path("a"), archive_size=1000)


def test_the_map_of_a_large_image_is_kept_small_with_its_peaks(tmp_path: Path) -> None:
    sink = opened(tmp_path / "a", archive_sample=0)
    frame, result = judged(0.9)
    large = np.zeros((100, 4500), np.float32)
    large[61, 3001] = 1.0
    sink.result(frame, replace(result, anomaly_map=large, stopped_early=True, inspected=0.5))
    sink.close()
    archive = ArchiveFolder(tmp_path / "a")
    (record,) = archive.records()
    assert record.stopped_early
    drawn = archive.map(record)
    assert drawn is not None
    assert drawn.shape == (46, 2048)  # 4500 shrinks to 2048
    row, column = np.unravel_index(int(drawn.argmax()), drawn.shape)
    assert abs(row - 61.5 * 46 / 100) <= 2
    assert abs(column - 3001.5 * 2048 / 4500) <= 2
    assert drawn.max() > 128  # a mean of 2 x 3 pixels would be 43
