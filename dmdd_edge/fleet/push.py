"""Brings a local version to a store: its files, then the manifest that makes it visible, then CURRENT."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.manifest import LARGEST, MANIFEST_NAME, SIGNATURE_NAME
from dmdd_edge.bundle.versions import CURRENT_NAME
from dmdd_edge.errors import BundleError, DmddError, FleetError
from dmdd_edge.fleet.fetch import Added, share_of
from dmdd_edge.fleet.folder_store import FolderStore
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.fleet.index import index_bytes, read_index
from dmdd_edge.fleet.install import alone, install
from dmdd_edge.fleet.offer import DIGEST_SUFFIX, Offer, current_of, digest_line
from dmdd_edge.fleet.signature import LARGEST_SIGNATURE
from dmdd_edge.fleet.store import BLOCK, INDEX_NAME, Store
from dmdd_edge.messages.reporter import Reporter
from dmdd_edge.storage import make_folder, write_atomically

#: How often the index is compared with what there is after it was written.
_TRIES = 5


@dataclass(frozen=True)
class Pushed:
    """What a push of one version did.

    Attributes:
        bundle: the local version.
        before: the version that the store's CURRENT named; None without one.
        current: whether CURRENT names this version now.
        sent: bytes that were sent; 0 when the version was there.
        files: files that were sent.
    """

    bundle: Bundle
    before: str | None
    current: bool
    sent: int
    files: int


def push(
    target: Path | FsspecStore,
    models_dir: Path,
    offer: Offer,
    *,
    use: bool = True,
    work: Reporter | None = None,
) -> Pushed:
    """Bring a version to a store.

    Args:
        target: a folder, or an object store.
        models_dir: the local folder of bundles.
        offer: the local version, as ``read_offer`` reads it.
        use: make the store's CURRENT name it.
        work: receives the progress.

    Raises:
        DmddError: the version is damaged here, the store has another one under its name, or cannot be
            written. What the store had before is unchanged.
    """
    work = work or Reporter()
    bundle = Bundle.load(Path(models_dir) / offer.category / offer.version)
    added = share_of(work, f"sending {offer.category}", offer.size)
    if isinstance(target, Path):
        store: Store = FolderStore(target)
        make_folder(target, "Name another folder.")
        local = FolderStore(Path(models_dir))
        installed = install(local, offer, target / offer.category, added, work.say)
        sent, files = installed.fetched, installed.files
    else:
        store = target
        sent, files = _send(target, bundle, offer, added)
    digest = f"{offer.category}/{offer.version}{DIGEST_SUFFIX}"
    _replace(target, store, digest, digest_line(offer.version, offer.data))
    before = None
    with suppress(DmddError):  # a CURRENT that cannot be read is replaced like any other
        before = current_of(store, offer.category)
    if use and before != offer.version:
        _replace(target, store, f"{offer.category}/{CURRENT_NAME}", f"{offer.version}\n".encode())
    _write_index(target, store, work)
    return Pushed(bundle, before, use or before == offer.version, sent, files)


def _send(store: FsspecStore, bundle: Bundle, offer: Offer, added: Added) -> tuple[int, int]:
    """Send what an object store does not have yet; returns the bytes and the files."""
    manifest = offer.path(MANIFEST_NAME)
    there = store.read(manifest, LARGEST)
    if there not in (None, offer.data):
        raise _other(store, offer)
    sent = files = 0
    for name in sorted(offer.manifest.files):
        if _send_file(store, bundle, offer, name, there is not None):
            sent, files = sent + offer.manifest.sizes[name], files + 1
        added(offer.manifest.sizes[name])
    signature = offer.path(SIGNATURE_NAME)
    if offer.signature is not None and store.read(signature, LARGEST_SIGNATURE) != offer.signature:
        store.create(signature, offer.signature, replace=True)
    if there is None and not store.create(manifest, offer.data):
        there = store.read(manifest, LARGEST)  # another pusher was faster
        if there != offer.data:
            raise _other(store, offer)
    return sent, files


def _send_file(store: FsspecStore, bundle: Bundle, offer: Offer, name: str, complete: bool) -> bool:
    """Send one file unless it is there; never over one that another version may need.

    Args:
        complete: the store has this version's manifest, so another file in its place is a damaged one.
    """
    path, size = offer.path(name), offer.manifest.sizes[name]
    found = store.size(path)
    if found is None:
        if store.create(path, bundle.file(name)):
            return True
        found = store.size(path)  # another pusher was faster
    if found == size and hash_in(store, path, size) == offer.manifest.files[name].lower():
        return False
    if found is not None and found >= size and not complete:
        raise BundleError(
            f"{store.name}/{path} exists, and it is not the file of this version.",
            "Remove it from the store, or export again for another version's name.",
        )
    # Shorter: what a push left that was cut off at a store that does not write files whole.
    store.create(path, bundle.file(name), replace=True)
    return True


def hash_in(store: Store, path: str, size: int) -> str:
    """SHA-256 of a store's file in hex, of at most one block more than ``size`` bytes.

    Raises:
        DmddError: it is not there, or cannot be read.
    """
    digest, count = hashlib.sha256(), 0
    with store.opened(path, 0) as (_, source):
        while count <= size and (piece := source.read(BLOCK)):
            digest.update(piece)
            count += len(piece)
    return digest.hexdigest()


def _other(store: FsspecStore, offer: Offer) -> DmddError:
    return BundleError(
        f"{store.name} has another version named {offer.category} {offer.version}; it stays as it is.",
        "A version is never overwritten. Export again, which gives a new name, and push that.",
    )


def _replace(target: Path | FsspecStore, store: Store, path: str, content: bytes) -> None:
    """Write a small file, unless it is so already."""
    with suppress(DmddError):  # what cannot be read is replaced
        if store.read(path, len(content)) == content:
            return
    if isinstance(target, Path):
        write_atomically(target / path, content)
    else:
        target.create(path, content, replace=True)


def _write_index(target: Path | FsspecStore, store: Store, work: Reporter) -> None:
    """Write what there is, until what was written is what there is: another push may write an older list."""
    if isinstance(target, Path):
        with alone(target, work.say):
            write_atomically(target / INDEX_NAME, index_bytes(store.versions()))
        return
    for _ in range(_TRIES):
        versions = store.versions()
        try:
            if read_index(store) == versions:
                return
        except FleetError:
            pass  # damaged: it is written again
        _replace(target, store, INDEX_NAME, index_bytes(versions))
    work.say(f"{store.name}/{INDEX_NAME} is being changed by others; the next push completes it")
