"""A record that is changed in place: whatever is cut off or damaged, an intact record comes back, or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dmdd_edge.runtime.durable.slots import SlotFile


def write(path: Path, *records: bytes, over: bool = False) -> None:
    file = SlotFile(path, 5)
    for record in records:
        file.write(record, over)
    file.sync()
    file.close()


def read(path: Path) -> tuple[bytes | None, bool]:
    file = SlotFile(path, 5)
    return file.record, file.damaged


def test_the_newest_record_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "slots"
    assert read(path) == (None, False)
    write(path, b"first")
    assert read(path) == (b"first", False)
    write(path, b"2nd..", b"third")
    assert read(path) == (b"third", False)


def test_a_torn_write_leaves_the_record_before(tmp_path: Path) -> None:
    path = tmp_path / "slots"
    write(path, b"first", b"2nd..")
    before = path.read_bytes()
    write(path, b"third")
    after = path.read_bytes()
    assert len(after) == 4096 + 8 + 5 + 4
    changed = [n for n in range(len(after)) if after[n] != before[n]]
    for cut in changed[1:]:
        path.write_bytes(after[:cut] + before[cut:])
        assert read(path) == (b"2nd..", True)


def test_writing_over_the_newest_leaves_what_was_synced_before(tmp_path: Path) -> None:
    path = tmp_path / "slots"
    write(path, b"first", b"2nd..")
    write(path, b"third", b"4th..", over=True)
    content = bytearray(path.read_bytes())
    assert b"first" in content
    content[4096 + 8] ^= 1  # of the slot that was written over
    path.write_bytes(content)
    assert read(path) == (b"first", True)


def test_after_a_sync_nothing_damaged_is_left(tmp_path: Path) -> None:
    path = tmp_path / "slots"
    path.write_bytes(os.urandom(8192))
    assert read(path) == (None, True)
    write(path, b"first")
    assert read(path) == (b"first", False)
    assert path.read_bytes().count(b"first") == 2


def test_an_old_record_that_could_not_be_read_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "slots"
    write(path, *[b"old.."] * 9)
    pread = os.pread

    def fail(*arguments: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    file = SlotFile(path, 5)
    assert (file.record, file.damaged) == (None, True)
    monkeypatch.setattr(os, "pread", pread)
    file.write(b"new..")
    file.sync()
    file.close()
    assert read(path) == (b"new..", False)


def test_a_disk_that_takes_a_part_has_taken_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "slots"
    write(path, b"first")
    file = SlotFile(path, 5)
    pwrite = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda handle, data, offset: pwrite(handle, data[:3], offset))
        with pytest.raises(OSError, match="No space left"):
            file.write(b"2nd..")
    assert read(path) == (b"first", True)
    file.write(b"third")
    file.close()
    assert read(path) == (b"third", False)


def test_its_room_is_taken_before_it_is_needed(tmp_path: Path) -> None:
    file = SlotFile(tmp_path / "slots", 5, allocate=True)
    file.open()
    file.close()
    assert (tmp_path / "slots").stat().st_size == 8192
    assert (tmp_path / "slots").stat().st_blocks * 512 >= 8192
