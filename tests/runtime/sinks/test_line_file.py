"""Rotation, forcing onto the disk, and one writer a file."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import DmddError, StorageError
from dmdd_edge.locking import try_lock
from dmdd_edge.runtime.durable import locking
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.options.sizes import parse_size, size_text, written_size
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import line_file
from dmdd_edge.runtime.sinks.csv_file import COLUMNS, CsvFile
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile

MakeResult = Callable[..., "tuple[Frame, Result]"]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500KB", 500_000),
        ("2GB", 2_000_000_000),
        ("1.5 mb", 1_500_000),
        ("64MiB", 67_108_864),
        ("4096", 4096),
        ("1TiB", 2**40),
        ("10b", 10),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "2 gigs", "1e9", "0", "0.5B", "1,5GB", "8bit", "1_0"])
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(DmddError, match="--keep") as caught:
        parse_size(text, "--keep")
    assert "GB" in str(caught.value)


def test_sizes_in_words() -> None:
    assert [size_text(n) for n in (12, 1500, 2_000_000_000)] == ["12 B", "1.5 KB", "2.0 GB"]


def test_files_rotate_below_the_size_and_keep_their_order(tmp_path: Path, make_result: MakeResult) -> None:
    path = tmp_path / "results.csv"
    options = FileOptions(rotate=600)
    sink = CsvFile(path, options)
    for index in range(20):
        sink.result(*make_result(name=f"{index}.png", index=index))
    sink.close()
    parts = sorted(tmp_path.glob("results.*.csv"))
    assert parts[0].name == "results.000001.csv"
    assert len(parts) == 3
    found = []
    for file in [*parts, path]:
        assert file.stat().st_size <= 600
        with file.open(newline="") as stream:
            header, *rows = csv.reader(stream)
        assert tuple(header) == COLUMNS
        found += [int(row[1]) for row in rows]
    assert found == list(range(20))
    # A later run counts on, and never writes over a part.
    before = {part: part.read_bytes() for part in parts}
    sink = CsvFile(path, FileOptions(rotate=600, existing="append"))
    for index in range(10):
        sink.result(*make_result(index=index))
    sink.close()
    assert len(list(tmp_path.glob("results.*.csv"))) > len(parts)
    assert all(part.read_bytes() == content for part, content in before.items())


def test_a_line_longer_than_the_size_gets_a_file_of_its_own(tmp_path: Path, make_result: MakeResult) -> None:
    sink = JsonLinesFile(tmp_path / "results.jsonl", FileOptions(rotate=10))
    for index in range(3):
        sink.result(*make_result(index=index))
    sink.close()
    files = [*sorted(tmp_path.glob("results.*.jsonl")), tmp_path / "results.jsonl"]
    assert [json.loads(file.read_text())["index"] for file in files] == [0, 1, 2]


def test_a_file_that_was_moved_is_begun_again(tmp_path: Path, make_result: MakeResult) -> None:
    path = tmp_path / "results.jsonl"
    sink = JsonLinesFile(path, FileOptions(rotate=1000))
    sink.result(*make_result(index=0))
    path.rename(tmp_path / "away.jsonl")
    for index in range(1, 4):
        sink.result(*make_result(index=index))
    sink.close()
    files = [tmp_path / "away.jsonl", *sorted(tmp_path.glob("results.*.jsonl")), path]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3]


def test_each_line_is_one_write(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bytes] = []
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        calls.append(bytes(data))
        return real(descriptor, data)

    sinks = JsonLinesFile(tmp_path / "results.jsonl"), CsvFile(tmp_path / "results.csv")
    monkeypatch.setattr(os, "write", write)
    for index in range(3):
        for sink in sinks:
            sink.result(*make_result(index=index))
    lines, rows = calls[::2], calls[1::2]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in [*lines, *rows[1:]])
    assert rows[0].startswith(b"source,"), "the header comes with the first row"
    assert rows[0].count(b"\n") == 2
    for sink in sinks:
        sink.close()


def test_a_second_run_cannot_write_to_the_same_file(tmp_path: Path, make_result: MakeResult) -> None:
    first = JsonLinesFile(tmp_path / "results.jsonl", FileOptions(rotate=100))
    for _ in range(2):
        first.result(*make_result())  # rotates: the new file is locked too
        with pytest.raises(DmddError, match="another run"):
            JsonLinesFile(tmp_path / "results.jsonl", FileOptions(existing="append"))
    first.close()
    JsonLinesFile(tmp_path / "results.jsonl", FileOptions(existing="append")).close()


def test_a_file_that_is_rotated_while_a_second_run_opens_it_stays_whole(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one has opened what is a part by the time it gets the lock: it must not replace that."""
    path, part = tmp_path / "results.jsonl", tmp_path / "results.000001.jsonl"
    first = JsonLinesFile(path)
    first.result(*make_result(index=0))
    first.close()
    before, real = path.read_bytes(), try_lock

    def lock(descriptor: int) -> bool | None:
        if not part.exists():
            path.rename(part)
            path.write_bytes(before)
        return real(descriptor)

    monkeypatch.setattr(locking, "try_lock", lock)
    second = JsonLinesFile(path, FileOptions(existing="append"))
    second.result(*make_result(index=1))
    second.close()
    assert part.read_bytes() == before
    assert path.read_bytes().startswith(before)
    assert path.read_bytes().count(b"\n") == 2


