"""Who writes a run of a store: a file with a number, which only one machine can create.

The holder writes its file again every few seconds. Whoever wants the run and finds the file of another one
watches it by the own clock, so that clocks that differ do no harm: a file that changes is of a holder that
lives, and one that stays as it is for ``SILENT`` seconds is of a holder that is gone. The next lease has a
higher number. A holder that was taken for gone finds the higher number, and writes nothing any more; lists
that it may have written meanwhile have its lower number, and are older than all of the new holder's.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from dmdd_edge.errors import DmddError, TrainingError
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.run_store.state import list_names, numbers_of

#: Seconds between two signs of life.
BEAT = 15.0
#: Seconds without one after which a holder counts as gone.
SILENT = 60.0
#: Seconds between two looks at a holder's file.
LOOK = 2.0
_NAME = re.compile(r"lease-(\d{6})\.json")


class TakenError(TrainingError):
    """Another machine writes the run."""


@dataclass
class Lease:
    """A run that this process writes.

    Attributes:
        store: where the run is.
        run: its name.
        number: of the lease.
        mirror: number of the mirror that it is written from.
        owner: number of this holder, which no other one has.
        beats: signs of life so far.
    """

    store: FsspecStore
    run: str
    number: int
    mirror: str
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    beats: int = 0

    @property
    def path(self) -> str:
        """The lease's file in the store."""
        return f"{self.run}/{_name(self.number)}"

    def content(self) -> bytes:
        """The next sign of life."""
        self.beats += 1
        facts = {"owner": self.owner, "mirror": self.mirror, "machine": socket.gethostname()}
        facts |= {"process": os.getpid(), "beat": self.beats}  # type: ignore[dict-item]
        return json.dumps({**facts, "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}).encode()

    def check(self, store: FsspecStore) -> None:
        """See that nobody else has taken the run.

        Args:
            store: to ask, which may be another connection than the lease's.

        Raises:
            TakenError: somebody has.
            DmddError: the store cannot be read.
        """
        names = store.names(self.run)
        data = store.read_changing(self.path)
        replaced = data is None or _facts(data).get("owner") != self.owner
        if replaced or max([*_leases(names), *_written(names)], default=0) > self.number:
            raise TakenError(
                f"Another machine has taken the run {store.name}/{self.run} over, since this one gave no "
                f"sign of life for {SILENT:.0f} s.",
                "Let that one work, or stop it and continue here with --resume.",
            )

    def beat(self, store: FsspecStore) -> None:
        """Give a sign of life; errors as of ``check``."""
        self.check(store)
        store.create(self.path, self.content(), replace=True)

    def release(self) -> None:
        """Let others have the run; where the store does not answer, they find out by ``SILENT``."""
        with suppress(DmddError):
            self.store.remove(self.path)


def acquire(store: FsspecStore, run: str, mirror: str, say: Callable[[str], None]) -> Lease:
    """Take a run to write it.

    Args:
        store: where it is.
        run: its name.
        mirror: number of the mirror. This process holds the mirror's lock of the run, so that no other
            process of this machine writes it from there.
        say: called with a line where this may take a minute.

    Raises:
        TakenError: another machine or process writes it.
        DmddError: the store cannot be read or written.
    """
    seen: bytes | None = None
    since = 0.0
    while True:
        names = store.names(run)
        leases = _leases(names)
        current = max(leases, default=0)
        data = store.read_changing(f"{run}/{_name(current)}") if leases else None
        if leases and data is None:
            continue  # released in this moment
        if data is not None and not _is_gone(data, mirror):
            if seen is None:
                seen, since = data, time.monotonic()
                say(
                    f"waiting up to {SILENT:.0f} s for a sign of life of {_holder(data)}, by which "
                    f"{store.name}/{run} was in use"
                )
            if data != seen:
                raise TakenError(
                    f"The run {store.name}/{run} is in use by {_holder(data)}.",
                    "Wait until it ends, or stop it. --run NAME trains beside it.",
                )
            if time.monotonic() - since < SILENT:
                time.sleep(LOOK)
                continue
        lease = Lease(store, run, max([current, *_written(names)], default=0) + 1, mirror)
        if not store.create(lease.path, lease.content()):
            seen = None  # another one was faster: it is watched in turn
            continue
        # At a store that does not decide who creates a file, both believe it; one of them has written last.
        kept = store.read_changing(lease.path)
        if kept is None or _facts(kept).get("owner") != lease.owner:
            seen = None
            continue
        for number in leases:
            with suppress(DmddError):
                store.remove(f"{run}/{_name(number)}")
        return lease


def _name(number: int) -> str:
    return f"lease-{number:06d}.json"


def _leases(names: Iterable[str]) -> list[int]:
    return [int(found[1]) for name in names if (found := _NAME.fullmatch(name))]


def _written(names: Iterable[str]) -> list[int]:
    return [numbers_of(name)[0] for name in list_names(names)]


def _facts(data: bytes) -> dict[str, object]:
    try:
        facts = json.loads(data)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _holder(data: bytes) -> str:
    facts = _facts(data)
    return f"process {facts.get('process', '?')} on {facts.get('machine', 'another machine')}"


def _is_gone(data: bytes, mirror: str) -> bool:
    """Whether a holder worked in this mirror, on this machine, and its process is gone."""
    facts = _facts(data)
    process = facts.get("process")
    if facts.get("mirror") != mirror or facts.get("machine") != socket.gethostname():
        return False
    if not isinstance(process, int) or process == os.getpid():
        return isinstance(process, int)  # this process: a lease that could not be released
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
