"""Where messages wait while the disk takes nothing: in memory, within a bound."""

from __future__ import annotations

from collections import deque

#: What is kept at most, in bytes.
MEMORY_LIMIT = 8 << 20


class MemoryQueue:
    """First in, first out.

    Args:
        limit: bytes that it may hold.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._messages: deque[tuple[str, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, id: str, body: bytes) -> int:
        """Take a message; returns how many were dropped for it, the oldest first."""
        self._messages.append((id, body))
        self._bytes += len(body)
        before = len(self._messages)
        while self._bytes > self._limit:
            self.take()
        return before - len(self._messages)

    def first(self) -> tuple[str, bytes]:
        """The id and the body of the first message, which stays."""
        return self._messages[0]

    def take(self) -> tuple[str, bytes]:
        """The id and the body of the first message, which is gone from here."""
        id, body = self._messages.popleft()
        self._bytes -= len(body)
        return id, body
