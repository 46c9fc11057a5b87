"""Signatures in minisign's format: what the tool wrote, what is refused, and what is written here."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle, check
from dmdd_edge.fleet.local import check_signature, local_offer
from dmdd_edge.fleet.pull import Pulled
from dmdd_edge.fleet.push import Pushed
from dmdd_edge.fleet.signature import public_key, verify
from dmdd_edge.fleet.signing import PASSWORD_VARIABLE, SecretKey

#: Written by minisign 0.11: `minisign -G`, and `minisign -Sm` of a file with the text "bundle\n".
PUBLIC = "RWRWc9LkuuGlU40i72Zbu5BTbQrKw5OYCkVKKlzO6ZPYilg2xZfpol8x"
SIGNED = """untrusted comment: signature from minisign secret key
RURWc9LkuuGlUw4DKb/Q7rsgmkrysbQV0MJzI67JQzSMH92DizJ6UUGzdjwH3dPU5tGQzTc1vPx6PbXZXjut02qATyBypK5Gpws=
trusted comment: timestamp:1795929813	file:m.txt	hashed
AiP0eaP2o5EuqmbLDjiKgeeaMg8duofPLTaRszzZA9eG0cZbYS7wLAOrflUr5344IqMIW7c2A958didMZDndCA==
"""
#: A secret key of `minisign -G` with the password "secret", and its public key.
SECRET = """untrusted comment: minisign encrypted secret key
RWRTY0Iy9mvvkUxy9T3oD6Cs0lx2xPjkpYg/WjdMS/GqInnelVQAAAACAAAAAAAAAEAAAAAABKAU0yUFVCQYaW3vxL+es7FlQZRVQ4mWRpksRkiMxCOh1Yjx9Mmp1CAkqQZ2kwP0ConDQe3tvKhCpcUXTkpSiS0dsJfw5CFZcPq0ejcUMPwZipuUr2Qq3n5ZUagnxrVXmDfyCFUV768=
"""
SECRET_PUBLIC = "RWRHpCr9nQODCZ0dCc0oZxJN+Vi7XfStwfRUxRCx0UZ5uDK6UWHwr5Wb"

#: What scrypt makes of that password and the salt of the key.
STREAM = (
    "43043e2eb806d72d12343fd545e21ce36315b7e907d9f5f12dab643fed6c69cda9018b11f37a7971bd39a0cb5ef411b9"
    "f3d1781c19407d5c1660d5a69f0c2b311fa7e1f6004bb4c2c0481f499f0b83366eb7db420f8962d1261c38d738941b71"
    "2bab61a21cd9ccf9"
)


def test_what_minisign_wrote_is_verified(tmp_path: Path) -> None:
    found = verify(b"bundle\n", SIGNED.encode(), [public_key(PUBLIC)], "it")
    assert found.comment.startswith("timestamp:")
    file = tmp_path / "minisign.pub"
    file.write_text(f"untrusted comment: minisign public key\n{PUBLIC}\n")
    assert public_key(str(file)) == public_key(PUBLIC)


@pytest.mark.parametrize("legacy", [False, True])
def test_both_forms_and_several_keys(legacy: bool, signer: Callable[[int], Any]) -> None:
    old, new = signer(1), signer(2)
    keys = [public_key(old.line), public_key(new.line)]
    for own in (old, new):
        assert verify(b"data", own.sign(b"data", legacy=legacy), keys, "it").key_id == own.number.hex()


def _bytes(text: bytes, line: int, index: int) -> bytes:
    lines = text.split(b"\n")
    raw = bytearray(base64.b64decode(lines[line]))
    raw[index] ^= 1
    lines[line] = base64.b64encode(bytes(raw))
    return b"\n".join(lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: None, "is not signed, and a public key is set"),
        (lambda s: b"", "malformed"),
        (lambda s: b"\xff\xfe\n" * 4, "malformed"),
        (lambda s: s.replace(b"untrusted comment: ", b"-----BEGIN "), "malformed"),
        (lambda s: s.replace(b"\ntrusted comment: ", b"\ncomment: "), "malformed"),
        (lambda s: b"\n".join(s.split(b"\n")[:2]), "malformed"),
        (lambda s: s + b"more\n", "malformed"),
        (lambda s: s.replace(b"timestamp:1", b"timestamp:1\x1b[2J"), "malformed"),
        (lambda s: _bytes(s, 1, 0), "malformed"),
        (lambda s: _bytes(s, 1, 5), "signed by the key"),
        (lambda s: _bytes(s, 1, 40), "wrong signature"),
        (lambda s: _bytes(s, 3, 40), "wrong signature"),
        (lambda s: s.replace(b"timestamp:1", b"timestamp:2"), "wrong signature"),
    ],
)
def test_what_is_refused(
    change: Callable[[bytes], bytes | None], words: str, signer: Callable[[int], Any]
) -> None:
    own = signer(1)
    with pytest.raises(DmddError, match=words) as caught:
        verify(b"data", change(own.sign(b"data")), [public_key(own.line)], "it")
    assert caught.value.fix


def test_other_data_and_another_key_are_refused(signer: Callable[[int], Any]) -> None:
    own = signer(1)
    with pytest.raises(DmddError, match="wrong signature"):
        verify(b"other", own.sign(b"data"), [public_key(own.line)], "it")
    with pytest.raises(DmddError, match="signed by the key 0101010101010101, and the keys set here are: 02"):
        verify(b"data", own.sign(b"data"), [public_key(signer(2).line)], "it")
    impostor = signer(2)
    impostor.number = own.number
    with pytest.raises(DmddError, match="wrong signature"):
        verify(b"data", impostor.sign(b"data"), [public_key(own.line)], "it")


@pytest.mark.parametrize("text", ["", "RWQ", "no such file", PUBLIC[:-4], "A" * 56, "\x1b[2J"])
def test_what_is_not_a_public_key(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DmddError):
        public_key(text)


def test_only_signed_versions_are_taken(
    lab: Callable[..., Bundle],
    send: Callable[..., Pushed],
    take: Callable[..., Pulled],
    signer: Callable[[int], Any],
    tmp_path: Path,
) -> None:
    own, bundle, store = signer(1), lab(), tmp_path / "store"
    keys = [public_key(own.line)]
    send(store)
    with pytest.raises(DmddError, match="not signed"):
        take(store, keys=keys)
    assert not (tmp_path / "station").exists()
    signature = bundle.path / "manifest.json.minisig"
    signature.write_bytes(own.sign((bundle.path / "manifest.json").read_bytes()))
    assert send(store).sent == 0, "the signature alone is new"
    pulled = take(store, keys=keys)
    assert pulled.signed is not None
    assert pulled.signed.key_id == "0101010101010101"
    check_signature(pulled.bundle, keys)
    assert check(pulled.bundle.path) == [], "the signature is no stranger in the folder"
    with pytest.raises(DmddError, match="signed by the key"):
        take(store, keys=[public_key(signer(2).line)])
    manifest = store / "screw" / bundle.version / "manifest.json"
    manifest.write_text(manifest.read_text().replace("efficientnet_lite0", "resnet18"))
    with pytest.raises(DmddError, match="wrong signature"):
        take(store, keys=keys, station="other")


def test_an_unsigned_version_here_gets_the_signature(
    lab: Callable[..., Bundle],
    send: Callable[..., Pushed],
    take: Callable[..., Pulled],
    signer: Callable[[int], Any],
    tmp_path: Path,
) -> None:
    own, bundle, store = signer(1), lab(), tmp_path / "store"
    send(store)
    first = take(store)
    (bundle.path / "manifest.json.minisig").write_bytes(
        own.sign(bundle.path.joinpath("manifest.json").read_bytes())
    )
    send(store)
    assert take(store, keys=[public_key(own.line)]).fetched == 0
    check_signature(first.bundle, [public_key(own.line)])


def test_a_signature_of_one_version_does_not_serve_another(
    lab: Callable[..., Bundle],
    send: Callable[..., Pushed],
    take: Callable[..., Pulled],
    signer: Callable[[int], Any],
    tmp_path: Path,
) -> None:
    """A signed version under the name of a newer one: the manifest names its own version."""
    own, store = signer(1), tmp_path / "store"
    old = lab()
    (old.path / "manifest.json.minisig").write_bytes(own.sign((old.path / "manifest.json").read_bytes()))
    send(store)
    shutil.copytree(store / "screw" / old.version, store / "screw" / "20991231T000000Z-00000000")
    (store / "screw" / "CURRENT").write_text("20991231T000000Z-00000000\n")
    with pytest.raises(DmddError, match="holds another bundle"):
        take(store, keys=[public_key(own.line)])


def _plain_key(signer: Any, path: Path) -> Path:
    """A secret key without a password, as ``minisign -G -W`` writes it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = signer.number[:1] * 32
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    raw = b"Ed\0\0B2" + bytes(48) + signer.number + seed + public + bytes(32)
    path.write_text(f"untrusted comment: x\n{base64.b64encode(raw).decode()}\n")
    return path


