"""The program with standard streams that are closed, full, never read, or of another locale."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.cli import streams
from dmdd_edge.cli.console import complain, console, print_json

Shell = Callable[..., "subprocess.CompletedProcess[bytes]"]

_PROGRAM = f"'{sys.executable}' -c 'from dmdd_edge.cli.main import main; main()'"
# What a long command does: many lines by all the ways there are, then a proof that it came to its end.
_TALK = """
import logging, os, sys, warnings
from dmdd_edge.cli import streams
from dmdd_edge.cli.console import complain, console
from dmdd_edge.cli.streams import standard_streams, write_output
streams._LAST_WORDS = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
with standard_streams():
    for number in range(int(sys.argv[1])):
        console.print(f"line {number} \\u00fc :key: [red]")
        logging.getLogger("other").warning("logged %d", number)
        warnings.warn(f"warned {number}")
        print("x" * 200, file=sys.stderr)
        try:
            os.write(2, b"native\\n")
        except OSError:
            pass
    complain("it \\x1b[2J ends", "go on")
    write_output("done \\u00fc\\n")
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a line of shell; TALK is the script above, PROGRAM the program."""
    (tmp_path / "talk.py").write_text(_TALK, encoding="utf-8")
    talk = f"'{sys.executable}' '{tmp_path / 'talk.py'}'"

    def run(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["sh", "-c", line.replace("TALK", talk).replace("PROGRAM", _PROGRAM)],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "2>&- <&-"])
def test_it_ends_well_whatever_standard_error_is(shell: Shell, where: str) -> None:
    done = shell(f"TALK 20 {where}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done ü\n".encode(), b"")


def test_a_pipe_that_nobody_reads_does_not_stop_it(tmp_path: Path, shell: Shell) -> None:
    shell("true")  # writes the script
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "talk.py", "2000", "0.1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=writing,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stdout) == (0, "done ü\n".encode())
    os.close(reading)


def test_a_terminal_that_goes_away_does_not_end_it(tmp_path: Path, shell: Shell) -> None:
    shell("true")
    master, terminal = pty.openpty()
    script = "import os, sys; os.read(0, 1); sys.argv[1:] = ['20']; exec(open('talk.py').read())"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        os.close(master)  # every write gets EIO from now on
        assert process.communicate(b"x", timeout=60)[0] == "done ü\n".encode()
        assert process.returncode == 0


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C"}]
)
def test_text_is_shown_as_it_is_in_any_locale(shell: Shell, locale: dict[str, str]) -> None:
    done = shell("TALK 1", **locale)
    assert done.returncode == 0
    assert done.stdout == "done ü\n".encode()  # for programs it is UTF-8 everywhere
    assert b" :key: [red]\n" in done.stderr
    assert b"logged 0\n" in done.stderr
    assert b"error: it \\x1b[2J ends\nfix:   go on\n" in done.stderr


def test_standard_output_that_is_closed_or_full_is_one_message(shell: Shell) -> None:
    for line, part in {
        "PROGRAM models --json >&-": b"Standard output is closed",
        "PROGRAM models --json >/dev/full": b"Standard output cannot be written: No space left on device.",
        "PROGRAM --version >/dev/full": b"Standard output cannot be written: No space left on device.",
    }.items():
        done = shell(line)
        assert done.returncode == 1, line
        assert part in done.stderr
        assert done.stderr.count(b"\n") == 2, done.stderr  # the error and its fix


def test_nothing_of_a_closed_stream_reaches_a_file_that_is_opened_later(shell: Shell) -> None:
    script = (
        "import os; from dmdd_edge.cli.streams import standard_streams\n"
        "with standard_streams():\n"
        "    file = open('results', 'wb'); os.write(2, b'native'); file.write(b'result')"
    )
    assert shell(f'{sys.executable} -c "{script}" 2>&-; cat results').stdout == b"result"


def test_a_stream_that_somebody_replaced_stays(capsys: pytest.CaptureFixture[str]) -> None:
    mine = sys.stdout, sys.stderr
    with streams.standard_streams():
        assert (sys.stdout, sys.stderr) == mine
        print_json({"name": "ü"})
        complain("what")
    assert capsys.readouterr() == (json.dumps({"name": "ü"}, indent=2) + "\n", "error: what\n")


def test_a_complaint_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    complain("nobody", "hears it")
    console.print("nor this")


def test_a_reader_that_went_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as stream:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(DmddError, match="closed by its reader"):
            print_json({})
