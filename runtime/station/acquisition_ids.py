"""Acquisition ids: none is given twice, over restarts, kills and power cuts, and whatever the disk does."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dmdd_edge.runtime.durable.slots import SlotFile

#: Ids are positive as a signed double word too; after the largest one, 1 follows.
LARGEST_ID = 2**31 - 1
#: Ids that are reserved ahead with one write. What a killed station had reserved is a gap.
BLOCK = 1024
#: Without a reservation an id comes from the clock: the first one at the epoch, and how many each second.
CLOCK_FIRST, CLOCK_RATE = 2**30, 32
#: 2026-01-01 in seconds since 1970.
_EPOCH = 1_767_225_600
#: How long ``take`` waits for a reservation while the disk has not failed, in seconds.
LONGEST_WAIT = 1.0

#: The number of ids up to the last one that is reserved.
_RECORD = struct.Struct("<Q")


class AcquisitionIds:
    """Counts from 1. A number is given only after a reservation that includes it is on the disk.

    Where no reservation is possible (the disk is read-only or broken) or the last one cannot be known (the
    file is damaged), ids continue from the clock, in the upper half of their range: 32 for each second, which
    lasts for 388 days before they come again. A station that is started again continues above them, unless
    its clock was set back or it had looked at more than 32 parts per second.

    ``take`` does not touch the disk; ``reserve`` does, in another thread. A disk that has not answered for a
    second counts as one that rejects the write.

    Args:
        path: of the file.
        wake: called when ``reserve`` ought to be called soon.
        clock: seconds since 1970.
        newest: an id that was given before, as another file knows; 0 when it knows of none.
        used: ids were given before, so that a file without any was lost.

    Attributes:
        damaged: the file did not tell which ids were given.
    """

    def __init__(
        self,
        path: Path,
        wake: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        newest: int = 0,
        used: bool = False,
    ) -> None:
        self._wake, self._clock = wake, clock
        self._lock = threading.Condition()
        self._rejected = False
        #: Ids that were given, and those up to the last one that is reserved, both since the first of all.
        self._given = self._reserved = 0
        self._slots = SlotFile(path, _RECORD.size, allocate=True)
        self.damaged = self._slots.damaged or (used and self._slots.record is None)
        if self._slots.record is not None:
            [self._given] = _RECORD.unpack(self._slots.record)
        last = (self._given - 1) % LARGEST_ID + 1 if self._given else 0
        if newest > last:  # an older file came back, or none did
            self.damaged = True
            self._given += newest - last
        if self.damaged:
            # Another record may have been newer; a block above it is where the clock's ids begin at least.
            self._given = self._from_clock(self._given + BLOCK) - 1
        self._reserved = self._given

    def take(self) -> int:
        """The next id, 1..``LARGEST_ID``; from any thread.

        It waits only where half a block was taken while the disk wrote once, and for a second at most.
        """
        with self._lock:
            if self._reserved <= self._given and not self._rejected:
                self._wake()
                self._lock.wait_for(lambda: self._rejected or self._reserved > self._given, LONGEST_WAIT)
            given = self._given + 1 if self._reserved > self._given else self._from_clock(self._given)
            self._given, left = given, self._reserved - given
        if left <= BLOCK // 2:
            self._wake()
        return (given - 1) % LARGEST_ID + 1

    def reserve(self) -> None:
        """Reserve more ids, if few are left; by one thread.

        Raises:
            OSError: the disk rejects it.
        """
        with self._lock:
            given, left = self._given, self._reserved - self._given
        if left > BLOCK // 2:
            return
        try:
            self._write(given + BLOCK)
        except OSError:
            with self._lock:
                self._rejected = True
                self._lock.notify_all()
            raise
        with self._lock:
            self._reserved, self._rejected = given + BLOCK, False
            self._lock.notify_all()

    def close(self) -> None:
        """Release what was reserved and not used; ``take`` must not be called any more.

        Raises:
            OSError: the disk rejects it.
        """
        try:
            with self._lock:
                given, reserved = self._given, self._reserved
                self._reserved = given
            if given != reserved:
                self._write(given)
        finally:
            self._slots.close()

    def _write(self, reserved: int) -> None:
        self._slots.write(_RECORD.pack(reserved))
        self._slots.sync()

    def _from_clock(self, given: int) -> int:
        """The next number whose id is the clock's, or the next one at all where the clock is behind."""
        span = LARGEST_ID + 1 - CLOCK_FIRST
        clock = CLOCK_FIRST + int((self._clock() - _EPOCH) * CLOCK_RATE) % span
        last = (given - 1) % LARGEST_ID + 1
        behind = last >= CLOCK_FIRST and not 0 < (clock - last) % span < span // 2
        return given + 1 if behind else given + (clock - last) % LARGEST_ID
