"""Dead letters: messages that the receiver rejected for good, moved aside so that they block nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from dmdd_edge.runtime.durable.appender import Appender
from dmdd_edge.runtime.result import utc_time

NAME, OLDER_NAME = "refused.jsonl", "refused.1.jsonl"


class DeadLetters:
    """JSON lines ``{"refused": reason, "time": when, "message": {...}}``, in a file and the one before it.

    Args:
        folder: of the files.
        limit: largest size of both files together, in bytes.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.path = folder / NAME
        self._older = folder / OLDER_NAME
        self._limit = limit // 2

    def add(self, body: bytes, reason: str) -> None:
        """Store a message.

        Args:
            body: UTF-8 JSON.

        Raises:
            OSError: it cannot be written.
        """
        facts = json.dumps({"refused": reason, "time": utc_time(time.time())})
        line = facts.encode()[:-1] + b', "message": ' + body + b"}\n"
        size = self.path.stat().st_size if self.path.exists() else 0
        if size and size + len(line) > self._limit:
            self.path.replace(self._older)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            Appender(descriptor).append(line)
        finally:
            os.close(descriptor)
