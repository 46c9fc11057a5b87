"""Call a function in a subprocess, so that a crash or a hang becomes a reply.

A native library built for another machine terminates the process that imports it, and a driver that hangs
blocks it forever. Neither may happen to the program that reports them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

#: Characters of the end of the subprocess's standard error that are kept.
_KEPT = 4000
_COMMAND = (
    "import sys; sys.path[:] = [folder for folder in sys.path if folder]; "
    "from dmdd_edge.runtime.doctor._worker import main; main()"
)


@dataclass(frozen=True)
class Reply:
    """The result of a call.

    Attributes:
        value: what the function returned; None when it failed.
        failure: why there is no value; empty when there is one.
        fix: how to fix it, as the error itself says.
        kind: the exception's name, or ``crash``, ``timeout`` or ``exit``; empty after success.
        stderr: the last lines that the subprocess wrote to standard error.
    """

    value: Any = None
    failure: str = ""
    fix: str = ""
    kind: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Whether the function returned."""
        return not self.failure


def call(function: str, *arguments: Any, limit: float = 60.0) -> Reply:
    """Call a function in a new process of the same interpreter; never raises for what happens there.

    Args:
        function: ``module:name``; its result must be serializable as JSON.
        arguments: serializable as JSON.
        limit: seconds until the call is aborted.
    """
    with tempfile.TemporaryFile() as result, tempfile.TemporaryFile() as errors:
        handle = result.fileno()
        # Not by -m, which would search the current folder for modules first; the program itself does not.
        command = [sys.executable, "-c", _COMMAND, function]
        process = subprocess.Popen(
            [*command, json.dumps(arguments), str(handle)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # native libraries write to it
            stderr=errors,
            pass_fds=(handle,),
            start_new_session=True,  # its children must end with it
        )
        late = False
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            _end(process)
        stderr = _tail(errors)
        result.seek(0)
        try:
            fields = json.loads(result.read())
        except ValueError:
            fields = None
    if late:
        return Reply(failure=f"no reply within {limit:g} s", kind="timeout", stderr=stderr)
    if isinstance(fields, dict):
        return Reply(stderr=stderr, **fields)
    return _crashed(process.returncode, stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what remains of a process and its children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _crashed(code: int, stderr: str) -> Reply:
    last = stderr.splitlines()[-1].strip() if stderr else ""
    detail = f": {last}" if last else ""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return Reply(failure=f"it crashed ({name}){detail}", kind="crash", stderr=stderr)
    return Reply(failure=f"it exited with code {code}{detail}", kind="exit", stderr=stderr)


def _tail(file: Any) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _KEPT))
    return str(file.read().decode("utf-8", "replace")).strip()
