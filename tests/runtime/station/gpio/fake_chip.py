"""A GPIO chip in memory, with the interface of ``gpiod.Chip``: ``test_gpio`` compares the signatures."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from gpiod.line import Direction, Value


@dataclass
class Board:
    """What the lines of a chip carry: physical levels, and who drives them."""

    count: int = 8
    names: dict[int, str] = field(default_factory=dict)
    consumers: dict[int, str] = field(default_factory=dict)
    levels: dict[int, int] = field(default_factory=dict)
    #: Each level that was driven: when (``time.perf_counter``), line, level.
    history: list[tuple[float, int, int]] = field(default_factory=list)
    settings: dict[int, Any] = field(default_factory=dict)
    broken: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    events: list[Any] = field(default_factory=list)
    edges: int = 0

    def drive(self, offset: int, level: int) -> None:
        with self.changed:
            self.levels[offset] = level
            self.history.append((time.perf_counter(), offset, level))
            self.changed.notify_all()

    def edge(self, offset: int, since: float | None = None, lost: int = 0) -> None:
        """An active edge on the trigger, stamped as the kernel does."""
        with self.changed:
            self.edges += 1 + lost
            stamp = int((time.perf_counter() if since is None else since) * 1e9)
            self.events.append(SimpleNamespace(timestamp_ns=stamp, line_offset=offset, line_seqno=self.edges))
            self.changed.notify_all()

    def wait(self, condition: Any, seconds: float = 60) -> None:
        """Until this is so."""
        with self.changed:
            assert self.changed.wait_for(condition, seconds), (self.levels, self.history)


class FakeChip:
    """``gpiod.Chip`` of one board, whatever the path."""

    board: Board

    def __init__(self, path: str) -> None:
        if self.board.broken:
            raise OSError(self.board.broken, os.strerror(self.board.broken))
        self.path = path

    def __enter__(self) -> FakeChip:
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        self.close()

    def close(self) -> None:
        pass

    def get_info(self) -> Any:
        return SimpleNamespace(num_lines=self.board.count)

    def line_offset_from_id(self, id: str | int) -> int:
        if isinstance(id, str):
            found = [offset for offset, name in self.board.names.items() if name == id]
            if not found:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            return found[0]
        if id >= self.board.count:
            raise ValueError("line offset of out range")
        return id

    def get_line_info(self, line: int | str) -> Any:
        offset = self.line_offset_from_id(line)
        return SimpleNamespace(
            offset=offset,
            used=offset in self.board.consumers,
            consumer=self.board.consumers.get(offset, ""),
        )

    def request_lines(
        self,
        config: dict[Any, Any],
        consumer: str | None = None,
        event_buffer_size: int | None = None,
        output_values: dict[int | str, Value] | None = None,
    ) -> FakeRequest:
        by_offset = {self.line_offset_from_id(line): settings for line, settings in config.items()}
        if set(by_offset) & set(self.board.consumers):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        self.board.consumers |= dict.fromkeys(by_offset, consumer or "")
        self.board.settings |= by_offset
        request = FakeRequest(
            self.board, by_offset, {line: self.line_offset_from_id(line) for line in config}
        )
        for offset, settings in by_offset.items():
            if settings.direction == Direction.OUTPUT:
                request.set_offset(offset, settings.output_value)
        return request


class FakeRequest:
    """``gpiod.LineRequest``."""

    def __init__(self, board: Board, settings: dict[int, Any], offsets: dict[int | str, int]) -> None:
        self._board, self._settings, self._offsets = board, settings, offsets

    def set_offset(self, offset: int, value: Value) -> None:
        self._board.drive(offset, int((value == Value.ACTIVE) != self._settings[offset].active_low))

    def set_values(self, values: dict[int | str, Value]) -> None:
        if self._board.broken:
            raise OSError(self._board.broken, os.strerror(self._board.broken))
        for line, value in values.items():
            self.set_offset(self._offsets[line], value)

    def get_values(self, lines: Iterable[int | str] | None = None) -> list[Value]:
        if self._board.broken:
            raise OSError(self._board.broken, os.strerror(self._board.broken))
        return [Value.ACTIVE if self._board.levels[offset] else Value.INACTIVE for offset in self._settings]

    def wait_edge_events(self, timeout: float | None = None) -> bool:
        with self._board.changed:
            return self._board.changed.wait_for(lambda: bool(self._board.events), timeout)

    def read_edge_events(self, max_events: int | None = None) -> list[Any]:
        if self._board.broken:
            raise OSError(self._board.broken, os.strerror(self._board.broken))
        with self._board.changed:
            events, self._board.events = self._board.events, []
            self._board.changed.notify_all()
            return events

    def release(self) -> None:
        for offset in self._settings:
            self._board.consumers.pop(offset, None)


def chip_in_memory(monkeypatch: pytest.MonkeyPatch) -> Board:
    """Replace every chip by one in memory."""
    board = Board()
    monkeypatch.setattr("gpiod.Chip", type("Chip", (FakeChip,), {"board": board}))
    return board
