"""The folder of results: which images have rows, which are missing, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.errors import DataError, OptionError
from dmdd_edge.runtime.bulk.folder import ResultFolder, gaps_of

NAMES = [f"{number}.png" for number in range(99)] + ["line\nbreak.png", "not\udcffutf8.png"]


@pytest.fixture
def folder(tmp_path: Path) -> ResultFolder:
    """101 images, 20 to 29 and 40 to 100 have rows."""
    folder = ResultFolder(tmp_path / "results.parquet")
    assert folder.prepare(resume=False, overwrite=False) is None
    assert folder.write_list(NAMES) == 101
    folder.write_record({"format": 1, "source": "images", "images": 101, "decided_by": {}})
    folder.write_part(40, 61, b"later")
    folder.write_part(20, 10, b"earlier")
    return folder


def test_what_is_missing_is_between_what_is_there(folder: ResultFolder) -> None:
    assert folder.done() == [(20, 30), (40, 101)]
    found = [(shard.first, shard.names) for shard in folder.missing(30, jobs=1)]
    assert found == [(0, NAMES[:16]), (16, NAMES[16:20]), (30, NAMES[30:40])]


@pytest.mark.parametrize(
    ("ranges", "end", "gaps"),
    [([], 3, [(0, 3)]), ([(0, 3)], 3, []), ([(1, 2)], 4, [(0, 1), (2, 4)]), ([(0, 1), (1, 2)], 2, [])],
)
def test_gaps(ranges: list[tuple[int, int]], end: int, gaps: list[tuple[int, int]]) -> None:
    assert list(gaps_of(ranges, end)) == gaps


def test_every_name_comes_back(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path / "new")
    folder.prepare(resume=False, overwrite=False)
    folder.write_list(NAMES)
    assert [name for shard in folder.missing(101, jobs=2) for name in shard.names] == NAMES


def test_results_are_not_replaced_unless_that_is_wanted(folder: ResultFolder) -> None:
    with pytest.raises(OptionError, match=r"71 of 101 images") as refused:
        folder.prepare(resume=False, overwrite=False)
    assert "--resume" in refused.value.fix
    record = folder.prepare(resume=True, overwrite=False)
    assert record is not None
    assert record["images"] == 101
    assert folder.prepare(resume=False, overwrite=True) is None
    assert folder.done() == []


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match=r"notes\.txt"):
        ResultFolder(tmp_path).prepare(resume=False, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_image_in_two_files_is_an_error(folder: ResultFolder) -> None:
    folder.write_part(25, 10, b"overlaps")
    with pytest.raises(DataError, match="Image 25 is in two files"):
        folder.done()


def test_a_damaged_record_is_an_error(folder: ResultFolder) -> None:
    (folder.path / "_judge.json").write_text('{"format": 2}')
    with pytest.raises(DataError, match="damaged, or of another release"):
        folder.prepare(resume=True, overwrite=False)
