"""A lab with bundles, stations without, and stores between them."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.fleet import fetch
from dmdd_edge.fleet.address import open_store, open_to_write
from dmdd_edge.fleet.local import local_offer
from dmdd_edge.fleet.pull import Pulled, pull
from dmdd_edge.fleet.push import Pushed, push

#: Two files, one below a folder and with a name that needs quoting in an address.
FILES = {"model.fp32.onnx": b"graph" * 1000, "engines/a b%ä#?.engine": b"engine" * 50_000}


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further attempts come at once, and no disk is waited for."""
    monkeypatch.setattr(fetch, "_WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def lab(write_bundle: Callable[..., Bundle]) -> Callable[..., Bundle]:
    """Write a bundle into the lab's folder, ``lab``."""

    def write(category: str = "screw", files: dict[str, bytes] | None = None, **fields: Any) -> Bundle:
        return write_bundle(category, files or FILES, models="lab", **fields)

    return write


@pytest.fixture
def send(tmp_path: Path) -> Callable[..., Pushed]:
    """Push a version of the lab."""

    def call(url: object, category: str = "screw", version: str | None = None, **options: Any) -> Pushed:
        offer, _ = local_offer(tmp_path / "lab", category, version)
        return push(open_to_write(str(url)), tmp_path / "lab", offer, **options)

    return call


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Pulled]:
    """Pull into a station's folder, ``station``."""

    def call(url: object, category: str = "screw", station: str = "station", **options: Any) -> Pulled:
        return pull(open_store(str(url)), category, tmp_path / station, **options)

    return call


@pytest.fixture
def memory() -> Iterator[str]:
    """The address of an empty store in memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield "memory://fleet/line 1"
    MemoryFileSystem.store.clear()


class Signer:
    """A key pair of minisign, written from its format alone."""

    def __init__(self, seed: int) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.number = bytes([seed] * 8)
        raw = self._key.public_key().public_bytes_raw()
        self.line = base64.b64encode(b"Ed" + self.number + raw).decode()

    def sign(self, data: bytes, comment: str = "timestamp:1", legacy: bool = False) -> bytes:
        """The contents of a signature's file."""
        body = self._key.sign(data if legacy else hashlib.blake2b(data, digest_size=64).digest())
        whole = self._key.sign(body + comment.encode())
        first = base64.b64encode((b"Ed" if legacy else b"ED") + self.number + body).decode()
        lines = [
            "untrusted comment: x",
            first,
            f"trusted comment: {comment}",
            base64.b64encode(whole).decode(),
        ]
        return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def signer() -> Callable[[int], Signer]:
    """Make a key pair from a seed, 0..255."""
    return Signer


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too, but for locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".fleet.lock"
    }
