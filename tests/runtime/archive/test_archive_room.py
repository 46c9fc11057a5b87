"""The bound of an archive: what is deleted first, what never, and what a killed writer left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmdd_edge.runtime.archive import room
from dmdd_edge.runtime.archive.feedback import Feedback
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.names import budget_of, moment_of, new_id
from dmdd_edge.runtime.archive.record import Reason, Record
from dmdd_edge.runtime.archive.room import ArchiveRoom, room_of
from tests.runtime.archive.kept import files_in, image_of, judged, opened

#: On the disk, a record here is an image of 96 x 96 pixels of noise, a small map, and its own file.
SHAPE = (96, 96)
SIZE = 28_672 + 2 * 4096


def fill(folder: Path, *reasons: str, size: int = 1_000_000, said: list[str] | None = None) -> None:
    """Keep an image for each reason, in this order."""
    sink = opened(folder, said, live=False, archive_size=size, archive_sample=1.0)
    for number, reason in enumerate(reasons):
        score = {"anomalous": 0.9, "sample": 0.1}[reason]
        sink.result(*judged(score, index=number, image=image_of(number, SHAPE)))
    sink.close()


def kept(folder: Path) -> list[tuple[Reason, int]]:
    """Why each image is there, and the index of its frame; the oldest first."""
    return [(record.kept, record.index) for record in ArchiveFolder(folder).records()][::-1]


def on_disk(folder: Path) -> int:
    return sum(room_of(path.stat().st_size) for path in (folder / "kept").rglob("*") if path.is_file())


def test_an_id_holds_its_moment_and_its_budget() -> None:
    name = new_id(1_796_000_000_123, "close")
    assert name == "20261130T005320123Z-close"
    assert (moment_of(name), budget_of(name)) == (1_796_000_000_123, "close")
    assert (moment_of("copied-0001"), budget_of("copied-0001")) == (0, "")
    assert moment_of("20269930T005320123Z-close") == 0


def test_a_record_takes_what_the_tests_below_reckon_with(tmp_path: Path) -> None:
    fill(tmp_path / "a", "anomalous")
    assert on_disk(tmp_path / "a") == SIZE


def test_the_oldest_are_deleted_within_the_bound_and_counted(tmp_path: Path) -> None:
    said: list[str] = []
    fill(tmp_path / "a", *["anomalous"] * 40, said=said)
    room_for = 1_000_000 // SIZE
    assert kept(tmp_path / "a") == [("anomalous", number) for number in range(40 - room_for, 40)]
    assert on_disk(tmp_path / "a") == room_for * SIZE
    assert len(files_in(tmp_path / "a")) == 3 * room_for
    counts = list(ArchiveFolder(tmp_path / "a").counts())
    assert sum(line.deleted for line in counts) == 40 - room_for
    assert sum(line.anomalous for line in counts) == 40
    assert said == []


def test_a_flood_of_alarms_leaves_the_sample_its_share(tmp_path: Path) -> None:
    fill(tmp_path / "a", *["sample"] * 10, *["anomalous"] * 60)
    found = kept(tmp_path / "a")
    share = 1_000_000 // room.SHARES // SIZE
    sampled = [index for reason, index in found if reason == "sample"]
    assert len(sampled) >= share
    assert sampled == list(range(10))[-len(sampled) :]
    assert len(found) == 1_000_000 // SIZE


def test_the_sample_takes_its_share_back_from_a_flood(tmp_path: Path) -> None:
    fill(tmp_path / "a", *["anomalous"] * 40, *["sample"] * 40)
    found = kept(tmp_path / "a")
    counts = {reason: sum(reason == each for each, _ in found) for reason in ("anomalous", "sample")}
    assert sum(counts.values()) == 1_000_000 // SIZE
    assert abs(counts["anomalous"] - counts["sample"]) <= 1
    lines = list(ArchiveFolder(tmp_path / "a").counts())
    assert sum(line.sampled_deleted for line in lines) == 40 - counts["sample"]


def test_alarms_with_a_verdict_go_last_and_the_sample_by_age_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    fill(folder, *["anomalous"] * 3, *["sample"] * 3)
    archive = ArchiveFolder(folder)
    reviewed = [record for record in archive.records() if record.index in (0, 1, 3)]
    for record in reviewed:
        archive.feedback.add(Feedback.on(record, "good"))
    taken_back = next(record for record in reviewed if record.index == 1)
    archive.feedback.add(Feedback.on(taken_back, "none"))
    fill(folder, *["anomalous"] * 20, *["sample"] * 20)
    left = {record.id for record in archive.records()}
    assert {record.index: record.id in left for record in reviewed} == {0: True, 1: False, 3: False}
    fill(folder, *["anomalous"] * 40)
    archive.feedback.add(Feedback.on(next(archive.records()), "bad"))
    assert all(f"{record.id}.json" in files_in(folder) for record in reviewed if record.index == 0)


def test_when_all_carry_a_verdict_the_oldest_goes(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    number = 1_000_000 // SIZE
    fill(folder, *["anomalous"] * number)
    archive = ArchiveFolder(folder)
    for record in archive.records():
        archive.feedback.add(Feedback.on(record, "bad"))
    fill(folder, "anomalous")
    assert kept(folder) == [("anomalous", index) for index in (*range(1, number), 0)]


def test_an_image_larger_than_a_share_is_lost_and_deletes_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    fill(tmp_path / "a", "anomalous")
    sink = opened(tmp_path / "a", said, archive_size=1_000_000)
    sink.result(*judged(0.9, image=image_of(1, (300, 300))))
    sink.close()
    assert kept(tmp_path / "a") == [("anomalous", 0)]
    assert "does not fit into 1/5 of --archive-size 1.0 MB" in said[0]


def test_a_folder_that_was_emptied_by_hand_is_filled_again(tmp_path: Path) -> None:
    folder, number = tmp_path / "a", 1_000_000 // SIZE
    fill(folder, *["anomalous"] * number)
    said: list[str] = []
    sink = opened(folder, said, live=False, archive_size=1_000_000, archive_sample=0)
    sink.result(*judged(0.9, index=100, image=image_of(1, SHAPE)))
    while not sink.kept:
        os.sched_yield()
    for path in (folder / "kept").rglob("*.*"):
        path.unlink()
    for index in range(5):
        sink.result(*judged(0.9, index=index, image=image_of(index, SHAPE)))
    sink.close()
    assert kept(folder) == [("anomalous", index) for index in range(5)]
    assert said == []


def test_strays_are_removed_and_other_files_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    fill(folder, "anomalous", "anomalous", "anomalous", "anomalous")
    records = list(ArchiveFolder(folder).records())
    day = (folder / records[0].image).parent
    (folder / records[0].image).unlink()  # a power cut
    (folder / records[1].image).write_bytes(b"")
    (day / f"{records[2].id}.json").unlink()  # a kill
    (day / f".{records[2].id}.png.part").write_bytes(b"x")
    (day / "notes.txt").write_text("mine")
    (day / "photo.png").write_bytes(b"mine")
    found = ArchiveRoom(folder, 1_000_000, lambda record: None)
    found.look()
    assert {path.name for path in day.iterdir()} == {
        *(f"{records[3].id}{suffix}" for suffix in (".json", ".png", ".map.png")),
        *("notes.txt", "photo.png"),
    }
    assert found.used == SIZE
    assert found.newest == moment_of(records[3].id)


def test_records_are_in_order_although_the_clock_went_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "a", "anomalous")
    monkeypatch.setattr("time.time_ns", lambda: 1_000_000_000)
    fill(tmp_path / "a", "sample", "sample")
    assert [reason for reason, _ in kept(tmp_path / "a")] == ["anomalous", "sample", "sample"]
    first, second, third = (
        moment_of(record.id) for record in [*ArchiveFolder(tmp_path / "a").records()][::-1]
    )
    assert (second - first, third - second) == (1, 1)


def test_nothing_that_can_be_deleted_is_not_enough(tmp_path: Path) -> None:
    deleted: list[Record] = []
    found = ArchiveRoom(tmp_path, 100_000, deleted.append)
    found.took("20261130T005320123Z-close", 95_000)
    assert not found.make(200_000, "close")
    assert found.make(10_000, "close"), "what was counted is not there"
    assert deleted == []
