"""What a station keeps over restarts: the ids of its parts, its counts, the recipe in force."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dmdd_edge.errors import OptionError
from dmdd_edge.failures import storage_error, storage_errors
from dmdd_edge.locking import try_lock
from dmdd_edge.runtime.durable.slots import SlotFile
from dmdd_edge.runtime.station.acquisition_ids import AcquisitionIds
from dmdd_edge.runtime.station.counts import Counts, InspectionCounts, PartCounts, Totals
from dmdd_edge.runtime.station.model import PartResult
from dmdd_edge.storage import make_folder
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: How often changed counts are handed to the kernel, and how often they are forced onto the disk, in seconds.
#: A killed process loses the first at most, a power cut the second.
WRITE_SECONDS, SYNC_SECONDS = 1.0, 30.0
#: Length of the record of counts, in bytes: some hundred recipes and inspections.
RECORD_BYTES = 32_000


class Counters:
    """Ids, counts and the recipe in force, kept in a folder; from any thread, and no call waits for a disk.

    A disk that is full, read-only or broken does not stop the station: it is reported once, ids stay unique
    (see ``AcquisitionIds``), and everything is written as soon as the disk accepts it.

    Args:
        folder: ``state_dir``; created if missing. One station at a time may use it.
        say: receives what a person should know, one line each.

    Raises:
        DmddError: another station uses the folder, or it cannot be used at all.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._problem = ""
        self._lock = threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._folder_handle = _lock_folder(folder)
        self._counts, lost = self._read()
        # Whatever became of the file of ids, those that were counted are not given again.
        known = self._counts.newest_id
        self._ids = AcquisitionIds(
            folder / "ids",
            self._wake.set,
            newest=known,
            used=lost or known > 0 or self._counts.total.parts > 0,
        )
        if self._ids.damaged:
            say(f"{folder / 'ids'} is damaged or cannot be read: ids of parts continue from the clock.")
        #: Whether counts changed since they were written, and were written since they were synced.
        self._changed, self._unsynced = self._file.damaged, False
        self._sync_at = time.monotonic() + SYNC_SECONDS
        self._attempt(self._ids.reserve)
        self._thread = threading.Thread(target=self._work, name="dmdd-state", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Totals:
        """Parts over all restarts."""
        with self._lock:
            return self._counts.total.model_copy()

    @property
    def recipes(self) -> dict[int, PartCounts]:
        """Parts by the recipe's number."""
        with self._lock:
            return {number: counts.model_copy() for number, counts in self._counts.recipes.items()}

    @property
    def inspections(self) -> dict[str, InspectionCounts]:
        """Results by the inspection's name."""
        with self._lock:
            return {name: counts.model_copy() for name, counts in self._counts.inspections.items()}

    @property
    def recipe(self) -> int:
        """Number of the recipe that was in force last; 0 when none ever was."""
        return self._counts.recipe

    @property
    def problem(self) -> str:
        """Why nothing can be kept now; empty when all is well."""
        return self._problem

    def next_acquisition(self) -> int:
        """The next acquisition id, which was never given before."""
        return self._ids.take()

    def part(self, part: PartResult) -> None:
        """Count a part."""
        with self._lock:
            self._counts.add(part)
            self._changed = True

    def missed(self) -> None:
        """Count a trigger that was not looked at."""
        with self._lock:
            self._counts.total.missed += 1
            self._changed = True

    def in_force(self, recipe: int) -> None:
        """Remember the recipe in force, for the next start."""
        with self._lock:
            if recipe != self._counts.recipe:
                self._counts.recipe, self._changed = recipe, True
                self._sync_at = 0.0  # it is synced with the next write
        self._wake.set()

    def close(self) -> None:
        """Write everything, and let the folder go; may be called twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        self._thread.join()
        self._attempt(self._ids.close)
        self._attempt(lambda: self._write(sync=True))
        self._file.close()
        os.close(self._folder_handle)

    def _read(self) -> tuple[Counts, bool]:
        """The counts, and whether the file had others."""
        path, problem = self._folder / "counts", ""
        self._file = SlotFile(path, RECORD_BYTES, allocate=True)
        if self._file.record is not None:
            try:
                return validate(Counts, parse_object(self._file.record.rstrip(b"\0"))), False
            except NotStrict as error:
                problem = f": {error}"
        if problem or self._file.damaged:
            self._say(f"{path} is damaged or cannot be read{problem}; counts begin at 0.")
            return Counts(), True
        return Counts(), False

    def _work(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(WRITE_SECONDS)
            self._wake.clear()
            self._attempt(self._keep)
            # Ids and changes of recipe may wake it often.
            self._closing.wait(WRITE_SECONDS if self._problem else WRITE_SECONDS / 10)

    def _keep(self) -> None:
        self._ids.reserve()
        self._write(sync=time.monotonic() >= self._sync_at)

    def _write(self, sync: bool) -> None:
        with self._lock:
            changed, self._changed = self._changed, False
            record = self._record() if changed else b""
        if changed:
            try:
                self._file.write(record, over=self._unsynced)
            except OSError:
                self._changed = True
                raise
            self._unsynced = True
        if sync and self._unsynced:
            self._file.sync()
            self._unsynced = False
            self._sync_at = time.monotonic() + SYNC_SECONDS

    def _record(self) -> bytes:
        record = self._counts.model_dump_json().encode()
        if len(record) > RECORD_BYTES:  # a thousand inspections: the sums come first
            record = self._counts.model_dump_json(exclude={"inspections"}).encode()
        return record.ljust(RECORD_BYTES, b"\0")

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do what the disk may reject; a problem is reported once, and its end too."""
        try:
            work()
        except OSError as error:
            problem = storage_error(error, self._folder, "written").message
            if not self._problem:
                self._say(f"{problem} Counts are kept in memory, ids of parts continue from the clock.")
            self._problem = problem
        else:
            if self._problem:
                self._say(f"{self._folder} can be written again.")
            self._problem = ""


def _lock_folder(folder: Path) -> int:
    """Hold a folder for this process; the lock is on the folder itself, which a read-only disk allows."""
    fix = "Name another folder in the station file: state_dir."
    make_folder(folder, fix)
    with storage_errors(folder, "used", fix):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if try_lock(handle) is False:
            raise OptionError(
                f"Another station uses {folder}: ids of parts would be given twice.",
                "Stop that one, or give each station file its own state_dir.",
            )
    except BaseException:
        os.close(handle)
        raise
    return handle
