"""Takes a version from a store and puts it to use: verified, whole, and past the caller's gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle, use_version
from dmdd_edge.bundle.versions import read_current
from dmdd_edge.errors import DmddError
from dmdd_edge.fleet.fetch import share_of
from dmdd_edge.fleet.install import install
from dmdd_edge.fleet.offer import choose_version, read_offer
from dmdd_edge.fleet.signature import PublicKey, Signature
from dmdd_edge.fleet.store import Store
from dmdd_edge.messages.reporter import Reporter


@dataclass(frozen=True)
class Pulled:
    """What a pull of one category did.

    Attributes:
        bundle: the version, in the local folder.
        before: the version that was in use before; None without one.
        in_use: whether the version is in use now.
        fetched: bytes that were fetched; 0 when the version was there.
        files: files that were fetched.
        signed: the verified signature; None where no key is set.
    """

    bundle: Bundle
    before: str | None
    in_use: bool
    fetched: int
    files: int
    signed: Signature | None

    @property
    def older(self) -> bool:
        """Whether it took the place of a version that is newer by its name, which begins with the time."""
        return self.in_use and self.before is not None and self.bundle.version < self.before


def pull(
    store: Store,
    category: str,
    models_dir: Path,
    *,
    version: str | None = None,
    use: bool = True,
    keys: Sequence[PublicKey] = (),
    accept: Callable[[Bundle], object] = lambda bundle: None,
    work: Reporter | None = None,
) -> Pulled:
    """Take one version of a category from a store.

    Args:
        store: where from.
        category: its category.
        models_dir: the local folder of bundles.
        version: its name or the start of it; None for the one that the store's ``CURRENT`` names.
        use: put it to use.
        keys: public keys, one of which must have signed it; none accepts unsigned versions.
        accept: called with the verified version before it is put to use; raises to refuse it.
        work: receives the progress.

    Raises:
        DmddError: the version cannot be taken as it must be; the version in use stays. Also whatever
            ``accept`` raises; the new version then stays beside the one in use.
    """
    work = work or Reporter()
    offer = read_offer(store, category, choose_version(store, category, version), keys)
    folder = Path(models_dir) / category
    installed = install(store, offer, folder, share_of(work, f"fetching {category}", offer.size), work.say)
    before = _before(folder)
    if use and before != offer.version:
        work.update(f"checking {category}")
        use_version(models_dir, category, offer.version, accept)
    return Pulled(
        installed.bundle,
        before,
        use or before == offer.version,
        installed.fetched,
        installed.files,
        offer.signed,
    )


def _before(folder: Path) -> str | None:
    try:
        return read_current(folder)
    except DmddError:
        return None  # damaged: the new version takes its place
