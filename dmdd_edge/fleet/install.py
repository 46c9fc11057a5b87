"""Puts a version that a store offers into a folder of bundles, whole or not at all.

The files are fetched into a hidden folder beside the versions, where a later attempt continues. When all have
the right hash, the folder is renamed to the version's name. CURRENT is not touched here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.files import problem_with
from dmdd_edge.bundle.manifest import LARGEST, MANIFEST_NAME, SIGNATURE_NAME
from dmdd_edge.errors import BundleError, DmddError, FleetError, StorageError
from dmdd_edge.failures import storage_error, storage_errors
from dmdd_edge.fleet.fetch import Added, fetch
from dmdd_edge.fleet.offer import Offer
from dmdd_edge.fleet.signature import LARGEST_SIGNATURE
from dmdd_edge.fleet.store import Store
from dmdd_edge.locking import locked
from dmdd_edge.outside_files import inside, read_bounded
from dmdd_edge.storage import make_folder, publish_folder, write_atomically

#: Begins the name of a folder into which a version is fetched; a leading dot is what listings ignore.
FETCHING_PREFIX = ".fetching-"
#: The file that is locked.
LOCK_NAME = ".fleet.lock"
#: Seconds that a command waits for another one that works on the same category.
PATIENCE = 600.0

_POLL = 0.1
#: Folders of other machines are removed when nothing was fetched into them for so long, in seconds.
_ABANDONED_AFTER = 24 * 3600.0
#: What must remain free on the disk besides the files, in bytes.
_SPARE = 16 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Installed:
    """What putting a version into a folder took.

    Attributes:
        bundle: the version.
        fetched: bytes that were fetched.
        files: files that were fetched, in whole or in part; 0 when the version was there.
    """

    bundle: Bundle
    fetched: int = 0
    files: int = 0


def present(offer: Offer, folder: Path) -> Bundle | None:
    """The version in a category's folder, if it is there, whole, the same as offered, and signed like it."""
    try:
        target = inside(folder, offer.version)
        if read_bounded(target / MANIFEST_NAME, LARGEST) != offer.data:
            return None
        if offer.signature is not None and _signature(target) != offer.signature:
            return None
        return Bundle.load(target)
    except (DmddError, OSError):
        return None


def install(
    store: Store, offer: Offer, folder: Path, added: Added = lambda count: None, say: Say = lambda line: None
) -> Installed:
    """Put a version into a category's folder.

    One process at a time does so; others wait, and then find it there. A version that is there already is
    verified; of its files, those that are missing or damaged are fetched and replaced one by one.

    Args:
        store: that offers it.
        offer: the version.
        folder: of the category; made when missing.
        added: called with the bytes that are fetched.
        say: receives what a person should know.

    Raises:
        DmddError: the store cannot be read or has other files than the manifest says, a version of this name
            with other contents is there, the disk refuses, or another process takes too long. What was there
            before is unchanged.
    """
    if (found := present(offer, folder)) is not None:
        return Installed(found)
    make_folder(folder, "Name another --models-dir.")
    with alone(folder, say):
        _remove_abandoned(folder, offer)
        target = folder / offer.version
        if os.path.lexists(target):
            return _repair(store, offer, target, added)
        stage = folder / f"{FETCHING_PREFIX}{_tag(offer)}"
        try:
            return _fetch_all(store, offer, stage, target, added)
        except StorageError as error:
            if error.errno in _FULL:
                # A full disk stops more than this: what was fetched must not keep it full.
                shutil.rmtree(stage, ignore_errors=True)
            raise


def _fetch_all(store: Store, offer: Offer, stage: Path, target: Path, added: Added) -> Installed:
    with storage_errors(stage, "made"):
        if stage.is_symlink() or (stage.exists() and not stage.is_dir()):
            stage.unlink()
        stage.mkdir(exist_ok=True)
        os.utime(stage)
    _require_space(offer, stage)
    fetched = files = 0
    for name in sorted(offer.manifest.files):
        count = _fetch_one(store, offer, name, stage / name, added)
        fetched, files = fetched + count, files + (count > 0)
    write_atomically(stage / MANIFEST_NAME, offer.data)
    if offer.signature is not None:
        write_atomically(stage / SIGNATURE_NAME, offer.signature)
    _remove_strays(stage, offer)
    try:
        publish_folder(stage, target)
    except StorageError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # Another machine was faster: locks do not reach it on every network share.
        shutil.rmtree(stage, ignore_errors=True)
        if (found := present(offer, target.parent)) is None:
            raise _other_contents(target) from None
        return Installed(found, fetched, files)
    return Installed(Bundle(target, offer.manifest), fetched, files)


