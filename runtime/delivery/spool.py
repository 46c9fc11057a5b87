"""A queue of messages on the disk that outlives the process, bounded in bytes.

Lines in files, not SQLite: a trial with it (WAL, one connection) missed promises that this keeps. A delivered
message wrote 20 kB instead of 0.5 kB, which wears an SD card; a full disk allowed no acknowledgments, because
a deletion needs space; the write-ahead log broke the bound (107 kB on the disk for 64 kB); and one damaged
sector cost up to all messages instead of two. Old spools would have needed the code below as well.
"""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dmdd_edge.errors import DeliveryError, OptionError
from dmdd_edge.locking import locked
from dmdd_edge.runtime.delivery.memory_queue import MEMORY_LIMIT, MemoryQueue
from dmdd_edge.runtime.delivery.position_file import Position, PositionFile
from dmdd_edge.runtime.delivery.records import encode_record, read_records
from dmdd_edge.runtime.delivery.segments import Segment, leftover_segments, new_segment
from dmdd_edge.runtime.delivery.writer import SegmentWriter
from dmdd_edge.storage import Fsync

#: Smallest limit of a spool, in bytes.
LEAST_LIMIT = 64 << 10
_RETRY_DISK_AFTER = 1.0  # seconds


@dataclass(eq=False)
class Message:
    """One message on its way.

    Attributes:
        number: position in the order, within this process.
        id: globally unique.
        body: UTF-8 JSON.
        end: position after it on the disk; None while it is in memory only.
    """

    number: int
    id: str
    body: bytes
    end: Position | None


