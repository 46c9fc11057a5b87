"""kill -9 at random moments: everything that was taken is delivered, in order, nothing torn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dmdd_edge.runtime.delivery.spool import Spool
from dmdd_edge.runtime.durable.lines import cut_torn_tail
from tests.runtime.delivery import killed_runs

ROUNDS = 50


def test_killed_at_random_moments(tmp_path: Path) -> None:
    folder, log = tmp_path / "spool", tmp_path / "log"
    program = [sys.executable, killed_runs.__file__, folder, log, str(ROUNDS)]
    told = subprocess.run(program, check=True, capture_output=True, text=True, timeout=500).stdout
    taken = [int(line) for line in told.splitlines()]
    assert len(taken) > 10 * ROUNDS, "killed too early to show anything"
    spool = Spool(folder, 64 << 20, "never")
    assert (spool.dropped, spool.damaged) == (0, 0)
    cut_torn_tail(log)
    with log.open("ab") as out:
        while messages := spool.peek(100):
            out.writelines(message.body + b"\n" for message in messages)
            spool.acknowledge(messages[-1])
    spool.close()
    assert list(folder.glob("*.spool")) == []
    delivered: list[int] = []
    for line in log.read_bytes().splitlines():
        number = int(line.partition(b" ")[0])
        assert line == killed_runs.body(number)
        delivered.append(number)
    arrivals = list(dict.fromkeys(delivered))
    assert arrivals == sorted(arrivals)
    assert set(taken) <= set(arrivals)
    # Beyond the reported ones, at most one per round, which was killed before it could report.
    assert len(set(arrivals) - set(taken)) <= ROUNDS
    # Twice come only those that were delivered and not yet acknowledged when the kill came.
    assert len(delivered) - len(arrivals) <= ROUNDS
