from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.runtime.doctor.subprocess_call import call

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

def raise_backend_error():
    from dmdd_edge.errors import BackendError
    raise BackendError("the GPU is gone.", "Restart.")

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


def test_a_reply_has_what_the_function_returned(module: Callable[[str], str]) -> None:
    reply = call(f"{module(SOURCE)}:add", 40, 2)
    assert (reply.ok, reply.value, reply.kind) == (True, {"sum": 42}, "")


@pytest.mark.parametrize(
    ("function", "arguments", "kind", "failure"),
    [
        ("crash", (), "crash", "it crashed (SIGSEGV): about to fall"),
        ("end", (7,), "exit", "it exited with code 7"),
        ("leave", (), "SystemExit", "SystemExit: it left"),
        ("raise_other", (), "ImportError", "ImportError: libx.so.1: cannot open"),
        ("no_such_function", (), "AttributeError", "AttributeError: module 'sample_module' has no attribute"),
    ],
)
def test_a_failure_in_the_subprocess_is_a_reply(
    module: Callable[[str], str], function: str, arguments: tuple[int, ...], kind: str, failure: str
) -> None:
    reply = call(f"{module(SOURCE)}:{function}", *arguments)
    assert not reply.ok
    assert reply.value is None
    assert reply.kind == kind
    assert reply.failure.startswith(failure)


def test_a_users_error_keeps_its_fix(module: Callable[[str], str]) -> None:
    reply = call(f"{module(SOURCE)}:raise_users_error")
    assert (reply.failure, reply.fix, reply.kind) == ("the lamp is off.", "Switch it on.", "DmddError")
    reply = call("sample_module:raise_backend_error")
    assert (reply.failure, reply.fix, reply.kind) == ("the GPU is gone.", "Restart.", "BackendError")


def test_a_value_that_cannot_be_serialized_is_a_failure(module: Callable[[str], str]) -> None:
    reply = call(f"{module(SOURCE)}:unfit")
    assert not reply.ok
    assert "not JSON serializable" in reply.failure


def test_a_library_that_crashes_while_it_is_unloaded_has_replied(module: Callable[[str], str]) -> None:
    assert call(f"{module(SOURCE)}:crash_while_unloading").value == "said before"


def test_the_current_folder_is_not_searched_for_modules(
    module: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "sample_module.py").write_text("def add(a, b): return 'the wrong one'")
    monkeypatch.chdir(tmp_path)
    assert call(f"{module(SOURCE)}:add", 1, 2).value == {"sum": 3}


def test_a_call_that_hangs_is_killed_with_its_children(module: Callable[[str], str], tmp_path: Path) -> None:
    started = tmp_path / "pid"
    reply = call(f"{module(SOURCE)}:hang", str(started), limit=3)
    if not started.exists():
        pytest.skip("the machine is too slow: three seconds did not start a process")
    assert (reply.failure, reply.kind) == ("no reply within 3 s", "timeout")
    pid = int(started.read_text())
    deadline = time.monotonic() + 20
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # The process that adopts it may reap it late.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
