"""Only the torn tail of a file of lines is cut off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmdd_edge.runtime.durable.lines import cut_torn_tail, whole_length


@pytest.mark.parametrize("padding", [0, 1 << 16, (1 << 17) + 5])
def test_only_the_torn_tail_is_cut(tmp_path: Path, padding: int) -> None:
    whole = b"first\nsecond\n"
    path = tmp_path / "a"
    path.write_bytes(whole + b"x" * padding)
    assert cut_torn_tail(path) == len(whole)
    assert path.read_bytes() == whole


def test_a_file_of_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\0" * 70000)
    assert cut_torn_tail(path) == 0
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("content", "length"),
    [
        (b"", 0),
        (b"torn", 0),
        (b"\n", 1),
        (b"one\ntwo\n", 8),
        (b"one\ntwo\nthr", 8),
        (b"one\n" + b"\0" * 70000, 4),
        (b"one\nhal\0\0\0", 4),
    ],
)
def test_the_whole_lines_end_at_the_last_break(tmp_path: Path, content: bytes, length: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    assert whole_length(descriptor) == length
    os.close(descriptor)
