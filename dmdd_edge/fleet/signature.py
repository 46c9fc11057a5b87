"""Detached signatures in minisign's format: Ed25519 over the manifest, which holds the hash of every file.

``minisign -Sm manifest.json`` makes one; both its forms are read, that of today (over BLAKE2b-512 of the
file) and the legacy one (over the file). No other format is read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import BundleError, OptionError
from dmdd_edge.extras import need
from dmdd_edge.failures import unreadable
from dmdd_edge.messages.text import unfit_character, visible
from dmdd_edge.outside_files import read_bounded

#: The largest signature that is read, in bytes: minisign's comments have at most 8 kB each.
LARGEST_SIGNATURE = 20_000

_UNTRUSTED, _TRUSTED = "untrusted comment: ", "trusted comment: "
_LEGACY, _HASHED = b"Ed", b"ED"
_LARGEST_KEY = 4096


@dataclass(frozen=True)
class PublicKey:
    """A public key of minisign.

    Attributes:
        number: 8 bytes that tell keys apart.
        key: of Ed25519, 32 bytes.
    """

    number: bytes
    key: bytes

    @property
    def id(self) -> str:
        """The number as minisign prints it."""
        return key_id(self.number)


@dataclass(frozen=True)
class Signature:
    """A signature that was verified.

    Attributes:
        key_id: of the key that verified it.
        comment: signed with it; for people.
    """

    key_id: str
    comment: str


def key_id(number: bytes) -> str:
    """The number of a key as minisign prints it: hex, the last byte first."""
    return number[::-1].hex().upper()


def public_key(text: str) -> PublicKey:
    """Read a public key: the text of one, or the name of a file that minisign wrote.

    Raises:
        DmddError: it is neither.
    """
    shown = visible(text)[:80]
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 42:
        path = Path(text)
        try:
            lines = read_bounded(path, _LARGEST_KEY).decode("utf-8").splitlines()
        except FileNotFoundError:
            raise OptionError(
                f"{shown!r} is neither a public key of minisign nor a file.",
                "Give the line that begins with RW, or the file minisign.pub.",
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise unreadable(error, path, "Give the file minisign.pub.") from None
        raw = _decoded(next((line for line in lines if line and not line.startswith(_UNTRUSTED)), ""))
    if len(raw) != 42 or raw[:2] != _LEGACY:
        raise OptionError(
            f"{shown} does not hold a public key of minisign.",
            "Give the line that begins with RW, or the file minisign.pub; the secret key stays where it is.",
        )
    return PublicKey(raw[2:10], raw[10:])


def verify(data: bytes, signature: bytes | None, keys: Sequence[PublicKey], what: str) -> Signature:
    """Verify a detached signature.

    Args:
        data: what was signed.
        signature: the contents of the signature's file; None without one.
        keys: the public keys, one of which must have signed.
        what: names the data in messages.

    Raises:
        BundleError: it is not signed, by none of the keys, or the signature is malformed or wrong.
        BackendError: the package that verifies is missing.
    """
    with need("fleet"):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    known = ", ".join(key.id for key in keys)
    if signature is None:
        raise BundleError(
            f"{what} is not signed, and a public key is set ({known}).",
            "Sign it and push it again: minisign -Sm manifest.json, or `dmdd-edge models push --sign-key`.",
        )
    number, algorithm, body, comment, whole = _parsed(signature, what)
    key = next((key for key in keys if key.number == number), None)
    if key is None:
        raise BundleError(
            f"{what} is signed by the key {key_id(number)}, and the keys set here are: {known}.",
            "Sign it with that key, or add the public key if you trust it.",
        )
    message = hashlib.blake2b(data).digest() if algorithm == _HASHED else data
    reader = Ed25519PublicKey.from_public_bytes(key.key)
    try:
        reader.verify(body, message)
        reader.verify(whole, body + comment.encode("utf-8", "surrogateescape"))
    except InvalidSignature:
        raise BundleError(
            f"{what} has a wrong signature: it was altered after it was signed.",
            "Do not use it. Find out who changed it, and push it again from where it was exported.",
        ) from None
    return Signature(key.id, comment)


def _parsed(signature: bytes, what: str) -> tuple[bytes, bytes, bytes, str, bytes]:
    """The key's number, the algorithm, the signature, the trusted comment, and the signature of both."""
    malformed = BundleError(
        f"{what} has a malformed signature; only minisign's format is read.",
        "Sign it again with `minisign -Sm manifest.json`.",
    )
    lines = signature.decode("utf-8", "surrogateescape").split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    if len(lines) < 4 or any(lines[4:]) or not lines[0].startswith(_UNTRUSTED):
        raise malformed
    if not lines[2].startswith(_TRUSTED):
        raise malformed
    raw, whole = _decoded(lines[1]), _decoded(lines[3])
    comment = lines[2].removeprefix(_TRUSTED)
    if len(raw) != 74 or len(whole) != 64 or raw[:2] not in (_LEGACY, _HASHED):
        raise malformed
    if unfit_character(comment.replace("\t", " ")) is not None:
        raise malformed
    return raw[2:10], raw[:2], raw[10:], comment, whole


def _decoded(line: str) -> bytes:
    try:
        return base64.b64decode(line.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
