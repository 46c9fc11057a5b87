"""What a store offers: a version with its manifest, read and checked before any other file is fetched."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from dmdd_edge.bundle.manifest import (
    LARGEST,
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Manifest,
    NewerSchema,
    parse_manifest,
)
from dmdd_edge.bundle.versions import CURRENT_NAME
from dmdd_edge.errors import BundleError, FleetError, OptionError
from dmdd_edge.fleet.signature import LARGEST_SIGNATURE, PublicKey, Signature, verify
from dmdd_edge.fleet.store import Store
from dmdd_edge.messages.text import is_plain_name
from dmdd_edge.outside_files import require_encodable
from dmdd_edge.strict_json import NotStrict

#: The most bytes that the files of a version may have; a bundle has some hundred million.
LARGEST_VERSION = 16 << 30
_LONGEST_LINE = 1024
#: Ends the name of the file with a manifest's hash, beside the version's folder.
DIGEST_SUFFIX = ".sha256"

#: As ``next_version_name`` makes them. Beside the versions are folders and files of other names, such as
#: ``challenge``, of which no version may take the place.
_VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")

_PUSH_AGAIN = "Push it again from where it was exported."


@dataclass(frozen=True)
class Offer:
    """A version that a store offers.

    Attributes:
        category: its category.
        version: its name.
        manifest: what the version says about itself.
        data: the manifest as it was read, which a signature covers.
        signature: the signature's file as it was read; None without one.
        signed: the verified signature; None where no key is set.
    """

    category: str
    version: str
    manifest: Manifest
    data: bytes
    signature: bytes | None
    signed: Signature | None

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(self.manifest.sizes[name] for name in self.manifest.files)

    def path(self, name: str) -> str:
        """Where the store has one of its files."""
        return f"{self.category}/{self.version}/{name}"


def current_of(store: Store, category: str) -> str | None:
    """The version that a store's ``CURRENT`` names; None without one.

    Raises:
        DmddError: it is not a version's name, or the store cannot be read.
    """
    path = f"{category}/{CURRENT_NAME}"
    data = store.read(path, _LONGEST_LINE)
    if data is None:
        return None
    name = data.decode("utf-8", "surrogateescape").strip()
    if not is_plain_name(name):  # also where it is not UTF-8
        raise FleetError(
            f"{store.name}/{path} holds {name[:80]!r}, which is not a version's name.", _PUSH_AGAIN
        )
    return name


def choose_version(store: Store, category: str, wanted: str | None) -> str:
    """The version to pull: the one that CURRENT names, or the only one whose name begins as wanted.

    Raises:
        DmddError: there is no such version, or several; or the store cannot be read.
    """
    if not is_plain_name(category):
        raise OptionError(f"{category!r} cannot name a category.", "Use letters, digits, - and _.")
    require_encodable(category)
    if wanted is None:
        name = current_of(store, category)
        if name is not None:
            return name
        found = store.versions(category).get(category, [])
        if not found:
            raise FleetError(
                f"{store.name} has no complete version of {category}.",
                f"See what there is with `dmdd-edge models list --remote`, or push {category} first.",
            )
        raise FleetError(
            f"{store.name}/{category} has no {CURRENT_NAME} file that names a version.",
            f"Name one with --version: {', '.join(found)}",
        )
    if is_plain_name(wanted) and store.read(f"{category}/{wanted}/{MANIFEST_NAME}", LARGEST) is not None:
        return wanted
    found = store.versions(category).get(category, [])
    matching = [name for name in found if name.startswith(wanted)]
    if len(matching) != 1:
        what = "several versions start with" if matching else "there is no complete version"
        raise FleetError(
            f"{store.name}/{category}: {what} {wanted!r}.",
            f"Name one of {', '.join(found)}." if found else "Push one first.",
        )
    return matching[0]


def read_offer(store: Store, category: str, version: str, keys: Sequence[PublicKey] = ()) -> Offer:
    """Read and check a version's manifest; with keys its signature first, before anything is read in it.

    Raises:
        DmddError: it is not there, not signed by one of the keys, malformed, of another category or version,
            or lists files that no bundle may have; or the store cannot be read.
    """
    what = f"{store.name}/{category}/{version}"
    if not _VERSION.fullmatch(version):
        raise BundleError(
            f"{what}: {version!r} is not a version's name as export gives it.",
            "Export the run again, or the bundle with --model, and push that version.",
        )
    data = store.read(f"{category}/{version}/{MANIFEST_NAME}", LARGEST)
    if data is None:
        raise FleetError(
            f"{what} has no {MANIFEST_NAME}: the version was not pushed, or not to its end.", _PUSH_AGAIN
        )
    signature = store.read(f"{category}/{version}/{SIGNATURE_NAME}", LARGEST_SIGNATURE)
    signed = verify(data, signature, keys, what) if keys else None
    if signed is None:
        _compare(store, category, version, data)
    try:
        manifest = parse_manifest(data)
    except NewerSchema as error:
        raise BundleError(
            f"{what}: {error}; this dmdd-edge does not read it.", "Update dmdd-edge here."
        ) from None
    except NotStrict as error:
        raise BundleError(f"{what}/{MANIFEST_NAME}: {error}.", _PUSH_AGAIN) from None
    if (manifest.category, manifest.version) != (category, version):
        raise BundleError(
            f"{what} holds another bundle: {manifest.category} {manifest.version}.",
            "Push each version from where it was exported; a folder of a store is never renamed.",
        )
    if problem := _unfit(manifest):
        raise BundleError(f"{what}: {problem}.", _PUSH_AGAIN)
    return Offer(category, version, manifest, data, signature, signed)


def _compare(store: Store, category: str, version: str, data: bytes) -> None:
    """Compare a manifest with the hash that a push left; a folder copied by hand does not have it."""
    path = f"{category}/{version}{DIGEST_SUFFIX}"
    digest = store.read(path, _LONGEST_LINE)
    if digest is not None and digest != digest_line(version, data):
        raise BundleError(
            f"{store.name}/{category}/{version}/{MANIFEST_NAME} is damaged or was altered: its SHA-256 is "
            f"not the one in {path}.",
            "Push the version again from where it was exported; remove its folder of the store first.",
        )


def digest_line(version: str, data: bytes) -> bytes:
    """The hash of a manifest, as ``sha256sum -c`` reads it in the category's folder."""
    return f"{hashlib.sha256(data).hexdigest()}  {version}/{MANIFEST_NAME}\n".encode()


def _unfit(manifest: Manifest) -> str:
    """Why a manifest's files cannot be fetched; empty when they can."""
    files = manifest.files
    if not files:
        return "the manifest lists no file"
    for name in sorted(files):
        require_encodable(name)
        if name in (MANIFEST_NAME, SIGNATURE_NAME):
            return f"the manifest lists `{name}`, which a bundle's file cannot be called"
        above = next((str(p) for p in PurePosixPath(name).parents if str(p) in files), None)
        if above is not None:
            return f"the manifest lists `{above}` as a file and as a folder"
        if name not in manifest.sizes:
            return f"the manifest does not say how large `{name}` is"
    size = sum(manifest.sizes[name] for name in files)
    if size > LARGEST_VERSION:
        return f"its files have {size:,} bytes; at most {LARGEST_VERSION:,} are accepted"
    return ""
