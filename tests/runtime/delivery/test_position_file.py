"""The delivered position: whatever happens to the file, an old position comes back, never a wrong one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmdd_edge.runtime.delivery.position_file import Position, PositionFile


def _written(path: Path, *positions: Position) -> bytes:
    file = PositionFile(path)
    for position in positions:
        file.write(position)
    file.close()
    return path.read_bytes()


def _read(path: Path) -> Position:
    file = PositionFile(path)
    file.close()
    return file.position


def test_the_last_position_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "position"
    assert _read(path) == (0, 0)
    _written(path, Position(1, 10), Position(1, 20), Position(2, 5))
    assert _read(path) == (2, 5)
    _written(path, Position(2, 9))
    assert _read(path) == (2, 9)


def test_a_torn_write_leaves_the_position_before(tmp_path: Path) -> None:
    path = tmp_path / "position"
    before = _written(path, Position(1, 10), Position(1, 20))
    after = _written(path, Position(1, 300))
    changed = [n for n in range(len(after)) if after[n : n + 1] != before[n : n + 1]]
    assert 0 < len(changed) <= 28
    for cut in changed[1:]:
        # The write reached the disk up to here only.
        path.write_bytes(after[:cut] + before[cut:])
        assert _read(path) == (1, 20)


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"nonsense" * 1024, os.urandom(8192)])
def test_nonsense_is_not_a_position(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "position"
    path.write_bytes(content)
    assert _read(path) == (0, 0)


def test_a_position_that_cannot_be_written_is_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "position"
    file = PositionFile(path)
    file.write(Position(1, 10))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", _no_space)
        file.write(Position(1, 20))
    assert file.position == (1, 20)
    assert _read(path) == (1, 10)
    file.write(Position(1, 30))
    file.close()
    assert _read(path) == (1, 30)


def _no_space(*arguments: object) -> int:
    raise OSError(28, "No space left on device")
