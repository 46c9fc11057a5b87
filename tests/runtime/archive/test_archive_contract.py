"""An archive as other parts see it: records, verdicts, counts."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.errors import DataError
from dmdd_edge.runtime.archive.feedback import Feedback, FeedbackFile
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import Record


def record(name: str) -> Record:
    return Record(
        id=name,
        time="2026-11-29T08:00:00.000Z",
        category="plate",
        version="1",
        status="good",
        score=0.25,
        threshold=0.5,
        kept="sample",
        sampled=True,
        sample_rate=0.01,
        pixel_threshold=0.5,
        image=f"kept/2026-11-29/{name}.png",
        map=f"kept/2026-11-29/{name}.map.png",
    )


def keep(archive: ArchiveFolder, kept: Record) -> None:
    folder = archive.path / "kept" / "2026-11-29"
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(archive.path / kept.image), np.full((20, 30, 3), (10, 20, 30), np.uint8))
    cv2.imwrite(str(archive.path / kept.map), np.full((16, 16), 128, np.uint8))
    (folder / f"{kept.id}.json").write_text(kept.model_dump_json())


def test_what_is_kept_is_read_back_the_newest_first(tmp_path: Path) -> None:
    archive = ArchiveFolder.make(tmp_path / "archive")
    for name in ("20261129T080000000Z-0001", "20261129T080000000Z-0002"):
        keep(archive, record(name))
    (archive.path / "kept" / "2026-11-29" / "20261129T080000000Z-0003.json").write_text("{")
    found = list(ArchiveFolder(archive.path).records())
    assert [each.id[-1] for each in found] == ["2", "1"]
    image = archive.image(found[0])
    assert image.shape == (20, 30, 3)
    assert image[0, 0].tolist() == [10, 20, 30]
    drawn = archive.map(found[0])
    assert drawn is not None
    assert (drawn.shape, drawn[0, 0]) == ((16, 16), 128)
    assert archive.record(found[1].id) == found[1]
    assert archive.record("../archive") is None


def test_a_folder_with_other_files_does_not_become_an_archive(tmp_path: Path) -> None:
    (tmp_path / "part.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"part\.png"):
        ArchiveFolder.make(tmp_path)
    with pytest.raises(DataError, match="is not an archive"):
        ArchiveFolder(tmp_path)


def test_the_last_verdict_counts_and_may_be_taken_back(tmp_path: Path) -> None:
    file = FeedbackFile(tmp_path / "feedback.jsonl")
    first, second = record("20261129T080000000Z-0001"), record("20261129T080000000Z-0002")
    assert file.latest() == {}
    for verdict in (
        Feedback.on(first, "bad", "Ann"),
        Feedback.on(second, "good"),
        Feedback.on(first, "good"),
        Feedback.on(second, "none"),
    ):
        file.add(verdict)
    assert {name: each.verdict for name, each in file.latest().items()} == {first.id: "good"}
    assert [each.verdict for each in file.history()] == ["bad", "good", "good", "none"]
    assert file.latest()[first.id].score == 0.25


def test_a_torn_line_is_cut_off_by_the_next_verdict(tmp_path: Path) -> None:
    file = FeedbackFile(tmp_path / "feedback.jsonl")
    file.add(Feedback.on(record("20261129T080000000Z-0001"), "good"))
    with file.path.open("ab") as end:
        end.write(b'{"id": "2026')
    assert len(list(file.history())) == 1
    file.add(Feedback.on(record("20261129T080000000Z-0002"), "bad"))
    assert [each.verdict for each in file.history()] == ["good", "bad"]


def test_verdicts_given_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"

    def give(start: int) -> None:
        for number in range(start, start + 25):
            FeedbackFile(path).add(Feedback.on(record(f"20261129T080000000Z-{number:04}"), "good"))

    threads = [threading.Thread(target=give, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(FeedbackFile(path).latest()) == 75
