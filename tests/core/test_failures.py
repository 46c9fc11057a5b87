"""Errors of the operating system name the folder that is missing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dmdd_edge.errors import StorageError
from dmdd_edge.failures import storage_error, storage_errors
from dmdd_edge.runs import list_runs


def test_the_missing_folder_of_a_file_to_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "deep" / "o.png"
    with pytest.raises(StorageError) as caught, storage_errors(path):
        path.write_bytes(b"")
    assert caught.value.message == f"{path} cannot be written: the folder {path.parent} does not exist."
    assert caught.value.fix == f"Make it (mkdir -p {path.parent}), or name another folder."
    with pytest.raises(StorageError) as caught, storage_errors(path, "read"):
        path.read_bytes()
    assert caught.value.message == f"{path} cannot be read: it does not exist."


def test_a_removed_current_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with pytest.raises(StorageError) as caught:
        list_runs()
    for known in (caught.value, storage_error(error, None, "read"), storage_error(error, Path("runs"))):
        assert known.message == "The current folder does not exist any more."
        assert known.fix == "Change to one that exists: cd DIR."
    assert "it does not exist" in storage_error(error, tmp_path / "x", "read").message
    monkeypatch.chdir(tmp_path)
