"""A job as a process: it reads its work on standard input and writes events, a JSON object a line.

Its standard input stays open as long as this process lives. A job that finds it closed stops by itself, so
that none continues when this process is killed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

#: Called with each event of a job; the last one is ``{"event": "ended", "code": ..., "text": ...}``.
Post = Callable[[dict[str, Any]], None]
#: Bytes of standard error that a job without a last word is quoted with.
_QUOTED = 2000


class JobProcess:
    """A job that runs.

    Args:
        words: its command line.
        work: the line that it reads first.
        environment: its variables.
        post: receives its events, in a separate thread.
    """

    def __init__(
        self, words: Sequence[str], work: Mapping[str, Any], environment: Mapping[str, str], post: Post
    ) -> None:
        self._errors: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        # In a separate session: Ctrl-C is for this process, which then ends the jobs in order.
        self._process = subprocess.Popen(
            list(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(environment),
            start_new_session=True,
        )
        self._post = post
        assert self._process.stdin is not None
        with suppress(OSError):  # it ended at once: its exit code says why
            self._process.stdin.write((json.dumps(work) + "\n").encode())
            self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, name=f"job-{self._process.pid}", daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Ask it to end soon, with what it has so far saved."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, and wait for its end."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=2.0)

    def _signal(self, number: int) -> None:
        with suppress(OSError):
            self._process.send_signal(number)

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        assert self._process.stdin is not None
        for line in stream:
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    self._post(event)
        code = self._process.wait()
        with suppress(OSError):
            self._process.stdin.close()
        stream.close()
        self._errors.seek(0)
        text = self._errors.read()[-_QUOTED:].decode("utf-8", "replace").strip()
        self._errors.close()
        self._post({"event": "ended", "code": code, "text": text})
