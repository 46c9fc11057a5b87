"""Files that come from elsewhere: lines of any length, and what is not a regular file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmdd_edge.failures import storage_error
from dmdd_edge.outside_files import open_to_append, read_lines


def test_a_name_that_the_locale_does_not_have_is_an_error_of_its_own(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from dmdd_edge.errors import BundleError\n"
        "from dmdd_edge.outside_files import inside\n"
        "try: inside(Path('.'), 'b\\xe4.engine')\n"
        "except BundleError as error: print(ascii(error.message), error.fix)\n"
    )
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=ascii_only, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "no such characters" in done.stdout
    assert "export LC_ALL=C.UTF-8" in done.stdout


def test_lines_have_the_position_after_them_and_a_torn_one_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"one\n\nthree\ntor")
    assert list(read_lines(file)) == [(4, b"one\n"), (5, b"\n"), (11, b"three\n")]
    assert list(read_lines(file, 5)) == [(11, b"three\n")]


@pytest.mark.parametrize("length", [7, 8, 9, 15, 16, 17, 40])
def test_a_line_that_is_too_long_is_empty_and_the_next_one_whole(tmp_path: Path, length: int) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"a\n" + b"x" * length + b"\nb\n")
    long = b"x" * 7 + b"\n" if length == 7 else b""
    assert list(read_lines(file, longest=8)) == [(2, b"a\n"), (length + 3, long), (length + 5, b"b\n")]


def test_a_line_that_is_finished_while_it_is_read_is_left_for_the_next_look(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    with file.open("wb", buffering=0) as writer:
        writer.write(b"a\nhal")
        lines = read_lines(file)
        assert next(lines) == (2, b"a\n")
        writer.write(b"f\n")
        rest = list(lines)
    assert rest in ([], [(7, b"half\n")])
    assert list(read_lines(file, 2)) == [(7, b"half\n")]


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe, link, victim = tmp_path / "pipe", tmp_path / "link", tmp_path / "victim"
    os.mkfifo(pipe)
    victim.write_text("one\ntorn")
    link.symlink_to(victim)
    for path, kind in ((pipe, "a FIFO"), (link, "a link")):
        with pytest.raises(OSError, match=f"it is {kind}, not a regular file") as caught:
            open_to_append(path)
        assert storage_error(caught.value, path).fix == "Replace it by the file itself, or remove it."
    with pytest.raises(OSError, match="it is a FIFO"):
        next(read_lines(pipe))
    assert victim.read_text() == "one\ntorn"