def test_a_push_signs(lab: Callable[..., Bundle], signer: Callable[[int], Any], tmp_path: Path) -> None:
    own, bundle = signer(7), lab()
    secret = SecretKey(_plain_key(own, tmp_path / "plain.key"))
    keys = [public_key(own.line)]
    offer, _ = local_offer(tmp_path / "lab", "screw", None, keys, secret)
    assert offer.signed is not None
    assert bundle.version in offer.signed.comment
    again, _ = local_offer(tmp_path / "lab", "screw", None, keys, secret)
    assert again.signature == offer.signature, "signed once"
    other = SecretKey(_plain_key(signer(8), tmp_path / "other.key"))
    with pytest.raises(DmddError, match="signed by the key 08"):
        local_offer(tmp_path / "lab", "screw", None, keys, other)


def test_a_key_with_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key costs 1 GiB of memory to open, so scrypt is replaced by its answer for this password."""
    path = tmp_path / "minisign.key"
    path.write_text(SECRET)
    with pytest.raises(DmddError, match="has a password, and it is not known"):
        SecretKey(path)
    asked: list[tuple[bytes, dict[str, int]]] = []

    def answer(password: bytes, *, salt: bytes, n: int, r: int, p: int, maxmem: int, dklen: int) -> bytes:
        asked.append((password, {"n": n, "r": r, "p": p, "dklen": dklen}))
        return bytes.fromhex(STREAM) if password == b"secret" else bytes(dklen)

    monkeypatch.setattr(hashlib, "scrypt", answer)
    monkeypatch.setenv(PASSWORD_VARIABLE, "other")
    with pytest.raises(DmddError, match=r"password of .* is wrong"):
        SecretKey(path)
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    signature = SecretKey(path).sign(b"data", "x")
    assert verify(b"data", signature, [public_key(SECRET_PUBLIC)], "it").comment.endswith("\tx")
    assert asked[-1] == (b"secret", {"n": 1 << 20, "r": 8, "p": 1, "dklen": 104})


@pytest.mark.parametrize("text", ["", "untrusted comment: x\n", "untrusted comment: x\nAAAA\n", PUBLIC])
def test_what_is_not_a_secret_key(text: str, tmp_path: Path) -> None:
    path = tmp_path / "minisign.key"
    path.write_text(text)
    with pytest.raises(DmddError, match="does not hold a secret key"):
        SecretKey(path)
    with pytest.raises(DmddError, match="cannot be read"):
        SecretKey(tmp_path / "missing.key")


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed here")
def test_the_tool_verifies_what_is_signed_here(signer: Callable[[int], Any], tmp_path: Path) -> None:
    own = signer(7)
    secret = SecretKey(_plain_key(own, tmp_path / "plain.key"))
    (tmp_path / "manifest.json").write_bytes(b"data")
    (tmp_path / "manifest.json.minisig").write_bytes(secret.sign(b"data", "x"))
    subprocess.run(["minisign", "-Vm", tmp_path / "manifest.json", "-P", own.line], check=True)
