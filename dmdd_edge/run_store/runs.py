"""What commands do with runs of a store: list them, bring one here, keep one in its store while it changes.

All of this does nothing to a folder outside of mirrors, so callers need not tell the two apart.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from dmdd_edge.errors import DmddError, TrainingError
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.locking import locked
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import is_plain_name
from dmdd_edge.run_store.fetch import fetch_run, outline
from dmdd_edge.run_store.keeper import Keeper
from dmdd_edge.run_store.lease import TakenError, acquire
from dmdd_edge.run_store.mirror import (
    Note,
    address_of,
    forget,
    local_folder,
    make_mirror,
    mirror_id,
    read_note,
    write_note,
)
from dmdd_edge.run_store.state import list_names, read_list, remove_states
from dmdd_edge.runs import MODEL_NAME, STATE_NAME

#: Seconds without success after which the end of a command gives up to send: done, and interrupted.
PATIENCE, SHORT_PATIENCE = 120.0, 20.0

#: ``new``: the store has no such run. ``replace``: what it has is removed. ``continue``: it has what is here.
How = Literal["new", "replace", "continue"]

_log = logging.getLogger(__name__)


def stored_runs(address: str) -> list[str]:
    """The runs of a store, sorted, and those that are here and not sent yet.

    Raises:
        DmddError: the store cannot be listed.
    """
    found = set()
    for path in FsspecStore(address).names(below=True):
        parts = path.split("/")
        if len(parts) == 2 and is_plain_name(parts[0]) and list_names(parts[1:]):
            found.add(parts[0])
    local = local_folder(address)
    if local.is_dir():
        found |= {path.name for path in local.iterdir() if is_plain_name(path.name) and _is_unsent(path)}
    return sorted(found)


@contextmanager
def outline_of(folder: Path) -> Iterator[Path]:
    """A folder that tells how a run stands: of a store's run its JSON files, and empty files for the others.

    Args:
        folder: of the run; one outside of a mirror is given as it is.

    Raises:
        DmddError: the store cannot be read.
    """
    address = address_of(folder.parent)
    if address is None:
        yield folder
        return
    with outline(FsspecStore(address), folder.name) as drawn:
        yield drawn


def bring(folder: Path) -> None:
    """Make a run's folder what its store has, to read it; what is here and newer stays.

    Raises:
        DmddError: the store cannot be read, or the run is damaged there; or a process here uses it.
    """
    address = address_of(folder.parent)
    if address is None:
        return
    store = FsspecStore(address)
    if not _is_current(store, folder):
        with locked(folder, _busy(folder)):
            _fetch(store, folder)


def settle(folder: Path) -> bool:
    """Make a run here and in its store the same before it is changed: what is newer is sent or fetched.

    Returns:
        Whether something was sent, which an earlier command could not send.

    Raises:
        TakenError: another machine writes the run.
        DmddError: the store cannot be reached, or the run is damaged there.
    """
    address = address_of(folder.parent)
    if address is None:
        return False
    store = FsspecStore(address)
    with locked(folder, _busy(folder)):
        held = acquire(store, folder.name, mirror_id(folder.parent), _log.info)
        keeper: Keeper | None = None
        try:
            if not _is_current(store, folder):
                _set_aside(folder)
                if not _fetch(store, folder) and folder.is_dir() and _has_value(folder):
                    shutil.rmtree(folder)  # it was removed from the store
                return False
            if not _is_unsent(folder):
                return False
            keeper = Keeper(address, folder, held, _head(store, folder.name))
            keeper.saved("what an earlier command left")
            keeper.finish(PATIENCE, _log.info)
            return True
        finally:
            if keeper is None:
                held.release()
            else:
                keeper.close()


def send_left(folder: Path) -> bool:
    """Send what an earlier command could not send; returns whether there was something, and it is sent.

    Errors are those of ``settle``.
    """
    address = address_of(folder.parent)
    if address is None or not _is_unsent(folder) or not _is_current(FsspecStore(address), folder):
        return False
    return settle(folder)


@contextmanager
def kept(folder: Path, how: How, say: Callable[[str], None]) -> Iterator[Keeper | None]:
    """Keep a run in its store while it is changed inside the block: this machine alone may change it there.

    At the end of the block the run is sent as it is then. Where that is not possible it stays here, and the
    next command that changes it sends it.

    Args:
        folder: of the run; the caller holds its lock.
        how: what the store has of the run.
        say: called with a line for whatever there is to say.

    Yields:
        What sends; None where the folder is not in a mirror.

    Raises:
        TakenError: another machine writes the run.
        DmddError: the store does not have what is expected, or the run cannot be sent.
    """
    address = address_of(folder.parent)
    if address is None:
        yield None
        return
    store = FsspecStore(address)
    held = acquire(store, folder.name, mirror_id(folder.parent), say)
    try:
        head = _head(store, folder.name)
        if how != "continue":
            shutil.rmtree(folder, ignore_errors=True)
        if how == "replace":
            remove_states(store, folder.name)
            head = ""
        elif (how == "new" and head) or (how == "continue" and not _is_current(store, folder)):
            raise TrainingError(
                f"{store.name}/{folder.name} was changed by another machine meanwhile.",
                "Run the command again.",
            )
        keeper = Keeper(address, folder, held, head)
    except BaseException:
        held.release()
        raise
    try:
        yield keeper
        keeper.saved("the run")
        try:
            keeper.finish(PATIENCE, say)
        except TakenError:
            raise
        except DmddError as error:
            again = command("train", run=folder.name, runs_dir=folder.parent, resume=True)
            raise TrainingError(
                f"{error.message} The run is complete in {folder}.",
                f"When the store answers, run the same command again: it sends the run. Or: {again}",
            ) from None
    except BaseException as error:
        if not isinstance(error, DmddError):
            _finish_soon(keeper, say)
        raise
    finally:
        keeper.close()


def remove_run(folder: Path) -> None:
    """Remove a run of a store, there and here.

    Raises:
        DmddError: another machine or process uses it, or the store refuses.
    """
    address = address_of(folder.parent)
    if address is None:
        return
    store = FsspecStore(address)
    with locked(folder, _busy(folder)):
        held = acquire(store, folder.name, mirror_id(folder.parent), _log.info)
        try:
            remove_states(store, folder.name)
        finally:
            held.release()
        shutil.rmtree(folder, ignore_errors=True)
        forget(folder)


def open_place(place: str | Path) -> Path:
    """The folder here of ``--runs-dir``: of an address its mirror, which is made."""
    return make_mirror(str(place)) if local_folder(place) != Path(place) else Path(place)


def _finish_soon(keeper: Keeper, say: Callable[[str], None]) -> None:
    """Send what an interrupted command saved, if that is possible soon; it is here in any case."""
    try:
        keeper.finish(SHORT_PATIENCE, say, last=False)
    except DmddError as error:
        say(f"{error.message} It is kept here, and --resume on this machine sends it.")


def _head(store: FsspecStore, run: str) -> str:
    """The newest list of a run; empty for none."""
    return next(iter(list_names(store.names(run))), "")


def _is_current(store: FsspecStore, folder: Path) -> bool:
    """Whether what is here is what the store has, or newer: it has what this mirror has sent or fetched."""
    note, head = read_note(folder), _head(store, folder.name)
    if note is None or not note.whole or not folder.is_dir():
        return not head
    if head == note.head:
        return True
    if not head:
        return False
    newest = read_list(store, folder.name, head)
    return newest is not None and newest.mirror == mirror_id(folder.parent)


def _is_unsent(folder: Path) -> bool:
    note = read_note(folder)
    return note is not None and note.open and note.whole and _has_value(folder)


def _has_value(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (MODEL_NAME, STATE_NAME))


def _fetch(store: FsspecStore, folder: Path) -> bool:
    """Fetch a run; False where the store does not have it."""
    head = _head(store, folder.name)
    if not head:
        forget(folder)
        return False
    _log.info("fetching %s/%s", store.name, folder.name)
    state = fetch_run(store, folder.name, folder, _log.warning)
    if state is not None and state.name != head:
        write_note(folder, Note(head=head))
    return state is not None


def _set_aside(folder: Path) -> None:
    """Keep a finished run that was never sent, where another machine has sent one under its name."""
    if _is_unsent(folder) and (folder / MODEL_NAME).is_file():
        aside = folder.with_name(f"{folder.name}.unsent-{time.strftime('%Y%m%dT%H%M%S')}")
        folder.rename(aside)
        _log.warning("%s holds a run that was not sent; the store has another one", aside)
        forget(folder)


def _busy(folder: Path) -> Callable[[str], DmddError]:
    return lambda holder: TrainingError(
        f"The run in {folder} is in use by {holder}.", "Wait until it ends, or stop it."
    )


__all__ = [
    "How",
    "TakenError",
    "bring",
    "kept",
    "open_place",
    "outline_of",
    "remove_run",
    "settle",
    "stored_runs",
]
