"""A store is somebody else's: whatever it holds, the version in use stays and nothing leaves the folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.versions import read_current, version_names
from dmdd_edge.fleet import offer as offers
from dmdd_edge.fleet.pull import Pulled
from dmdd_edge.fleet.push import Pushed
from tests.core.fleet.conftest import FILES, tree

Lab = Callable[..., Bundle]


@pytest.fixture
def next_version(lab: Lab, send: Callable[..., Pushed], take: Callable[..., Pulled], tmp_path: Path) -> Path:
    """The folder of a version in a store, beside an older one that the station uses."""
    lab()
    send(tmp_path / "store")
    take(tmp_path / "store")
    new = lab(files={**FILES, "model.fp32.onnx": b"other" * 1000})
    send(tmp_path / "store")
    return tmp_path / "store" / "screw" / new.version


@pytest.fixture
def refused(tmp_path: Path, take: Callable[..., Pulled], next_version: Path) -> Callable[[str], DmddError]:
    """Pull, which must fail with these words and leave the station as it was."""
    station = tmp_path / "station"
    before, version = tree(station), read_current(station / "screw")

    def call(words: str, **options: Any) -> DmddError:
        with pytest.raises(DmddError, match=words) as caught:
            take(tmp_path / "store", **options)
        assert caught.value.fix
        assert caught.value.message.isprintable(), "it goes to a terminal"
        assert read_current(station / "screw") == version
        assert version_names(station / "screw") == [version]
        visible = {
            name: data for name, data in tree(station).items() if not name.startswith("screw/.fetching-")
        }
        assert visible == before
        assert {path.name for path in tmp_path.iterdir()} == {"lab", "store", "station"}
        return caught.value

    return call


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest, as somebody does who can write to the store."""
    (folder.parent / f"{folder.name}.sha256").unlink()
    raw = json.loads((folder / "manifest.json").read_text())
    change(raw)
    (folder / "manifest.json").write_text(json.dumps(raw))


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "a/../../evil", "..", "a\\b", "a\nb", "", "./a", "a//b", "x" * 300]
)
def test_names_that_lead_out(name: str, next_version: Path, refused: Callable[..., DmddError]) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["files"][name], raw["sizes"][name] = raw["files"]["model.fp32.onnx"], 5000

    rewritten(next_version, change)
    refused("manifest")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw["files"].clear(), "lists no file"),
        (lambda raw: raw.update(sizes={}), "does not say how large"),
        (
            lambda raw: raw["sizes"].update({"model.fp32.onnx": 17 << 30}),
            "at most 17,179,869,184 are accepted",
        ),
        (lambda raw: raw["sizes"].update({"model.fp32.onnx": -1}), "sizes"),
        (lambda raw: raw.update(category="bottle"), "holds another bundle: bottle"),
        (lambda raw: raw.update(version="20991231T000000Z-00000000"), "holds another bundle: screw 2099"),
        (lambda raw: raw.update(schema_version=99), "schema version 99"),
        (lambda raw: raw["files"].update({"manifest.json": "0" * 64}), "cannot be called"),
        (
            lambda raw: (raw["files"].update(engines="0" * 64), raw["sizes"].update(engines=1)),
            "and as a folder",
        ),
        (lambda raw: raw["files"].update({f"f{n}": "0" * 64 for n in range(300)}), "files"),
        (lambda raw: raw["sizes"].update({"model.fp32.onnx": 4999}), "larger than the 4,999 bytes"),
        (lambda raw: raw["sizes"].update({"model.fp32.onnx": 5001}), "ended after 5,000 of 5,001 bytes"),
        (lambda raw: raw["files"].update({"model.fp32.onnx": "0" * 64}), "its SHA-256 is not the one"),
    ],
)
def test_a_manifest_that_is_not_right(
    change: Callable[[dict[str, Any]], object],
    words: str,
    next_version: Path,
    refused: Callable[..., DmddError],
) -> None:
    rewritten(next_version, change)
    refused(words)


