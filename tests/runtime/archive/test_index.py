"""The index of an archive follows what is kept, deleted and judged, without reading everything again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from dmdd_edge.runtime.archive.feedback import Feedback
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.index import Index
from dmdd_edge.runtime.archive.views import Filter
from tests.runtime.archive.shelf import START, drop, keep, name_of, record_of, stocked


def read_all(index: Index) -> None:
    while not index.step(0.01):
        pass


def settle(archive: ArchiveFolder) -> None:
    """Have the folders look as if they were last changed long ago."""
    for day in (archive.path / "kept").iterdir():
        os.utime(day, (1000, 1000))


def test_images_come_newest_first_and_by_filter(tmp_path: Path) -> None:
    archive = stocked(tmp_path / "a", 7)
    keep(archive, record_of(7, category="cap", inspection="lid", status="unreliable", score=None))
    index = Index(archive)
    read_all(index)
    assert list(index.view(Filter()).older()) == [name_of(number) for number in range(7, -1, -1)]
    assert list(index.view(Filter(status="anomalous")).older()) == [name_of(each) for each in (6, 3, 0)]
    assert list(index.view(Filter(kept="sample")).older(name_of(5))) == [name_of(2)]
    assert list(index.view(Filter(kept="sample")).newer(name_of(2))) == [name_of(5)]
    assert list(index.view(Filter(category="cap", inspection="lid")).older()) == [name_of(7)]
    second = START.timestamp() + 2
    assert list(index.view(Filter(since=second, until=second + 2)).older()) == [
        name_of(each) for each in (4, 3, 2)
    ]
    assert {facet.category: number for facet, number in index.facets.items() if facet.category == "cap"} == {
        "cap": 1
    }


def test_what_changes_is_followed(tmp_path: Path) -> None:
    archive = stocked(tmp_path / "a", 4)
    index = Index(archive)
    read_all(index)
    view = index.view(Filter(status="good"))
    assert (len(view), view.verdicts[""]) == (2, 2)
    archive.feedback.add(Feedback.on(record_of(1), "bad", "Ann"))
    keep(archive, record_of(5))
    drop(archive, record_of(2))
    settle(archive)
    read_all(index)
    assert list(view.older()) == [name_of(5), name_of(1)]
    assert {word: number for word, number in view.verdicts.items() if number} == {"": 1, "bad": 1}
    archive.feedback.add(Feedback.on(record_of(1), "none", "Ann"))
    read_all(index)
    assert view.verdicts["bad"] == 0
    day = archive.path / "kept" / "2026-11-29"
    for file in day.iterdir():
        file.unlink()
    day.rmdir()
    read_all(index)
    assert (len(view), len(index.entries), sum(index.facets.values())) == (0, 0, 0)


def test_a_folder_that_did_not_change_is_not_listed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = stocked(tmp_path / "a", 3)
    keep(archive, record_of(90_000))  # of the next day
    settle(archive)
    listed: list[str] = []
    scandir = os.scandir

    def noted(path: Path) -> object:
        listed.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    index = Index(archive)
    read_all(index)
    assert sorted(listed) == ["2026-11-29", "2026-11-30", "kept"]
    listed.clear()
    read_all(index)
    assert listed == ["kept"]
    keep(archive, record_of(3))
    index._days["2026-11-29"].not_before = 0.0
    read_all(index)
    assert listed == ["kept", "kept", "2026-11-29"]
    assert len(index.entries) == 5


def test_a_folder_that_changed_just_now_is_listed_again(tmp_path: Path) -> None:
    # Two changes within a tick of the clock of the file system have one time stamp.
    archive = stocked(tmp_path / "a", 1)
    day = archive.path / "kept" / "2026-11-29"
    changed = day.stat().st_mtime_ns
    index = Index(archive, clock=lambda: changed / 1e9 + 1)
    read_all(index)
    keep(archive, record_of(1))
    os.utime(day, ns=(changed, changed))
    index._days["2026-11-29"].not_before = 0.0
    read_all(index)
    assert len(index.entries) == 2


def test_it_is_built_in_steps(tmp_path: Path) -> None:
    archive = stocked(tmp_path / "a", 30)
    index = Index(archive)
    assert index.step(0.0) is False
    assert index.unread == 30 - len(index.entries)
    read_all(index)
    assert (index.unread, len(index.entries)) == (0, 30)


def test_damaged_records_are_counted_and_left_out(tmp_path: Path) -> None:
    archive = stocked(tmp_path / "a", 2)
    day = archive.path / "kept" / "2026-11-29"
    (day / f"{name_of(2)}.json").write_text("{")
    (day / f"{name_of(3)}.json").write_text('{"status": 3}')
    (day / f"{name_of(4)}.json").write_text(record_of(4).model_dump_json().replace("plate", "pla\\u001bte"))
    (day / "x.json").write_text("{}")  # not a name of an image
    index = Index(archive)
    read_all(index)
    assert (len(index.entries), index.unreadable) == (2, {name_of(each) for each in (2, 3, 4)})


def test_verdicts_of_a_replaced_file_replace_the_earlier_ones(tmp_path: Path) -> None:
    archive = stocked(tmp_path / "a", 3)
    index = Index(archive)
    archive.feedback.add(Feedback.on(record_of(0), "good", "Ann"))
    archive.feedback.add(Feedback.on(record_of(1), "good", "Ann"))
    read_all(index)
    assert [given.id for given in index.verdicts.after(0) or ()] == [name_of(0), name_of(1)]
    other = tmp_path / "b.jsonl"
    other.write_text(Feedback.on(record_of(2), "bad", "Bo").model_dump_json() + "\n")
    other.replace(archive.feedback.path)
    view = index.view(Filter())
    read_all(index)
    assert [index.verdicts.word(name_of(each)) for each in range(3)] == ["", "", "bad"]
    assert {word: number for word, number in view.verdicts.items() if number} == {"": 2, "bad": 1}


def test_a_torn_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    archive = stocked(tmp_path / "a", 2)
    line = Feedback.on(record_of(0), "good", "Ann").model_dump_json() + "\n"
    with archive.feedback.path.open("w") as file:
        file.write("not a verdict\n" + line[:40])
        file.flush()
        index = Index(archive)
        read_all(index)
        assert index.verdicts.of(name_of(0)) is None
        file.write(line[40:])
        file.flush()
        read_all(index)
    assert index.verdicts.word(name_of(0)) == "good"
    assert index.verdicts.number == archive.feedback.path.stat().st_size


@pytest.mark.parametrize(
    "damage",
    [
        {"time": None},
        {"time": 5},
        {"time": "0001-01-01T00:00:00"},
        {"status": []},
        {"id": name_of(7)},
        {"kept": "x" * 2000},
    ],
)
def test_no_record_ends_the_review(tmp_path: Path, damage: dict[str, object]) -> None:
    archive = stocked(tmp_path / "a", 2)
    file = archive.path / "kept" / "2026-11-29" / f"{name_of(1)}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **damage}))
    index = Index(archive)
    read_all(index)
    assert set(index.entries) == {name_of(0)}
    assert index.unreadable == {name_of(1)}


def test_a_copied_folder_of_a_day_holds_the_same_images(tmp_path: Path) -> None:
    archive = stocked(tmp_path / "a", 3)
    shutil.copytree(archive.path / "kept" / "2026-11-29", archive.path / "kept" / "2026-11-28")
    index = Index(archive)
    read_all(index)
    assert (len(index.entries), index.facets.total()) == (3, 3)
    assert len(list(archive.records())) == 3