def test_a_run_that_takes_the_name_during_rotation_makes_the_other_wait(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_file, "RETRY", 0.0)
    path, notes, others = tmp_path / "results.jsonl", list[str](), list[JsonLinesFile]()
    options = FileOptions(live=True, existing="append", rotate=1, note=notes.append)
    sink, real = JsonLinesFile(path, options), os.rename

    def rename(old: Path, new: Path) -> None:
        real(old, new)
        if not others:
            others.append(JsonLinesFile(path, FileOptions(live=True, existing="append")))

    monkeypatch.setattr(os, "rename", rename)
    for index in range(3):
        sink.result(*make_result(index=index))
    assert notes == [
        f"{path} cannot be written: another run is writing to it. The run continues; "
        "up to 10000 results wait in memory."
    ]
    others[0].close()
    sink.result(*make_result(index=3))
    sink.close()
    files = [*sorted(tmp_path.glob("results.*.jsonl")), path]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3]


def test_lines_may_go_to_a_device(make_result: MakeResult) -> None:
    for _ in range(2):
        sink = JsonLinesFile(Path(os.devnull), FileOptions(rotate=10, fsync="always"))
        sink.result(*make_result())
        sink.result(*make_result())
    sink.close()


def test_a_full_device_is_reported_at_once(make_result: MakeResult) -> None:
    notes: list[str] = []
    sink = JsonLinesFile(Path("/dev/full"), FileOptions(note=notes.append))
    with pytest.raises(StorageError, match="/dev/full cannot be written: No space left") as caught:
        sink.result(*make_result())
    sink.close()
    assert caught.value.errno == errno.ENOSPC
    assert notes == []


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    with pytest.raises(DmddError, match="cannot be written"):
        JsonLinesFile(tmp_path / "loop.jsonl")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DmddError, match="not a regular file"):
        JsonLinesFile(tmp_path / "pipe")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """How large a file of this test was each time it was forced onto the disk.

    A thread that forces files each second may be left of another test.
    """
    sizes: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        file = Path(f"/proc/self/fd/{descriptor}").resolve()
        if file.is_relative_to(tmp_path) and not file.is_dir():
            sizes.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    return sizes


def test_always_forces_each_line_and_never_none(
    tmp_path: Path, make_result: MakeResult, synced: list[int]
) -> None:
    sink = JsonLinesFile(tmp_path / "a.jsonl", FileOptions(fsync="always"))
    sizes = []
    for _ in range(3):
        sink.result(*make_result())
        sizes.append((tmp_path / "a.jsonl").stat().st_size)
    assert synced == sizes
    sink.close()
    synced.clear()
    sink = JsonLinesFile(tmp_path / "b.jsonl", FileOptions(fsync="never", rotate=500))
    for _ in range(3):
        sink.result(*make_result())
    sink.close()
    assert synced == []


def test_what_is_left_is_forced_when_the_file_is_closed_or_rotated(
    tmp_path: Path, make_result: MakeResult, synced: list[int]
) -> None:
    sink = JsonLinesFile(tmp_path / "results.jsonl", FileOptions(fsync="second", rotate=500))
    sink.result(*make_result())
    size = (tmp_path / "results.jsonl").stat().st_size
    sink.result(*make_result())
    sink.close()
    assert synced[0] == size
    assert len(synced) >= 2


def test_lines_that_did_not_reach_the_disk_end_a_run_over_files(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    notes: list[str] = []
    live = JsonLinesFile(tmp_path / "live.jsonl", FileOptions(live=True, fsync="always", note=notes.append))
    files = JsonLinesFile(tmp_path / "files.jsonl", FileOptions(fsync="always"))
    late = JsonLinesFile(tmp_path / "late.jsonl", FileOptions(fsync="second"))
    monkeypatch.setattr(os, "fsync", fsync)
    live.result(*make_result())
    live.close()
    assert "Input/output error" in notes[0]
    with pytest.raises(DmddError, match="Input/output error") as caught:
        files.result(*make_result())
    assert "--resume" in caught.value.fix
    files.close()
    assert (tmp_path / "files.jsonl").read_text().count("\n") == 1, "it is not written a second time"
    late.result(*make_result())
    with pytest.raises(DmddError, match="Input/output error"):
        late.close()


@pytest.mark.parametrize(
    ("size", "written"),
    [(1, 1), (1500, 1500), (2_000, "2KB"), (10**12, "1TB"), (1 << 30, "1GiB"), (3 << 10, "3KiB")],
)
def test_a_size_is_written_as_it_can_be_read(size: int, written: int | str) -> None:
    assert written_size(size) == written
    assert parse_size(str(written)) == size
