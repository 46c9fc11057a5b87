"""The local version that a push brings to a store, signed if a key is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.manifest import MANIFEST_NAME, SIGNATURE_NAME
from dmdd_edge.bundle.versions import find_version, match_version, read_current
from dmdd_edge.errors import BundleError, DmddError
from dmdd_edge.fleet.folder_store import FolderStore
from dmdd_edge.fleet.offer import Offer, read_offer
from dmdd_edge.fleet.signature import PublicKey, verify
from dmdd_edge.fleet.signing import SecretKey
from dmdd_edge.storage import write_atomically


def local_offer(
    models_dir: Path,
    category: str,
    version: str | None = None,
    keys: Sequence[PublicKey] = (),
    secret: SecretKey | None = None,
) -> tuple[Offer, bool]:
    """A local version as a store offers it, and whether it is in use.

    Args:
        models_dir: the folder of bundles.
        category: its category.
        version: its name or the start of it; None for the one in use.
        keys: public keys, one of which must have signed it.
        secret: signs it, unless its signature is of this key already.

    Raises:
        DmddError: there is no such version, it is damaged, it is not signed as it must be, or the signature
            cannot be written beside the manifest.
    """
    folder = Path(models_dir) / category
    path = find_version(folder) if version is None else folder / match_version(folder, version)
    store = FolderStore(Path(models_dir))
    if secret is not None:
        # Signed is what is whole: the signature vouches for every file.
        offer = read_offer(store, category, Bundle.load(path).path.name)
        if not _signed_by(offer, secret.public):
            text = f"category:{category}\tversion:{offer.version}"
            write_atomically(path / SIGNATURE_NAME, secret.sign(offer.data, text))
    offer = read_offer(store, category, path.name, keys)
    try:
        current = read_current(folder)
    except DmddError:
        current = None
    return offer, current == offer.version


def _signed_by(offer: Offer, key: PublicKey) -> bool:
    try:
        verify(offer.data, offer.signature, [key], MANIFEST_NAME)
    except BundleError:
        return False
    return True


def check_signature(bundle: Bundle, keys: Sequence[PublicKey]) -> None:
    """Verify the signature of a local bundle.

    Raises:
        DmddError: it is not signed by one of the keys, or cannot be read.
    """
    folder = bundle.path.parent
    store = FolderStore(folder.parent)
    read_offer(store, folder.name, bundle.path.name, keys)
