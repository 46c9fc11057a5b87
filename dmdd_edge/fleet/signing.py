"""Signs a manifest as minisign does, with a secret key that minisign made."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import time
from pathlib import Path

from dmdd_edge.errors import OptionError
from dmdd_edge.extras import need
from dmdd_edge.failures import unreadable
from dmdd_edge.fleet.signature import PublicKey
from dmdd_edge.outside_files import read_bounded

#: The variable with the password of the secret key.
PASSWORD_VARIABLE = "DMDD_SIGN_PASSWORD"

_LARGEST_KEY = 4096
#: The parts of a secret key: 2 algorithm, 2 derivation, 2 checksum, 32 salt, 8 operations, 8 memory, and what
#: is encrypted: 8 number, 64 key, 32 checksum.
_SECRET, _ENCRYPTED = 158, 104
#: The most memory that a password may cost, in bytes; minisign's own keys cost 1 GiB.
_MOST_MEMORY = 1 << 30
#: What OpenSSL may take for it: its count is a little higher, and must fit in 31 bits.
_OPENSSL_LIMIT = (1 << 31) - 1


class SecretKey:
    """A secret key of minisign, with or without a password.

    Args:
        path: the file that ``minisign -G`` wrote. Its password is taken from ``DMDD_SIGN_PASSWORD``, or
            typed on a terminal.

    Raises:
        DmddError: it cannot be read, is not such a key, or the password is missing or wrong.
    """

    def __init__(self, path: Path) -> None:
        with need("fleet"):
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        try:
            lines = read_bounded(path, _LARGEST_KEY).decode("utf-8").splitlines()
            raw = base64.b64decode(lines[1], validate=True)
        except (OSError, UnicodeDecodeError) as error:
            raise unreadable(error, path, "Give the file minisign.key with --sign-key.") from None
        except (ValueError, IndexError):
            raw = b""
        if len(raw) != _SECRET or raw[:2] != b"Ed" or raw[4:6] != b"B2":
            raise OptionError(
                f"{path} does not hold a secret key of minisign.", "Make one with `minisign -G`."
            )
        plain, encrypted = raw[-_ENCRYPTED:], raw[2:4] != b"\0\0"
        if encrypted:
            stream = _derived(_password(path), raw[6:38], raw[38:46], raw[46:54], path)
            plain = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
        number, key, checksum = plain[:8], plain[8:72], plain[72:]
        if encrypted and hashlib.blake2b(raw[:2] + number + key, digest_size=32).digest() != checksum:
            raise OptionError(
                f"the password of {path} is wrong.", f"Set {PASSWORD_VARIABLE} to the right one."
            )
        self._key = Ed25519PrivateKey.from_private_bytes(key[:32])
        if self._key.public_key().public_bytes_raw() != key[32:]:
            raise OptionError(f"{path} is damaged.", "Restore the secret key from where it is kept.")
        self.public = PublicKey(number, key[32:])

    def sign(self, data: bytes, comment: str) -> bytes:
        """The contents of a signature's file.

        Args:
            data: what is signed.
            comment: signed with it; one line.
        """
        trusted = f"timestamp:{int(time.time())}\tfile:manifest.json\thashed\t{comment}"
        body = self._key.sign(hashlib.blake2b(data).digest())
        whole = self._key.sign(body + trusted.encode())
        first = base64.b64encode(b"ED" + self.public.number + body).decode()
        lines = [
            f"untrusted comment: signature of dmdd-edge by the key {self.public.id}",
            first,
            f"trusted comment: {trusted}",
            base64.b64encode(whole).decode(),
        ]
        return ("\n".join(lines) + "\n").encode()


def _password(path: Path) -> bytes:
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is None and sys.stdin is not None and sys.stdin.isatty():
        import getpass

        given = getpass.getpass(f"Password of {path}: ")
    if given is None:
        raise OptionError(
            f"{path} has a password, and it is not known.",
            f"Set {PASSWORD_VARIABLE}, or run the command on a terminal.",
        )
    return given.encode("utf-8", "surrogateescape")


def _derived(password: bytes, salt: bytes, operations: bytes, memory: bytes, path: Path) -> bytes:
    """The key stream, with scrypt's parameters as libsodium works them out of its limits."""
    most_operations = max(int.from_bytes(operations, "little"), 32768)
    most_memory = int.from_bytes(memory, "little")
    if most_memory > _MOST_MEMORY or most_operations > 1 << 32:
        raise OptionError(
            f"{path} demands more memory for its password than is allowed here.", "Use a key of minisign -G."
        )
    by_operations = most_operations < most_memory // 32
    largest = most_operations // 32 if by_operations else most_memory // 1024
    rounds = 1
    while 1 << rounds <= largest // 2 and rounds < 63:
        rounds += 1
    parallel = 1 if by_operations else min(most_operations // 4 >> rounds, 0x3FFFFFFF) // 8
    try:
        return hashlib.scrypt(
            password,
            salt=salt,
            n=1 << rounds,
            r=8,
            p=max(parallel, 1),
            maxmem=_OPENSSL_LIMIT,
            dklen=_ENCRYPTED,
        )
    except (ValueError, MemoryError):
        raise OptionError(
            f"the password of {path} cannot be checked: too little memory.", "Close other programs."
        ) from None
