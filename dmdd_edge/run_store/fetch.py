"""Brings a run from its store: the newest state of which every file can be fetched with the right hash."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dmdd_edge.errors import BundleError, DmddError, TrainingError
from dmdd_edge.failures import storage_errors
from dmdd_edge.fleet.fetch import fetch as fetch_file
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.fleet.store import NotThere
from dmdd_edge.run_store.mirror import Note, write_note
from dmdd_edge.run_store.state import Part, Whole, stored_name, wholes
from dmdd_edge.storage import make_folder, sha256_of

#: Files that are fetched at a time.
_AT_ONCE = 4
#: A writer removes old states; after this number of tries the run is taken for damaged.
_TRIES = 3
_PART = ".part"
_LARGEST = 256 << 20


def fetch_run(store: FsspecStore, run: str, folder: Path, say: Callable[[str], None]) -> Whole | None:
    """Make a run's folder what the store has.

    Args:
        store: where the run is.
        run: its name.
        folder: where to; what else is in it is removed. The caller holds its lock.
        say: called with a line where an older state is taken, because a file of the newest one is damaged.

    Returns:
        The state that was fetched; None where the store has no state.

    Raises:
        DmddError: no state can be fetched, the store cannot be read, or the disk refuses.
    """
    problem: DmddError | None = None
    for attempt in range(_TRIES):
        states = wholes(store, run)
        if not states:
            break
        for state in states:
            try:
                _bring(store, run, state, folder)
            except (NotThere, BundleError) as error:
                problem = error
                continue
            if problem is not None and state is not states[0]:
                newest = f"{store.name}/{run}: the newest state is damaged"
                say(f"{newest} ({problem.message}) The one before is taken.")
            return state
        if attempt < _TRIES - 1:
            time.sleep(1.0)
    if problem is None:
        return None
    raise TrainingError(
        f"{store.name}/{run} is damaged: {problem.message.rstrip('.')}.", "Train it again with --overwrite."
    )


def _bring(store: FsspecStore, run: str, state: Whole, folder: Path) -> None:
    make_folder(folder)
    write_note(folder, Note(whole=False))
    with storage_errors(folder, "written"):
        for inside, _, names in os.walk(folder, topdown=False):
            for name in names:
                path = Path(inside, name)
                if path.relative_to(folder).as_posix().removesuffix(_PART) not in state.files:
                    path.unlink()
            if Path(inside) != folder and not os.listdir(inside):  # noqa: PTH208
                Path(inside).rmdir()

    def one(name: str, part: Part) -> None:
        target = folder / name
        with storage_errors(target, "written"):
            target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and target.stat().st_size == part.size and sha256_of(target) == part.sha256:
            return
        partial = target.with_name(target.name + _PART)
        fetch_file(
            store, f"{run}/{stored_name(name, part)}", partial, part.size, part.sha256, lambda count: None
        )
        with storage_errors(target, "written"):
            partial.replace(target)

    pool = ThreadPoolExecutor(_AT_ONCE, "dmdd-fetch")
    try:
        for future in [pool.submit(one, name, part) for name, part in state.files.items()]:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    write_note(folder, Note(head=state.name))


@contextmanager
def outline(store: FsspecStore, run: str) -> Iterator[Path]:
    """A temporary folder that tells how a run stands: its JSON files, and empty files for all others.

    Raises:
        DmddError: the store cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="dmdd-run-") as scratch:
        for attempt in range(_TRIES):
            folder = Path(scratch) / str(attempt) / run
            folder.mkdir(parents=True)
            if _draw(store, run, folder):
                break
        yield folder


def _draw(store: FsspecStore, run: str, folder: Path) -> bool:
    """Write the outline of the newest state; False where a writer removed it meanwhile."""
    for state in wholes(store, run)[:1]:
        for name, part in state.files.items():
            data: bytes | None = b""
            if name.endswith(".json"):
                data = store.read(f"{run}/{stored_name(name, part)}", _LARGEST)
            if data is None:
                return False
            path = folder / name
            with storage_errors(path, "written"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    return True
