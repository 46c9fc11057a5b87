"""Asking a question in a process of its own, so that the answer may be a crash.

A native library that was built for another machine ends the process that imports it, and a driver that hangs
keeps it for ever. Neither may happen to the program that is to tell of it.
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

#: The end of what a process wrote to standard error, in characters, that is kept.
_KEPT = 4000
_CALL = (
    "import sys; sys.path[:] = [folder for folder in sys.path if folder]; "
    "from dmdd_edge.runtime.doctor.child import main; main()"
)


@dataclass(frozen=True)
class Answer:
    """What a question came to.

    Attributes:
        value: what the function returned; None when it failed.
        failure: why there is no value; empty when there is one.
        fix: what the error itself says about mending it.
        kind: the exception's name, or ``crash``, ``timeout`` or ``exit``; empty when all is well.
        said: the last lines that the process wrote to standard error.
    """

    value: Any = None
    failure: str = ""
    fix: str = ""
    kind: str = ""
    said: str = ""

    @property
    def ok(self) -> bool:
        """Whether the function returned."""
        return not self.failure


def ask(question: str, *arguments: Any, limit: float = 60.0) -> Answer:
    """Call a function in a new process of the same interpreter; never raises for what happens in there.

    Args:
        question: ``module:function``; what it returns must be fit for JSON.
        arguments: fit for JSON.
        limit: seconds that it may take.
    """
    with tempfile.TemporaryFile() as result, tempfile.TemporaryFile() as errors:
        handle = result.fileno()
        # Not by -m, which would look for modules in the current folder first, as the program itself does not.
        command = [sys.executable, "-c", _CALL, question]
        process = subprocess.Popen(
            [*command, json.dumps(arguments), str(handle)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # native libraries write there as they like
            stderr=errors,
            pass_fds=(handle,),
            start_new_session=True,  # what it starts itself must end with it
        )
        late = False
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            _end(process)
        said = _tail(errors)
        result.seek(0)
        try:
            written = json.loads(result.read())
        except ValueError:
            written = None
    if late:
        return Answer(failure=f"it gave no answer within {limit:g} s", kind="timeout", said=said)
    if isinstance(written, dict):
        return Answer(said=said, **written)
    return _crashed(process.returncode, said)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process and of those that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _crashed(code: int, said: str) -> Answer:
    last = said.splitlines()[-1].strip() if said else ""
    also = f": {last}" if last else ""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return Answer(failure=f"it crashed ({name}){also}", kind="crash", said=said)
    return Answer(failure=f"it ended with the exit code {code}{also}", kind="exit", said=said)


def _tail(file: Any) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _KEPT))
    return str(file.read().decode("utf-8", "replace")).strip()