def test_a_huge_manifest_is_not_read(next_version: Path, refused: Callable[..., DmddError]) -> None:
    with (next_version / "manifest.json").open("r+b") as stream:
        stream.truncate(1 << 40)  # sparse
    refused("larger than")


@pytest.mark.parametrize("name", ["manifest.json", "model.fp32.onnx"])
def test_a_link_out_of_the_store(
    name: str, next_version: Path, refused: Callable[..., DmddError], tmp_path: Path
) -> None:
    target = tmp_path / "lab" / "secret"
    target.write_bytes((next_version / name).read_bytes())
    (next_version / name).unlink()
    (next_version / name).symlink_to(target)
    refused("link that leaves the folder")


@pytest.mark.parametrize("name", ["manifest.json", "model.fp32.onnx"])
def test_a_pipe_is_not_waited_for(name: str, next_version: Path, refused: Callable[..., DmddError]) -> None:
    (next_version / name).unlink()
    os.mkfifo(next_version / name)
    refused("a FIFO, not a regular file")


def test_a_changed_byte(next_version: Path, refused: Callable[..., DmddError]) -> None:
    data = bytearray(FILES["engines/a b%ä#?.engine"])
    data[-1] ^= 1
    (next_version / "engines" / "a b%ä#?.engine").write_bytes(data)
    message = refused("its SHA-256 is not the one in the manifest").message
    assert "engines/a b%ä#?.engine" in message


@pytest.mark.parametrize("name", ["challenge", "calibration-x.json", "latest", "20261129T000000Z-0000000g"])
def test_a_version_cannot_take_the_place_of_something_else(
    name: str, next_version: Path, refused: Callable[..., DmddError]
) -> None:
    rewritten(next_version, lambda raw: raw.update(version=name))
    next_version.rename(next_version.with_name(name))
    (next_version.parent / "CURRENT").write_text(name)
    refused("is not a version's name as export gives it")


@pytest.mark.parametrize("place", [0, 100, 300, -2])
def test_a_changed_byte_of_the_manifest(
    place: int, next_version: Path, refused: Callable[..., DmddError]
) -> None:
    data = bytearray((next_version / "manifest.json").read_bytes())
    data[place] ^= 1
    (next_version / "manifest.json").write_bytes(data)
    refused("manifest.json is damaged or was altered")


@pytest.mark.parametrize("missing", ["manifest.json", "model.fp32.onnx"])
def test_a_file_that_is_not_there(
    missing: str, next_version: Path, refused: Callable[..., DmddError]
) -> None:
    (next_version / missing).unlink()
    refused("was not pushed, or not to its end" if missing == "manifest.json" else "does not have the file")


@pytest.mark.parametrize(
    "current", [b"../../x", b"\xff\xfe", b"", b".hidden", b"a/b", b"x" * 2000, b"\x1b[2J"]
)
def test_a_current_that_names_no_version(
    current: bytes, next_version: Path, refused: Callable[..., DmddError]
) -> None:
    (next_version.parent / "CURRENT").write_bytes(current)
    refused("not a version's name|larger than")


def test_more_than_the_disk_has(
    next_version: Path, refused: Callable[..., DmddError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "LARGEST_VERSION", 1 << 62)
    rewritten(next_version, lambda raw: raw["sizes"].update({"model.fp32.onnx": 1 << 40}))
    refused("MiB are still to come and 16 MiB must remain")


def test_names_of_a_listing_that_cannot_be_used_are_left_out(memory: str) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    from dmdd_edge.fleet.address import open_store

    files = MemoryFileSystem()
    for name in ("a\nb/v1", ".hidden/v1", "ok/v1", "ok/.v2", "ok/v3/deep", "x" * 300 + "/v1"):
        files.pipe_file(f"/fleet/line 1/{name}/manifest.json", b"{}")
    assert open_store(memory).versions() == {"ok": ["v1"]}
