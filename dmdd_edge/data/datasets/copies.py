"""Copies a category from a store into the cache on this machine: what is new, and only that.

A file of the copy is whole or not there: it is written under another name and renamed. A file is copied again
when its size or its mark in the store (ETag, time of change) differs from what was copied. A file of
another kind than images is empty in the copy: only its name is needed.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dmdd_edge.data.images import IMAGE_SUFFIXES
from dmdd_edge.data_address import CACHE_VARIABLE, STATE_NAME, last_name, local_place
from dmdd_edge.errors import DataError, DmddError
from dmdd_edge.failures import storage_error, storage_errors
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.fleet.store import BLOCK, NotThere, StoredFile
from dmdd_edge.locking import locked
from dmdd_edge.messages.text import unfit_character, visible
from dmdd_edge.storage import make_folder, write_atomically

#: Files that are copied at a time.
_AT_ONCE = 8
#: After this number of failures the rest is not tried: the store is gone, or the disk is full.
_ENOUGH = 10
#: The state is written after this number of files: what a kill makes the next call copy again.
_KEEP = 256
#: Seconds between two looks whether another process still copies the same category.
_LOOK = 0.5
_FIX = f"Name a folder with room for the copy: export {CACHE_VARIABLE}=DIR"

_log = logging.getLogger(__name__)


class StoredSet:
    """A data set in a store.

    Args:
        address: such as ``s3://plant/mvtec``, without secrets.

    Raises:
        DmddError: a package for this kind of address is missing, or the address is wrong.
    """

    def __init__(self, address: str) -> None:
        self._address, self._store = address, FsspecStore(address)
        self._lists: dict[str, list[StoredFile]] = {}

    @contextmanager
    def outline(self, below: str = "", *, every: bool = False) -> Iterator[Path]:
        """A temporary folder with the set's folders and empty files in the place of its images.

        It tells the layout by the same rules as the set itself. Messages of errors inside the block name the
        address instead.

        Args:
            below: only this folder of the set.
            every: all files; otherwise one image of each folder.

        Raises:
            DmddError: the store cannot be listed, or has no files there.
        """
        with tempfile.TemporaryDirectory(prefix="dmdd-outline-") as scratch:
            root = Path(scratch) / last_name(self._address)
            with storage_errors(root, "written"):
                root.mkdir()
                shown: set[Path] = set()
                files = self._listed(below)
                if not files and not below:
                    nothing = DataError(f"{self._store.name} has no files.", "Check the address.")
                    nothing.fix += self._or_kept(below)
                    raise nothing
                for file in files:
                    path = root / below / file.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    if every or (_is_image(path.name) and path.parent not in shown):
                        shown.add(path.parent)
                        path.touch()
            try:
                yield root
            except DataError as error:
                texts = (text.replace(str(root), self._store.name) for text in (error.message, error.fix))
                raise DataError(*texts) from None

    def copied(self, below: str) -> Path:
        """Make a folder of the set local; returns the folder of the copy.

        Args:
            below: the folder, relative to the set; empty for the set itself.

        Raises:
            DmddError: the store cannot be listed, a file cannot be copied, or the disk is full.
        """
        address = f"{self._address}/{below}" if below else self._address
        files = self._listed(below)
        folder = local_place(address)
        room = folder.parent
        make_folder(room, _FIX)
        with _held(room, self._shown(below)):
            self._bring(files, below, folder, address)
        return folder

    def _listed(self, below: str) -> list[StoredFile]:
        """The files of a folder, relative to it; the store is asked once."""
        if below not in self._lists:
            self._lists[below] = self._asked(below)
        return self._lists[below]

    def _asked(self, below: str) -> list[StoredFile]:
        try:
            files = list(self._store.listed(below))
        except DmddError as error:
            error.fix += self._or_kept(below)
            raise
        found = []
        for file in files:
            names = file.path.split("/")
            if any(name in ("", ".", "..") for name in names) or unfit_character(file.path) is not None:
                raise DataError(
                    f"{self._shown(below)}: the name `{visible(file.path)}` cannot be one of a file here.",
                    "Rename it in the store.",
                )
            if not names[-1].startswith("."):
                found.append(file)
        return found

    def _or_kept(self, below: str) -> str:
        """What to do without the store, as a further sentence; empty where nothing was copied."""
        kept = local_place(f"{self._address}/{below}" if below else self._address)
        return f" Or use the images as they were copied last: --data {kept}" if kept.is_dir() else ""

    def _shown(self, below: str) -> str:
        return f"{self._store.name}/{below}" if below else self._store.name

    def _bring(self, files: Sequence[StoredFile], below: str, folder: Path, address: str) -> None:
        known = _read_state(folder.parent)
        with storage_errors(folder, "written", _FIX):
            _remove_others(folder, {file.path for file in files})
        missing = [file for file in files if not _is_there(folder, file, known)]
        if not missing:
            if len(known) != len(files):
                _write_state(folder.parent, address, {file.path: known[file.path] for file in files})
            return
        size = sum(file.size for file in missing if _is_image(file.path))
        free = shutil.disk_usage(folder.parent).free
        if size > free:
            reason = f"it needs {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free"
            raise storage_error(OSError(errno.ENOSPC, reason), folder, "written", _FIX)
        _log.info(
            "copying %d of %d files (%.1f MB) of %s to %s",
            *(len(missing), len(files), size / 1e6, self._shown(below), folder),
        )
        known = {file.path: known[file.path] for file in files if file.path in known}
        for file in missing:
            known.pop(file.path, None)
        failed = self._copy_all(missing, below, folder, address, known)
        if failed:
            path, error = failed[0]
            raise DataError(
                f"{len(failed)} of {len(missing)} files of {self._shown(below)} cannot be copied. The first "
                f"is {visible(path)}: {error.message.rstrip('.')}.",
                f"{error.fix} Then run the command again: it copies only what is missing.",
            )

    def _copy_all(
        self,
        missing: Sequence[StoredFile],
        below: str,
        folder: Path,
        address: str,
        known: dict[str, list[object]],
    ) -> list[tuple[str, DmddError]]:
        """Copy files, several at a time; returns those that cannot be copied, with the reasons."""
        failed: list[tuple[str, DmddError]] = []
        _write_state(folder.parent, address, known)
        pool = ThreadPoolExecutor(_AT_ONCE, "dmdd-copy")
        try:
            coming = {pool.submit(self._copy, file, below, folder): file for file in missing}
            for count, future in enumerate(as_completed(coming), 1):
                file = coming[future]
                try:
                    future.result()
                except DmddError as error:
                    failed.append((file.path, error))
                    if len(failed) >= _ENOUGH:
                        break
                else:
                    known[file.path] = [file.size, file.mark]
                if count % _KEEP == 0:
                    _write_state(folder.parent, address, known)
        finally:
            pool.shutdown(cancel_futures=True)
            _write_state(folder.parent, address, known)
        return failed

    def _copy(self, file: StoredFile, below: str, folder: Path) -> None:
        target = folder / file.path
        part = target.with_name(f".{target.name[:40]}.part")
        where = f"{below}/{file.path}" if below else file.path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not _is_image(file.path):
                target.write_bytes(b"")
                return
            size = 0
            with self._store.opened(where, 0) as (_, stream), part.open("wb") as out:
                while block := stream.read(BLOCK):
                    size += out.write(block)
            if size != file.size:
                raise DataError(
                    f"it has {size:,} bytes, and the store listed {file.size:,}.",
                    "Wait until nothing writes it any more.",
                )
            part.replace(target)
        except NotThere:
            raise DataError("it vanished meanwhile.", "Wait until nothing changes the set.") from None
        except OSError as error:
            raise storage_error(error, target, "written", _FIX) from error
        finally:
            part.unlink(missing_ok=True)


def _is_image(path: str) -> bool:
    return path.lower().endswith(IMAGE_SUFFIXES)


def _is_there(folder: Path, file: StoredFile, known: dict[str, list[object]]) -> bool:
    if known.get(file.path) != [file.size, file.mark]:
        return False
    try:
        return (folder / file.path).stat().st_size == (file.size if _is_image(file.path) else 0)
    except OSError:
        return False


def _remove_others(folder: Path, wanted: set[str]) -> None:
    """Remove what the store does not have any more, and what a kill left half written."""
    for inside, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(inside, name)
            if path.relative_to(folder).as_posix() not in wanted:
                path.unlink()
        if not os.listdir(inside):  # noqa: PTH208 - its subfolders went before
            Path(inside).rmdir()


def _read_state(room: Path) -> dict[str, list[object]]:
    """The size and the mark of each copied file; empty where nothing usable says so."""
    try:
        state = json.loads((room / STATE_NAME).read_text(encoding="utf-8"))
        files = state["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return files if isinstance(files, dict) else {}


def _write_state(room: Path, address: str, files: dict[str, list[object]]) -> None:
    write_atomically(room / STATE_NAME, json.dumps({"address": address, "files": files}))


class _BusyError(DmddError):
    """Another process copies the same folder."""


@contextmanager
def _held(room: Path, shown: str) -> Iterator[None]:
    """Hold a copy; waits for another process that is at it."""
    told = False
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(room, _BusyError, path=room / ".lock"))
                break
            except _BusyError as error:
                if not told:
                    _log.info("waiting for %s, which copies %s too", error.message, shown)
                    told = True
            time.sleep(_LOOK)
        yield
