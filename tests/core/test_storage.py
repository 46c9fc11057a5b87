from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from dmdd_edge.errors import StorageError
from dmdd_edge.failures import storage_error
from dmdd_edge.storage import fsync_path, make_folder, require_writable, sha256_of, write_atomically


def test_hash_of_a_file_longer_than_a_block(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000  # 2.3 MB, read in three parts
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_failed_write_leaves_the_old_text_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "CURRENT"
    write_atomically(path, "old\n")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match="no space is left on the disk") as caught:
        write_atomically(path, "new\n")
    assert str(path) in caught.value.message
    assert caught.value.errno == 28
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    write_atomically(path, "Prüfling\n")
    assert path.read_text(encoding="utf-8") == "Prüfling\n"
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission is denied"),
        (errno.ESTALE, "the network share is gone (stale file handle)"),
        (errno.ENOTDIR, "a part of the path is a file, not a folder"),
        (errno.EIO, "the disk reports an input/output error"),
    ],
)
def test_an_error_of_the_system_names_path_reason_and_fix(number: int, reason: str) -> None:
    found = storage_error(OSError(number, os.strerror(number), "/mnt/runs/a"), doing="written")
    assert found.message == f"/mnt/runs/a cannot be written: {reason}."
    assert found.fix.endswith(".")
    assert isinstance(found, OSError)
    assert storage_error(found, "/elsewhere") is found


def test_every_operation_reports_in_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    for act in (sha256_of, fsync_path, lambda path: write_atomically(path, "x"), make_folder):
        with pytest.raises(StorageError, match="a part of the path is a file"):
            act(tmp_path / "file" / "below")

    def refuse(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="input/output error"):
        write_atomically(tmp_path / "new", "x")
    assert not (tmp_path / "new").exists()
    with pytest.raises(StorageError, match="input/output error"):
        fsync_path(tmp_path)


def test_a_file_with_the_longest_name_there_may_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomically(path, "x")
    assert path.read_text() == "x"
    with pytest.raises(StorageError, match="the name is too long"):
        write_atomically(tmp_path / ("n" * 256), "x")


def test_a_folder_is_tried_before_the_work_and_nothing_is_left(tmp_path: Path) -> None:
    require_writable(tmp_path / "runs" / "deep", "--runs-dir")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    for wrong in (tmp_path / "file", tmp_path / "file" / "runs", tmp_path / ("n" * 300), Path("/proc/runs")):
        with pytest.raises(StorageError) as caught:
            require_writable(wrong, "--runs-dir")
        assert str(wrong) in caught.value.message
