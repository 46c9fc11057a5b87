"""When data is forced onto the disk, and what becomes of an error."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmdd_edge.runtime.durable.syncing import Syncer


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    yield opened
    os.close(opened)


class Disk:
    """Replaces ``os.fsync``: notes the size of each file, or fails."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.failing = False
        self.synced = threading.Event()

    def fsync(self, descriptor: int) -> None:
        self.synced.set()
        if self.failing:
            raise OSError(5, "Input/output error")
        self.sizes.append(os.fstat(descriptor).st_size)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


def test_second_syncs_the_last_write_though_no_other_follows(descriptor: int, disk: Disk) -> None:
    syncer = Syncer("second")
    os.write(descriptor, b"x" * 7)
    syncer.wrote(descriptor)
    assert disk.synced.wait(30)
    syncer.close()
    assert disk.sizes[0] == 7


def test_a_close_in_the_moment_of_a_sync_ends_the_thread(
    descriptor: int, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncer = Syncer("second")

    def just_missed(seconds: float) -> bool:
        """The second is over, and the file is closed before the thread goes on."""
        syncer._closing.set()
        syncer._dirty.set()
        return False

    monkeypatch.setattr(syncer._closing, "wait", just_missed)
    os.write(descriptor, b"x")
    syncer.wrote(descriptor)
    assert syncer._thread is not None
    syncer._thread.join(30)
    assert not syncer._thread.is_alive()
    assert disk.sizes == [1]


def test_always_syncs_each_write_and_never_none(descriptor: int, disk: Disk) -> None:
    for policy in ("always", "never"):
        syncer = Syncer(policy)  # type: ignore[arg-type]
        for _ in range(2):
            os.write(descriptor, b"x")
            syncer.wrote(descriptor)
        syncer.close()
    assert disk.sizes == [1, 2]


def test_a_completed_file_is_synced_before_it_is_closed(tmp_path: Path, disk: Disk) -> None:
    syncer = Syncer("second")
    first = os.open(tmp_path / "first", os.O_WRONLY | os.O_CREAT)
    os.write(first, b"x" * 3)
    syncer.wrote(first)
    syncer.completed(first)
    os.fstat(first)  # still open: nobody waited for the disk
    syncer.close()
    assert disk.sizes == [3]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)


def test_an_error_of_the_thread_is_handed_out_once(descriptor: int, disk: Disk) -> None:
    syncer = Syncer("second")
    syncer.wrote(descriptor)
    disk.failing = True
    syncer.sync()
    disk.failing = False
    syncer.sync()
    assert syncer.fault is None, "the last sync succeeded"
    assert "Input/output" in str(syncer.take_error())
    assert syncer.take_error() is None
    syncer.close()


def test_always_raises_the_error_at_once(descriptor: int, disk: Disk) -> None:
    disk.failing = True
    syncer = Syncer("always")
    with pytest.raises(OSError, match="Input/output"):
        syncer.wrote(descriptor)
    syncer.close()


def test_a_machine_without_threads_left_is_an_error_of_the_disk(
    descriptor: int, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    syncer = Syncer("second")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(OSError, match="no further thread"):
            syncer.wrote(descriptor)
    syncer.wrote(descriptor)  # it is tried again with the next write
    syncer.close()
    assert disk.sizes[-1:] == [0]


def test_it_syncs_although_no_descriptor_is_left(
    descriptor: int, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dup(descriptor: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "dup", dup)
    syncer = Syncer("second")
    os.write(descriptor, b"x" * 5)
    syncer.wrote(descriptor)
    syncer.sync()
    assert disk.sizes[-1:] == [5]
    assert syncer.fault is None
    syncer.close()