class Spool:
    """Stores messages, returns them in order, and removes those that were acknowledged.

    When ``put`` returns, the message is on the disk as ``fsync`` promises. If the disk rejects writes (it may
    be full), messages are buffered in memory within a bound, and written as soon as the disk accepts them.
    Beyond a bound the oldest messages are dropped and counted. Safe for one thread that puts and one that
    delivers.

    Args:
        folder: created if missing, readable by its owner only; locked to one process at a time.
        limit: largest size on the disk, in bytes.
        fsync: what a power cut may cost; see ``Syncer``.
        memory_limit: largest size in memory while the disk rejects writes, in bytes.

    Attributes:
        folder: see above.
        dropped: messages that a bound pushed out.
        damaged: messages that were damaged on the disk.

    Raises:
        DeliveryError: another process uses the folder, or it is unusable.
        OptionError: the limit is too small.
    """

    def __init__(
        self, folder: Path, limit: int, fsync: Fsync = "second", memory_limit: int = MEMORY_LIMIT
    ) -> None:
        if limit < LEAST_LIMIT:
            raise OptionError(f"--spool-limit must be at least {LEAST_LIMIT >> 10} KiB, not {limit} bytes.")
        self.folder = folder
        self._limit = limit
        # A segment is dropped as a whole, so it is a small part of the limit.
        self._segment_size = min(limit // 16, 4 << 20)
        with contextlib.ExitStack() as undo:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                undo.enter_context(locked(folder, self._in_use, path=folder / "lock", required=True))
                position = PositionFile(folder / "position")
                undo.callback(position.close)
                segments = leftover_segments(folder, position.position)
            except OSError as error:
                raise DeliveryError(
                    f"The spool {folder} cannot be used: {error.strerror or error}.",
                    "Free some space, or name a folder on a local disk with --spool.",
                ) from error
            self._held = undo.pop_all()  # the lock and the position file
        self._position = position
        self._segments = deque(segments)
        self._bytes = sum(segment.size for segment in segments)
        self._read = position.position  # everything before it has been read ahead
        self._next_segment = max([position.position.segment, *(s.number for s in segments)]) + 1
        self._writer = SegmentWriter(folder, fsync)
        self._lock = threading.Lock()
        self._ahead: deque[Message] = deque()  # read and not yet acknowledged
        self._numbers = 0
        self._memory = MemoryQueue(memory_limit)
        self._unsaved = 0  # messages that are in memory only, read ahead or not
        self._retry_at = 0.0
        self._closed = False
        self._fault = ""
        self.dropped = 0
        self.damaged = 0
        with self._lock:
            self._make_room(0)

    @property
    def waiting(self) -> int:
        """Messages that have not been acknowledged."""
        with self._lock:
            return self._waiting()

    @property
    def fault(self) -> str:
        """Why the disk rejects writes; empty if it accepts them."""
        return self._fault or self._writer.fault

    def put(self, id: str, body: bytes) -> None:
        """Add a message after all others.

        Raises:
            ValueError: it has a line break, or its id is invalid.
        """
        line = encode_record(id, body)
        with self._lock:
            if self._closed:
                raise ValueError("The spool is closed.")
            if self._unsaved and not self._save_memory():
                self._keep_in_memory(id, body)
                return
            try:
                self._append(line)
                self._fault = ""
            except OSError as error:
                self._disk_failed(error)
                self._keep_in_memory(id, body)

    def peek(self, count: int) -> list[Message]:
        """The first messages in order, at most ``count``. They stay until acknowledged.

        Raises:
            OSError: the disk cannot be read now.
        """
        while True:
            with self._lock:
                missing = count - len(self._ahead)
                unread = None if self._closed or missing <= 0 else self._first_unread()
                if unread is None:
                    if not self._closed:
                        self._take_from_memory(missing)
                    return list(islice(self._ahead, count))
                segment, start, end = unread
                before = self._read
            # Outside the lock: a cold disk may be slow, and ``put`` must not wait for it.
            try:
                records = read_records(segment.path, start, end, missing)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EIO):
                    raise  # for example too many open files: that passes
                records = []
            with self._lock:
                if self._read != before or self._closed:
                    continue  # meanwhile the segment was dropped
                if not records:
                    self._drop(segment)  # the file is missing, truncated or unreadable
                for record in records:
                    self._read = Position(segment.number, record.end)
                    if record.id:
                        self._take_ahead(record.id, record.body, self._read)
                    else:
                        segment.waiting -= 1
                        self.damaged += 1

    def acknowledge(self, message: Message) -> None:
        """Remove a message, and all before it."""
        with self._lock:
            delivered: Position | None = None
            while not self._closed and self._ahead and self._ahead[0].number <= message.number:
                first = self._ahead.popleft()
                if first.end is None:
                    self._unsaved -= 1
                else:
                    delivered = first.end
                    self._segment(delivered.segment).waiting -= 1
            if delivered is not None:
                self._position.write(delivered)
                self._remove_delivered(delivered)

    def close(self) -> int:
        """Close, leaving waiting messages to the next run.

        Returns:
            The number of messages on the disk. Messages in memory that cannot be written there are dropped.
        """
        with self._lock:
            if self._closed:
                return 0
            self._retry_at = 0.0
            if self._unsaved and not self._save_memory():
                self.dropped += self._unsaved
                self._unsaved = 0
            self._closed = True
        self._writer.close()
        for segment in self._segments:
            if not segment.waiting:
                with contextlib.suppress(OSError):
                    segment.path.unlink()
        self._held.close()
        return self._waiting()

    def _in_use(self, holder: str) -> DeliveryError:
        return DeliveryError(
            f"The spool {self.folder} is in use by {holder}.",
            "Stop that run, or give this run its own spool with --spool FOLDER.",
        )

    # Everything below is called under the lock.

    def _waiting(self) -> int:
        return sum(segment.waiting for segment in self._segments) + self._unsaved

    def _segment(self, number: int) -> Segment:
        return next(segment for segment in self._segments if segment.number == number)

    def _append(self, line: bytes) -> Position | None:
        """Write a line; returns the position after it, or None if it was dropped for its size."""
        if len(line) > self._limit:
            self.dropped += 1
            return None
        self._make_room(len(line))
        full = bool(self._segments) and self._segments[-1].size + len(line) > self._segment_size
        if not self._writer.active or full:
            segment = new_segment(self.folder, self._next_segment)
            self._next_segment += 1
            self._writer.start(segment.path)
            self._segments.append(segment)
        segment = self._segments[-1]
        self._writer.append(line)
        segment.size += len(line)
        self._bytes += len(line)
        segment.waiting += 1
        return Position(segment.number, segment.size)

    def _make_room(self, size: int) -> None:
        while self._segments and self._bytes + size > self._limit:
            self._drop(self._segments[0])

    def _drop(self, segment: Segment) -> None:
        """Drop a segment with all its waiting messages."""
        self.dropped += segment.waiting
        segment.waiting = 0
        while self._ahead and self._ahead[0].end and self._ahead[0].end.segment <= segment.number:
            self._ahead.popleft()
        self._read = max(self._read, Position(segment.number + 1, 0))
        self._remove(segment)

    def _remove_delivered(self, delivered: Position) -> None:
        for segment in list(self._segments):
            active = segment is self._segments[-1] and self._writer.active
            if segment.number > delivered.segment or segment.waiting or active:
                return
            self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        if segment is self._segments[-1]:
            self._writer.finish()
        self._segments.remove(segment)
        self._bytes -= segment.size
        with contextlib.suppress(OSError):
            segment.path.unlink()

    def _first_unread(self) -> tuple[Segment, int, int] | None:
        """The segment to read next, and the offsets of its unread part."""
        for segment in self._segments:
            start = self._read.offset if segment.number == self._read.segment else 0
            if segment.number >= self._read.segment and start < segment.size:
                return segment, start, segment.size
        return None

    def _take_ahead(self, id: str, body: bytes, end: Position | None) -> None:
        self._numbers += 1
        self._ahead.append(Message(self._numbers, id, body, end))

    def _take_from_memory(self, count: int) -> None:
        """Read ahead from memory, after the disk has been read to its end."""
        for _ in range(min(count, len(self._memory))):
            self._take_ahead(*self._memory.take(), None)

    def _keep_in_memory(self, id: str, body: bytes) -> None:
        dropped = self._memory.add(id, body)
        self._unsaved += 1 - dropped
        self.dropped += dropped

    def _save_memory(self) -> bool:
        """Write the messages in memory to the disk, in order; returns whether all are there now."""
        if time.monotonic() < self._retry_at:
            return False
        try:
            # Those read ahead come first. The disk was read to its end before them, so what is written now
            # has already been read.
            for message in [m for m in self._ahead if m.end is None]:
                message.end = self._append(encode_record(message.id, message.body))
                self._unsaved -= 1
                if message.end is None:
                    self._ahead.remove(message)
                else:
                    self._read = max(self._read, message.end)
            while self._memory:
                self._append(encode_record(*self._memory.first()))
                self._memory.take()
                self._unsaved -= 1
        except OSError as error:
            self._disk_failed(error)
            return False
        self._fault = ""
        return True

    def _disk_failed(self, error: OSError) -> None:
        self._fault = str(error)
        self._retry_at = time.monotonic() + _RETRY_DISK_AFTER
