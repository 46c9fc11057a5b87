"""A piece is in the file wholly or not at all, whatever the disk does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmdd_edge.runtime.durable.appender import Appender


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Appender]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield Appender(descriptor)
    os.close(descriptor)


class Disk:
    """Takes ``free`` more bytes; cannot cut a file while ``stubborn``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.free, self.stubborn = free, False
        self._write, self._cut = os.write, os.ftruncate
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "ftruncate", self.ftruncate)

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.free:
            raise OSError(28, "No space left on device")
        count = self._write(descriptor, bytes(data)[: self.free])
        self.free -= count
        return count

    def ftruncate(self, descriptor: int, size: int) -> None:
        if self.stubborn:
            raise OSError(5, "Input/output error")
        self._cut(descriptor, size)


@pytest.mark.parametrize("free", [0, 1, 9])
def test_a_part_is_rolled_back(
    tmp_path: Path, file: Appender, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    file.append(b"before")
    disk = Disk(monkeypatch, free)
    with pytest.raises(OSError, match="No space"):
        file.append(b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert (file.size, file.torn) == (6, False)
    disk.free = 100
    file.append(b"after")
    assert (tmp_path / "file").read_bytes() == b"beforeafter"


def test_a_short_write_is_continued(tmp_path: Path, file: Appender, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    file.append(b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"
    assert file.size == 10


def test_a_part_that_cannot_be_cut_off_is_cut_off_later(
    tmp_path: Path, file: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.append(b"before")
    disk = Disk(monkeypatch, 3)
    disk.stubborn = True
    with pytest.raises(OSError, match="No space"):
        file.append(b"0123456789")
    assert file.torn
    assert (tmp_path / "file").read_bytes() == b"before012"
    disk.free = 100
    with pytest.raises(OSError, match="Input/output"):
        file.append(b"after")
    disk.stubborn = False
    file.append(b"after")
    assert (tmp_path / "file").read_bytes() == b"beforeafter"


def test_a_device_is_written_to() -> None:
    descriptor = os.open(os.devnull, os.O_WRONLY | os.O_APPEND)
    file = Appender(descriptor)
    file.append(b"line\n")
    os.close(descriptor)
    assert file.size == 5