def _repair(store: Store, offer: Offer, target: Path, added: Added) -> Installed:
    """Replace what is damaged in a version that is there already."""
    try:
        same = read_bounded(inside(target.parent, target.name) / MANIFEST_NAME, LARGEST) == offer.data
    except OSError:
        same = False
    if not same:
        raise _other_contents(target)
    fetched = files = 0
    for name, sha256 in sorted(offer.manifest.files.items()):
        path = inside(target, name)
        if problem_with(target, path, name, sha256, offer.manifest.sizes[name], True) is None:
            continue
        part = target.parent / f"{FETCHING_PREFIX}{_tag(offer)}" / name
        count = _fetch_one(store, offer, name, part, added)
        with storage_errors(path, "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, path)  # noqa: PTH105 - atomically, by its name
        fetched, files = fetched + count, files + 1
    if offer.signature is not None and _signature(target) != offer.signature:
        write_atomically(target / SIGNATURE_NAME, offer.signature)
    shutil.rmtree(target.parent / f"{FETCHING_PREFIX}{_tag(offer)}", ignore_errors=True)
    return Installed(Bundle.load(target), fetched, files)


def _fetch_one(store: Store, offer: Offer, name: str, target: Path, added: Added) -> int:
    make_folder(target.parent)
    return fetch(
        store, offer.path(name), target, offer.manifest.sizes[name], offer.manifest.files[name], added
    )


def _other_contents(target: Path) -> DmddError:
    return BundleError(
        f"{target} exists, and it is not the version that is offered under this name.",
        "See which of the two is right; then remove or rename the other one.",
    )


def _signature(target: Path) -> bytes | None:
    try:
        return read_bounded(target / SIGNATURE_NAME, LARGEST_SIGNATURE)
    except OSError:
        return None


def _tag(offer: Offer) -> str:
    """Names what is fetched and by which machine, so that no two that share a folder share its files."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f"{hashlib.sha256(offer.data).hexdigest()[:16]}-{host}"


def _require_space(offer: Offer, stage: Path) -> None:
    """Refuse a version that cannot fit, before anything is fetched."""
    with storage_errors(stage, "read"):
        there = sum(path.lstat().st_size for path in stage.rglob("*") if path.is_file())
        free = shutil.disk_usage(stage).free
    missing = max(offer.size - there, 0)
    if missing + _SPARE > free:
        text = (
            f"{missing / 2**20:,.0f} MiB are still to come and {_SPARE >> 20} MiB must remain, "
            f"but {free / 2**20:,.0f} MiB are free"
        )
        raise storage_error(OSError(errno.ENOSPC, text), stage.parent, "written", _MAKE_ROOM)


_NO_LOCKS = "its file system has no locks, so two commands could change it at once"
_LOCAL = "Name a folder on a local disk, or mount the share with locks (NFS without `nolock`)."
_MAKE_ROOM = "Free some space (`dmdd-edge models remove` removes old versions), or name another --models-dir."


def _remove_strays(stage: Path, offer: Offer) -> None:
    """Remove what the version does not have, such as a part of a file that was being replaced."""
    known = {*offer.manifest.files, MANIFEST_NAME, *([SIGNATURE_NAME] if offer.signature is not None else [])}
    with storage_errors(stage, "written"):
        for path in sorted(stage.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                with suppress(OSError):
                    path.rmdir()  # fails where there are files
            elif path.relative_to(stage).as_posix() not in known:
                path.unlink()


def _remove_abandoned(folder: Path, offer: Offer) -> None:
    """Remove what was fetched of other versions and never became one; only this process works here."""
    host = _tag(offer).rpartition("-")[2]
    for path in folder.glob(f"{FETCHING_PREFIX}*"):
        with suppress(OSError):
            own = path.name.endswith(f"-{host}")
            if path.name != f"{FETCHING_PREFIX}{_tag(offer)}" and (
                own or time.time() - path.lstat().st_mtime > _ABANDONED_AFTER
            ):
                shutil.rmtree(path)


@contextmanager
def alone(folder: Path, say: Say) -> Iterator[None]:
    """Hold a folder for a change, waiting for those that hold it.

    Args:
        folder: of a category, or of a whole store.
        say: receives one line when it has to wait.

    Raises:
        DmddError: another process holds it for longer than ``PATIENCE``, or the file system has no locks.
    """

    def busy(who: str) -> DmddError:
        return _Held(
            f"{folder} is in use by {who}.", "Wait until that command has ended, then repeat this one."
        )

    deadline, waited = time.monotonic() + PATIENCE, False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder, busy, path=folder / LOCK_NAME, required=True))
                break
            except _Held as error:
                if time.monotonic() > deadline:
                    raise
                if not waited:
                    say(f"waiting: {error.message}")
                waited = True
            except StorageError as error:
                if error.errno == errno.ENOLCK:
                    raise storage_error(OSError(errno.ENOLCK, _NO_LOCKS), folder, "changed", _LOCAL) from None
                raise
            time.sleep(_POLL)
        yield


class _Held(FleetError):  # noqa: N818 - who reads it is the loop above
    """Another process holds the folder."""
