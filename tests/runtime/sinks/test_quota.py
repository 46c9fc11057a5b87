"""The bound on disk use: the oldest files of the run's own go first, and nobody else's ever."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import ledger as ledger_module
from dmdd_edge.runtime.sinks.csv_file import CsvFile
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile
from dmdd_edge.runtime.sinks.ledger import LEDGER_NAME
from dmdd_edge.runtime.sinks.maps import Maps
from dmdd_edge.runtime.sinks.overlays import Overlays
from dmdd_edge.runtime.sinks.quota import DiskQuota
from dmdd_edge.runtime.sinks.resume import ResumeState

MakeResult = Callable[..., "tuple[Frame, Result]"]


def _on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _names(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != LEDGER_NAME)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_all_that_a_run_writes_stays_below_the_bound(tmp_path: Path, make_result: MakeResult) -> None:
    limit = 60_000
    with DiskQuota(limit) as keep:
        options = FileOptions(live=True, existing="append", keep=keep, rotate=1500)
        sinks = (
            Overlays(tmp_path / "out", tmp_path / "images", options=options),
            Maps(tmp_path / "maps", tmp_path / "images", options=options),
            JsonLinesFile(tmp_path / "results.jsonl", options),
            CsvFile(tmp_path / "results.csv", options),
        )
        for index in range(80):
            frame, result = make_result(name=f"day-{index // 10}/{index:03d}.png", index=index)
            for sink in sinks:
                sink.result(frame, result)
            assert _on_disk(tmp_path) <= limit
        for sink in sinks:
            sink.close()
    assert _on_disk(tmp_path) > limit // 2
    pictures = _names(tmp_path / "out")
    # What is left is the newest, without a gap, and the emptied folders of the oldest are gone.
    assert pictures == [f"day-{i // 10}/{i:03d}.png" for i in range(80 - len(pictures), 80)]
    assert len(pictures) < 30
    assert not (tmp_path / "out" / "day-0").exists()
    assert (tmp_path / "results.jsonl").exists()
    assert (tmp_path / "results.csv").exists()
    parts = sorted(int(path.name.split(".")[1]) for path in tmp_path.glob("results.*.jsonl"))
    assert parts == list(range(parts[0], parts[-1] + 1))
    assert parts[0] > 1


def _write(folder: Path, limit: int, make_result: MakeResult, names: list[str]) -> None:
    with DiskQuota(limit) as keep:
        sink = Maps(folder / "maps", folder / "images", options=FileOptions(keep=keep))
        for name in names:
            sink.result(*make_result(name=name))
        sink.close()


def test_a_later_run_knows_the_files_of_earlier_ones_and_leaves_all_others(
    tmp_path: Path, make_result: MakeResult
) -> None:
    _write(tmp_path, 1_000_000, make_result, ["0.png", "1.png", "2.png", "3.png"])
    size = (tmp_path / "maps" / "0.tiff").stat().st_size
    (tmp_path / "maps" / "mine.tiff").write_bytes(b"x" * 50_000)
    (tmp_path / "maps" / "1.tiff").write_bytes(b"y" * size)  # somebody's own now, of the same size
    os.utime(tmp_path / "maps" / "1.tiff", (1.7e9, 1.7e9))
    (tmp_path / "maps" / "2.tiff").unlink()
    # Room for two and the list of them: 0 and 3 are there, so 4 costs 0, and 5 costs 3.
    _write(tmp_path, 2 * size + 300, make_result, ["4.png"])
    assert _names(tmp_path / "maps") == ["1.tiff", "3.tiff", "4.tiff", "mine.tiff"]
    _write(tmp_path, 2 * size + 300, make_result, ["5.png"])
    assert _names(tmp_path / "maps") == ["1.tiff", "4.tiff", "5.tiff", "mine.tiff"]
    assert (tmp_path / "maps" / "1.tiff").read_bytes() == b"y" * size


def test_files_written_without_a_bound_are_not_deleted(tmp_path: Path, make_result: MakeResult) -> None:
    Maps(tmp_path / "maps", tmp_path / "images").result(*make_result(name="old.png"))
    _write(tmp_path, 1, make_result, ["0.png", "1.png"])
    assert _names(tmp_path / "maps") == ["1.tiff", "old.tiff"]


def test_the_list_stays_short(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_WASTE", 1000)
    longest = 0
    with DiskQuota(20_000) as keep:
        sink = Maps(tmp_path / "maps", tmp_path / "images", options=FileOptions(keep=keep))
        for index in range(120):
            sink.result(*make_result(name=f"{index}.png"))
            longest = max(longest, (tmp_path / "maps" / LEDGER_NAME).stat().st_size)
    # Each entry takes some 40 bytes: 120 of them would be 4.8 kB.
    assert longest < 2500
    assert len(_names(tmp_path / "maps")) >= 3


def test_a_list_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path, make_result: MakeResult) -> None:
    _write(tmp_path, 1_000_000, make_result, ["0.png", "1.png"])
    ledger = tmp_path / "maps" / LEDGER_NAME
    ledger.write_bytes(ledger.read_bytes() + b'["2.tiff", 43')
    _write(tmp_path, 1, make_result, ["3.png"])
    assert _names(tmp_path / "maps") == ["3.tiff"]


def test_two_runs_do_not_share_a_list(tmp_path: Path, make_result: MakeResult) -> None:
    options = {name: FileOptions(live=True, existing="append", keep=DiskQuota(10_000)) for name in "ab"}
    Maps(tmp_path / "maps", tmp_path / "images", options=options["a"])
    with pytest.raises(DmddError, match="Another run"):
        Maps(tmp_path / "maps", tmp_path / "images", options=options["b"])
    # Results of two runs in one folder are fine.
    for name, option in options.items():
        JsonLinesFile(tmp_path / f"{name}.jsonl", option).close()
    for option in options.values():
        assert option.keep is not None
        option.keep.close()
    Maps(tmp_path / "maps", tmp_path / "images", options=FileOptions(keep=DiskQuota(10_000)))


def test_a_resumed_run_keeps_all_results_and_bounds_the_images(
    tmp_path: Path, make_result: MakeResult
) -> None:
    for start in (0, 20):
        with DiskQuota(20_000) as keep:
            options = FileOptions(existing="resume", keep=keep, rotate=2000)
            lines = JsonLinesFile(tmp_path / "results.jsonl", options)
            state = ResumeState([lines.done])
            maps = Maps(tmp_path / "maps", tmp_path / "images", options=options)
            for index in range(start + 20):
                frame, result = make_result(name=f"{index}.png", index=index)
                skipped = state.skip(frame.source, index)
                assert skipped == (index < start)
                if not skipped:
                    maps.result(frame, result)
                    lines.result(frame, result)
            lines.close()
    files = [*tmp_path.glob("results.*.jsonl"), tmp_path / "results.jsonl"]
    assert sum(file.read_text().count("\n") for file in files) == 40
    assert _on_disk(tmp_path / "maps") <= 20_000


def test_what_is_in_use_is_never_deleted(tmp_path: Path, make_result: MakeResult) -> None:
    notes: list[str] = []
    with DiskQuota(100, notes.append) as keep:
        sink = JsonLinesFile(tmp_path / "results.jsonl", FileOptions(keep=keep))
        for index in range(3):
            sink.result(*make_result(index=index))
        assert (tmp_path / "results.jsonl").read_text().count("\n") == 1
        assert list(tmp_path.glob("results.*.jsonl")) == []
        sink.close()
    assert len(notes) == 1
    assert "--keep 100 B" in notes[0]


def test_files_are_rotated_at_a_quarter_of_the_bound_at_least() -> None:
    keep = DiskQuota(4000)
    assert FileOptions(keep=keep).rotate_at == 1000
    assert FileOptions(keep=keep, rotate=300).rotate_at == 300
    assert FileOptions(keep=keep, rotate=5000).rotate_at == 1000
    assert FileOptions(rotate=5000).rotate_at == 5000
    assert FileOptions().rotate_at is None
