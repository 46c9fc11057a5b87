"""Sends the states of a run while it is worked on, in a thread: the work waits for no store.

One state is sent at a time, and of those that come meanwhile only the newest waits. A state is kept apart
from the work by links to its files, which are replaced and never changed. What cannot be sent is tried again.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import DmddError, FleetError
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.run_store import lease as leases
from dmdd_edge.run_store.lease import Lease, TakenError
from dmdd_edge.run_store.mirror import Note, write_note
from dmdd_edge.run_store.state import Part, send_part, sweep, write_list
from dmdd_edge.storage import make_folder, sha256_of

#: Seconds until a state that could not be sent is tried again: at first, and at most.
FIRST_WAIT, LONGEST_WAIT = 2.0, 30.0
#: States that the store keeps of a run that is worked on, and of one that is done.
KEPT, KEPT_AT_END = 2, 1
#: Files that are replaced as a whole, so that a link to one keeps what it had; others are copied.
_REPLACED = (".safetensors", ".npz", ".json")
#: Seconds between two looks at what is still to be sent.
_LOOK = 0.2


@dataclass(frozen=True)
class _Snapshot:
    """A state that is kept apart: its folder, and what it is, for people."""

    folder: Path
    what: str


class Keeper:
    """Keeps a run in its store.

    Args:
        address: of the runs.
        folder: of the run, in the mirror.
        lease: on the run; it is kept alive.
        head: the newest list in the store; empty for none.
    """

    def __init__(self, address: str, folder: Path, lease: Lease, head: str) -> None:
        self._address, self._folder, self._lease, self._head = address, folder, lease, head
        self._name = f"{lease.store.name}/{folder.name}"
        self._changed = threading.Condition()
        self._waiting: _Snapshot | None = None
        self._sending: _Snapshot | None = None
        self._closed = threading.Event()
        self._lost: TakenError | None = None
        self._problem: DmddError | None = None
        self._failing = 0.0
        self._lines: list[str] = []
        self._sent: set[str] = set()
        self._hashes: dict[tuple[str, int, int, int], str] = {}
        self._count = 0
        self._room = folder.with_name(f".{folder.name[:200]}.sending")
        shutil.rmtree(self._room, ignore_errors=True)
        write_note(folder, Note(head, open=True))
        self._threads = [
            threading.Thread(target=target, name=f"dmdd-{name}", daemon=True)
            for name, target in (("send", self._send_all), ("lease", self._stay_alive))
        ]
        for thread in self._threads:
            thread.start()

    def saved(self, what: str) -> None:
        """Send the run as it is now, as soon as the store takes it.

        Args:
            what: the state, for people, such as "the checkpoint of step 40".

        Raises:
            StorageError: the state cannot be kept apart.
        """
        self._count += 1
        snapshot = _Snapshot(self._room / str(self._count), what)
        _keep_apart(self._folder, snapshot.folder)
        with self._changed:
            before, self._waiting = self._waiting, snapshot
            if before is not None:
                shutil.rmtree(before.folder, ignore_errors=True)
            self._changed.notify_all()

    def check(self, say: Callable[[str], None]) -> None:
        """Say what there is to say.

        Raises:
            TakenError: another machine has taken the run over.
        """
        with self._changed:
            lines, self._lines = self._lines, []
        for line in lines:
            say(line)
        if self._lost is not None:
            raise self._lost

    def finish(self, patience: float, say: Callable[[str], None], *, last: bool = True) -> None:
        """Wait until everything is sent.

        Args:
            patience: seconds without success after which it is given up.
            say: called with lines meanwhile.
            last: whether the run is done, so that older states are not needed any more.

        Raises:
            TakenError: another machine has taken the run over.
            FleetError: it cannot be sent; the run is complete in its folder.
        """
        began, told = time.monotonic(), False
        with self._changed:
            self._changed.notify_all()
        while True:
            self.check(say)
            with self._changed:
                unsent = self._waiting or self._sending
                failing = self._failing
                problem = self._problem
            if unsent is None:
                break
            if problem is not None and time.monotonic() - max(began, failing) > patience:
                self.check(say)
                reason = problem.message.rstrip(".")
                raise FleetError(f"{self._name}: {unsent.what} is not sent yet: {reason}.", problem.fix)
            if not told and time.monotonic() - began > 1.0:
                told = True
                say(f"sending {unsent.what} to {self._name}")
            with self._changed:
                self._changed.wait(_LOOK)
        if last:
            sweep(self._lease.store, self._lease.run, KEPT_AT_END)
        write_note(self._folder, Note(self._head, open=False))

    def close(self) -> None:
        """End the threads, and let others have the run."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=leases.LOOK)
        if self._lost is None:
            self._lease.release()
        shutil.rmtree(self._room, ignore_errors=True)

    def _send_all(self) -> None:
        store, wait = FsspecStore(self._address), FIRST_WAIT
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._closed.is_set())
                if self._waiting is None or self._closed.is_set():
                    return
                snapshot = self._sending = self._waiting
                self._waiting = None
            try:
                self._send(store, snapshot)
            except TakenError as error:
                self._lost = error
                return
            except Exception as error:  # whatever it is, the work continues
                self._failed(snapshot, error)
                if self._closed.wait(wait):
                    return
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            wait = FIRST_WAIT
            shutil.rmtree(snapshot.folder, ignore_errors=True)
            with self._changed:
                if self._problem is not None:
                    self._lines.append(f"{self._name}: {snapshot.what} is sent now")
                self._problem, self._sending = None, None
                self._changed.notify_all()

    def _failed(self, snapshot: _Snapshot, error: Exception) -> None:
        known = error if isinstance(error, DmddError) else FleetError(f"{type(error).__name__}: {error}.")
        with self._changed:
            if self._problem is None:
                self._failing = time.monotonic()
                unsent = f"{self._name}: {snapshot.what} is not sent yet: {known.message}"
                here = f"It is in {self._folder}."
                self._lines.append(f"{unsent} {here} The work continues, and sending is tried again.")
            self._problem = known
            # A newer state replaces it; without one it is tried again.
            self._sending = None
            if self._waiting is None:
                self._waiting = snapshot
            else:
                shutil.rmtree(snapshot.folder, ignore_errors=True)

    def _send(self, store: FsspecStore, snapshot: _Snapshot) -> None:
        self._lease.check(store)
        files: dict[str, Part] = {}
        for path in sorted(snapshot.folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(snapshot.folder).as_posix()
                files[name] = self._part(name, path)
        for name, part in files.items():
            if part.sha256 not in self._sent:
                send_part(store, self._lease.run, name, snapshot.folder / name, part)
        self._lease.check(store)
        numbers = (self._lease.number, int(snapshot.folder.name))
        head = write_list(store, self._lease.run, numbers, self._lease.mirror, socket.gethostname(), files)
        # What the store keeps is what this state has, or the one before.
        self._sent = {part.sha256 for part in files.values()}
        self._head = head
        write_note(self._folder, Note(head, open=True))
        sweep(store, self._lease.run, KEPT)

    def _part(self, name: str, path: Path) -> Part:
        """A file's hash; of one that is the same as before it is known."""
        state = path.stat()
        key = (name, state.st_ino, state.st_mtime_ns, state.st_size)
        if key not in self._hashes:
            self._hashes = {old: value for old, value in self._hashes.items() if old[0] != name}
            self._hashes[key] = sha256_of(path)
        return Part(self._hashes[key], state.st_size)

    def _stay_alive(self) -> None:
        store = FsspecStore(self._address)
        while not self._closed.wait(leases.BEAT):
            try:
                self._lease.beat(store)
            except TakenError as error:
                self._lost = error
                return
            except DmddError:
                continue  # the next sign of life is tried in turn


def _keep_apart(folder: Path, into: Path) -> None:
    """Keep the files of a folder as they are now: by links where they are replaced as a whole."""
    shutil.rmtree(into, ignore_errors=True)
    make_folder(into)
    for inside, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        target = into / Path(inside).relative_to(folder)
        target.mkdir(exist_ok=True)
        for name in names:
            if name.startswith(".") or name.endswith(".part"):
                continue
            source = Path(inside, name)
            if name.endswith(_REPLACED):
                try:
                    os.link(source, target / name)
                    continue
                except FileNotFoundError:
                    continue
                except OSError:
                    pass  # a file system without links
            with suppress(FileNotFoundError):
                shutil.copyfile(source, target / name)
