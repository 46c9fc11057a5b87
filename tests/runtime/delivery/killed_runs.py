"""Runs that put messages into a spool and deliver from it until they are killed; a separate program.

``killed_runs.py SPOOL LOG ROUNDS`` writes delivered messages into LOG, one per line, and the numbers
of accepted ones to standard output, one per line. It forks, which needs a process without threads.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from dmdd_edge.runtime.delivery.spool import Spool
from dmdd_edge.runtime.durable.lines import cut_torn_tail
from dmdd_edge.storage import FSYNC_POLICIES, Fsync


def body(number: int) -> bytes:
    """The message with a number: of a different length each, so that a torn or a mixed one shows."""
    return b"%d %s" % (number, b"x" * (number % 300))


def _run(folder: Path, log: Path, first: int, fsync: Fsync, tell: int) -> NoReturn:
    spool = Spool(folder, 64 << 20, fsync)
    spool._segment_size = 4096  # many files, so that kills hit their beginnings and ends too
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    # A kill ends a write between two pages: such a line did not arrive, and was not acknowledged.
    cut_torn_tail(log)

    def deliver() -> None:
        while True:
            for message in spool.peek(5):
                os.write(out, message.body + b"\n")
                spool.acknowledge(message)

    threading.Thread(target=deliver, daemon=True).start()
    number = first
    while True:
        spool.put(f"id-{number}", body(number))
        os.write(tell, b"%d\n" % number)
        number += 1


def main() -> None:
    folder, log, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    moments = random.Random(7)
    first = 0
    for round_number in range(rounds):
        hear, tell = os.pipe()
        child = os.fork()
        if not child:
            os.close(hear)
            _run(folder, log, first, FSYNC_POLICIES[round_number % 3], tell)
        os.close(tell)
        # Counted from the first message on, so that a slow start leaves the moment random.
        told = os.read(hear, 1 << 16)
        end = time.monotonic() + moments.uniform(0, 0.05)
        while time.monotonic() < end:
            told += os.read(hear, 1 << 16)
        os.kill(child, signal.SIGKILL)
        while more := os.read(hear, 1 << 16):
            told += more
        os.close(hear)
        os.waitpid(child, 0)
        sys.stdout.write(told[: told.rindex(b"\n") + 1].decode())
        # The message after the last reported one may have been accepted too; its number is not used again.
        first = int(told.split(b"\n")[-2]) + 2


if __name__ == "__main__":
    main()
