from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.runtime.doctor.isolate import ask

SOURCE = """
import ctypes, os, subprocess, sys, time
from dmdd_edge.errors import DmddError

def add(a, b):
    print("noise on standard output")
    return {"sum": a + b}

def crash():
    print("about to fall", file=sys.stderr, flush=True)
    ctypes.string_at(0)

def end(code):
    os._exit(code)

def leave():
    sys.exit("it left")

def raise_users_error():
    raise DmddError("the lamp is off.", "Switch it on.")

def raise_other():
    raise ImportError("libx.so.1: cannot open\\nand more lines")

def unfit():
    return object()

def hang(file):
    child = subprocess.Popen(["sleep", "600"])
    with open(file, "w") as out:
        out.write(str(child.pid))
    time.sleep(600)

def crash_while_unloading():
    import atexit
    atexit.register(lambda: os.abort())
    return "said before"
"""


def test_an_answer_is_what_the_function_returned(questions: Callable[[str], str]) -> None:
    answer = ask(f"{questions(SOURCE)}:add", 40, 2)
    assert (answer.ok, answer.value, answer.kind) == (True, {"sum": 42}, "")


@pytest.mark.parametrize(
    ("function", "arguments", "kind", "failure"),
    [
        ("crash", (), "crash", "it crashed (SIGSEGV): about to fall"),
        ("end", (7,), "exit", "it ended with the exit code 7"),
        ("leave", (), "SystemExit", "SystemExit: it left"),
        ("raise_other", (), "ImportError", "ImportError: libx.so.1: cannot open"),
        ("no_such_function", (), "AttributeError", "AttributeError: module 'made_up' has no attribute"),
    ],
)
def test_what_goes_wrong_in_there_is_an_answer_too(
    questions: Callable[[str], str], function: str, arguments: tuple[int, ...], kind: str, failure: str
) -> None:
    answer = ask(f"{questions(SOURCE)}:{function}", *arguments)
    assert not answer.ok
    assert answer.value is None
    assert answer.kind == kind
    assert answer.failure.startswith(failure)


def test_a_users_error_keeps_its_fix(questions: Callable[[str], str]) -> None:
    answer = ask(f"{questions(SOURCE)}:raise_users_error")
    assert (answer.failure, answer.fix, answer.kind) == ("the lamp is off.", "Switch it on.", "DmddError")


def test_a_value_that_cannot_be_written_is_no_answer(questions: Callable[[str], str]) -> None:
    answer = ask(f"{questions(SOURCE)}:unfit")
    assert not answer.ok
    assert "not JSON serializable" in answer.failure


def test_a_library_that_crashes_while_it_is_unloaded_has_answered(questions: Callable[[str], str]) -> None:
    assert ask(f"{questions(SOURCE)}:crash_while_unloading").value == "said before"


def test_the_current_folder_is_no_place_for_modules(
    questions: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "made_up.py").write_text("def add(a, b): return 'the wrong one'")
    monkeypatch.chdir(tmp_path)
    assert ask(f"{questions(SOURCE)}:add", 1, 2).value == {"sum": 3}


def test_what_hangs_is_ended_with_all_that_it_started(
    questions: Callable[[str], str], tmp_path: Path
) -> None:
    started = tmp_path / "pid"
    answer = ask(f"{questions(SOURCE)}:hang", str(started), limit=3)
    if not started.exists():
        pytest.skip("the machine is too slow: three seconds did not start a process")
    assert (answer.failure, answer.kind) == ("it gave no answer within 3 s", "timeout")
    pid = int(started.read_text())
    deadline = time.monotonic() + 20
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # Whoever adopts it may take its time to read its end.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
