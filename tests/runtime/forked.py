"""Starts the program by forking a process that has imported it: in milliseconds instead of a second.

The process that is forked does nothing but import; each start is a separate process with its own folder,
streams, exit code and end, as ``python -c`` would make it.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
#: What imports of the runtime's commands take their time with.
_LIBRARIES = ("cv2", "onnxruntime", "pydantic", "rich.progress", "rich.table")
_MODULES = (
    *("dmdd_edge.runtime.assembly", "dmdd_edge.runtime.bench.timing", "dmdd_edge.runtime.comparison"),
    *("dmdd_edge.runtime.backends", "dmdd_edge.runtime.sinks", "dmdd_edge.runtime.station.run_station"),
)
#: Variables, or how they begin, that are read where they are used; libraries set some while tests run.
_READ_LATER = ("PYTEST_CURRENT_TEST", "OPENCV_FFMPEG_", "RAY_")
_SIZE = 8
CODE = "from dmdd_edge.cli.main import main; main()"
#: The program, without depending on where its script was installed.
PROGRAM = [sys.executable, "-c", CODE]


class Started:
    """A process that was forked, as ``subprocess.Popen`` shows one."""

    def __init__(self, command: list[str], out: int, err: int, state: int) -> None:
        self.args = command
        self.stdout, self.stderr = os.fdopen(out, "rb"), os.fdopen(err, "rb")
        self._state = os.fdopen(state, "rb", 0)
        self.pid = self._number()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it runs for longer than this many seconds.
        """
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, kind: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, kind)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._state], [], [], timeout)[0]:
            self.returncode = os.waitstatus_to_exitcode(self._number())
        return self.returncode

    def _number(self) -> int:
        data = self._state.read(_SIZE)
        if len(data) < _SIZE:
            raise RuntimeError(f"The program cannot be started: {self.args}")
        return int.from_bytes(data, "big")


class Forked:
    """The process that has imported the program."""

    def __init__(self) -> None:
        self._seen: Mapping[str, str] = {}
        self._begin()

    def _begin(self) -> None:
        self._environment = _environment()
        self._ours, theirs = socket.socketpair()
        code = f"from tests.runtime.forked import serve; serve({theirs.fileno()})"
        # Without a terminal, since the program looks for one when it is imported.
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=REPOSITORY,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()

    def start(
        self, arguments: Sequence[str], folder: Path, code: str = CODE
    ) -> Started | subprocess.Popen[bytes]:
        """Start the program, with its streams in pipes.

        Args:
            arguments: its command line.
            folder: where it works.
            code: what starts it.
        """
        command = [sys.executable, "-c", code, *arguments]
        environment = _environment()
        if environment != self._environment:
            # A test that sets a variable has a process from the beginning. Where one was set for good, as
            # libraries do while tests run, the program is imported again.
            if environment != self._seen:
                self._seen = environment
                return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.close()
            self._begin()
        pipes = [os.pipe() for _ in range(3)]
        request = json.dumps([code, list(arguments), str(folder), dict(os.environ)]).encode()
        socket.send_fds(self._ours, [len(request).to_bytes(_SIZE, "big")], [end for _, end in pipes])
        self._ours.sendall(request)
        for _, end in pipes:
            os.close(end)
        return Started(command, *(begin for begin, _ in pipes))

    def run(
        self, arguments: Sequence[str], folder: Path, seconds: float, code: str = CODE
    ) -> subprocess.CompletedProcess[str]:
        """Start the program and wait until it has ended; see ``start``.

        Args:
            seconds: after which it is killed.

        Raises:
            subprocess.TimeoutExpired: it was.
        """
        process = self.start(arguments, folder, code)
        late = threading.Event()
        alarm = threading.Timer(seconds, lambda: (late.set(), os.kill(process.pid, signal.SIGKILL)))
        alarm.start()
        try:
            said, complained = _read_both(process.stdout, process.stderr)
            exit_code = process.wait()
        finally:
            alarm.cancel()
        if late.is_set():
            raise subprocess.TimeoutExpired(process.args, seconds, said, complained)
        return subprocess.CompletedProcess(process.args, exit_code, said, complained)

    def close(self) -> None:
        """End it."""
        self._ours.close()
        self._process.wait()


def serve(handle: int) -> None:
    """Import the program, and fork for each request that comes over a socket, until it is closed."""
    from dmdd_edge.cli.main import build_app

    build_app()
    for name in (*_LIBRARIES, *_MODULES):
        import_module(name)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=handle) as requests:
        while True:
            head, handles, _, _ = socket.recv_fds(requests, _SIZE, 3)
            if not head:
                return
            code, arguments, folder, environment = json.loads(_read(requests, int.from_bytes(head, "big")))
            with suppress(ChildProcessError):  # those that have ended
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not os.fork():
                break
            for each in handles:
                os.close(each)
    # This process only waits for the one that is the program.
    child = os.fork()
    if child:
        for each in handles[:2]:
            os.close(each)
        os.write(handles[2], child.to_bytes(_SIZE, "big"))
        os.write(handles[2], os.waitpid(child, 0)[1].to_bytes(_SIZE, "big"))
        os._exit(0)
    os.close(handles[2])
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for target, each in enumerate(handles[:2], start=1):
        os.dup2(each, target)
        os.close(each)
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})


def _environment() -> Mapping[str, str]:
    """The variables that may count when the program is imported."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_READ_LATER)}


def _read(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise RuntimeError("A request ended too early.")
        data += more
    return data


def _read_both(out: Any, err: Any) -> tuple[str, str]:
    """Everything of two pipes, at the same time, so that neither fills up."""
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(err.read()))
    reader.start()
    said = out.read()
    reader.join()
    out.close()
    err.close()
    return _text(said), _text(found[0])


def _text(data: bytes) -> str:
    return data.decode().replace("\r\n", "\n").replace("\r", "\n")
