"""A bounded queue in memory for messages that the disk rejects."""

from __future__ import annotations

from collections import deque

#: Largest size of all messages together, in bytes.
MEMORY_LIMIT = 8 << 20


class MemoryQueue:
    """First in, first out.

    Args:
        limit: largest size of all messages together, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._messages: deque[tuple[str, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, id: str, body: bytes) -> int:
        """Add a message; returns how many were dropped for it, oldest first."""
        self._messages.append((id, body))
        self._bytes += len(body)
        before = len(self._messages)
        while self._bytes > self._limit:
            self.take()
        return before - len(self._messages)

    def first(self) -> tuple[str, bytes]:
        """Id and body of the first message, which stays."""
        return self._messages[0]

    def take(self) -> tuple[str, bytes]:
        """Remove the first message; returns its id and body."""
        id, body = self._messages.popleft()
        self._bytes -= len(body)
        return id, body
