"""The file of counts: lines that add up, and that are merged once there are many."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.runtime.archive import counts_file
from dmdd_edge.runtime.archive.counts import Counts
from dmdd_edge.runtime.archive.counts_file import CountsFile, merge
from dmdd_edge.runtime.archive.folder import ArchiveFolder


def line(day: str, minute: int, good: int = 0, threshold: float = 0.5, **fields: int) -> Counts:
    return Counts(
        since=f"{day}T08:{minute:02}:00.000Z",
        until=f"{day}T08:{minute:02}:59.000Z",
        category="plate",
        version="1",
        threshold=threshold,
        sample_rate=0.01,
        good=good,
        **fields,
    )


def test_lines_of_past_days_are_merged_by_day_and_threshold() -> None:
    given = [
        line("2026-11-27", 1, good=10, sampled=1),
        line("2026-11-27", 2, good=5, threshold=0.6),
        line("2026-11-27", 3, good=7, lost=2, sampled_lost=1),
        line("2026-11-28", 1, good=1),
        line("2026-11-29", 1, good=2),
        line("2026-11-29", 2, good=3),
    ]
    merged = merge([each.model_dump_json().encode() for each in given] + [b'{"torn'], "2026-11-29")
    found = [Counts.model_validate_json(each) for each in merged]
    assert found == [
        line("2026-11-27", 1, good=17, sampled=1, lost=2, sampled_lost=1).model_copy(
            update={"until": "2026-11-27T08:03:59.000Z"}
        ),
        given[1],
        given[3],
        given[4],
        given[5],
    ]


def test_a_large_file_shrinks_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts_file, "_LARGE", 2000)
    archive = ArchiveFolder.make(tmp_path / "a")
    path = archive.path / "counts.jsonl"
    file = CountsFile(path)
    for number in range(60):
        file.add([line("2026-11-01", number, good=1)])
    file.add([line("2026-11-02", 0, good=4)])
    file.close(sync=True)
    assert path.stat().st_size < 4500
    assert sum(each.good for each in archive.counts()) == 64
    with path.open("ab") as torn:
        torn.write(b'{"since": "2026')
    again = CountsFile(path)
    again.add([])
    again.add([line("2026-11-03", 0, good=6)])
    again.close(sync=False)
    assert sum(each.good for each in archive.counts()) == 70
