"""``dmdd-edge station run`` as a separate process, and what it prints."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.runtime.forked import Forked

#: A camera that shows ``parts/`` in a loop, one image per trigger, and the blue graph.
TEXT = """\
[cameras.top]
source = "images:parts"
[inspections.lid]
category = "screw"
[plc.modbus]
host = "127.0.0.1"
port = {port}
[results]
jsonl = "line1.jsonl"
"""


class Process:
    """The station of ``line1.toml`` in a folder; killed at the end if it still runs."""

    def __init__(
        self, program: list[str] | Forked, folder: Path, *arguments: str, command: str = "run"
    ) -> None:
        words = ["station", command, "line1.toml", *arguments]
        self._process = (
            program.start(words, folder)
            if isinstance(program, Forked)
            else subprocess.Popen(
                [*program, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
        self.said: list[str] = []
        self.lines: list[dict[str, Any]] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stderr, self.said.append), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stdout, self._keep), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition while the process runs."""
        end = time.monotonic() + 120
        while not condition():
            assert self._process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def id(self) -> int:
        """Of the process."""
        return self._process.pid

    def ready(self) -> None:
        """Wait until it says that it is ready."""
        self.wait_for(lambda: any(line.startswith("READY") for line in self.said))

    def says(self, text: str) -> None:
        """Wait until it prints a line that contains a text."""
        self.wait_for(lambda: any(text in line for line in self.said))

    def hang_up(self) -> None:
        """Ask for the bundles again."""
        self._process.send_signal(signal.SIGHUP)

    def send(self, kind: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(kind)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal, and wait until everything it printed is here; returns its exit code."""
        self._process.send_signal(how)
        code = self._process.wait(120)
        for reader in self._readers:
            reader.join(60)
        return code

    def _keep(self, line: str) -> None:
        self.lines.append(json.loads(line))

    @staticmethod
    def _read(stream: Any, take: Callable[[str], None]) -> None:
        for line in io.TextIOWrapper(stream):
            take(line.rstrip("\n"))
