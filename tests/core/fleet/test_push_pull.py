"""Versions go to a store and come from it, whole, and CURRENT follows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle, use_version
from dmdd_edge.bundle.versions import read_current
from dmdd_edge.fleet.address import open_store
from dmdd_edge.fleet.local import local_offer
from dmdd_edge.fleet.pull import Pulled
from dmdd_edge.fleet.push import Pushed
from tests.core.fleet.conftest import FILES, tree

Lab = Callable[..., Bundle]
Send = Callable[..., Pushed]
Take = Callable[..., Pulled]
SIZE = sum(map(len, FILES.values()))


@pytest.fixture(params=["folder", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, memory: str) -> str:
    """The address of a store of each kind that can be written here."""
    folder = tmp_path / "st ore ä"
    return {"folder": str(folder), "file": folder.as_uri(), "memory": memory}[request.param]


def test_a_version_goes_through_a_store(store: str, lab: Lab, send: Send, take: Take, tmp_path: Path) -> None:
    bundle = lab()
    pushed = send(store)
    assert (pushed.files, pushed.sent, pushed.before, pushed.current) == (2, SIZE, None, True)
    pulled = take(store)
    assert (pulled.files, pulled.fetched, pulled.before, pulled.in_use) == (2, SIZE, None, True)
    assert tree(pulled.bundle.path) == tree(bundle.path), "the same bytes, the manifest's too"
    assert pulled.bundle.path == tmp_path / "station" / "screw" / bundle.version
    assert Bundle.load(tmp_path / "station" / "screw").version == bundle.version
    again = take(store)
    assert (again.files, again.fetched, again.before) == (0, 0, bundle.version)
    assert send(store).sent == 0


def test_a_store_has_the_layout_of_models(lab: Lab, send: Send, tmp_path: Path) -> None:
    first = lab()
    send(tmp_path / "store")
    other = lab("bottle")
    send(tmp_path / "store", "bottle")
    index = json.loads((tmp_path / "store" / "index.json").read_text())
    names = {"bottle": [other.version], "screw": [first.version]}
    assert index == {"schema_version": 1, "categories": names}
    assert open_store(str(tmp_path / "store")).versions() == names
    (tmp_path / "store" / "index.json").unlink()
    for bundle in (first, other):
        digest = tmp_path / "store" / bundle.category / f"{bundle.version}.sha256"
        subprocess.run(["sha256sum", "-c", digest.name], cwd=digest.parent, check=True, capture_output=True)
        digest.unlink()
    assert tree(tmp_path / "store") == tree(tmp_path / "lab")


def test_current_follows_and_goes_back(store: str, lab: Lab, send: Send, take: Take, tmp_path: Path) -> None:
    old = lab()
    send(store)
    take(store)
    new = lab(files={"model.fp32.onnx": b"new"})
    assert send(store).before == old.version
    pulled = take(store)
    assert (pulled.before, pulled.bundle.version, pulled.older) == (old.version, new.version, False)
    use_version(tmp_path / "lab", "screw", old.version)
    assert send(store).sent == 0
    back = take(store)
    assert (back.bundle.version, back.fetched, back.older) == (old.version, 0, True)


def test_without_use_both_currents_stay(store: str, lab: Lab, send: Send, take: Take, tmp_path: Path) -> None:
    old = lab()
    send(store)
    take(store)
    new = lab(files={"model.fp32.onnx": b"new"})
    assert not send(store, use=False).current
    assert take(store).bundle.version == old.version
    pulled = take(store, version=new.version[:17], use=False)
    assert (pulled.bundle.version, pulled.in_use) == (new.version, False)
    assert read_current(tmp_path / "station" / "screw") == old.version


def test_a_refused_version_stays_beside_the_one_in_use(
    lab: Lab, send: Send, take: Take, tmp_path: Path
) -> None:
    old = lab()
    send(tmp_path / "store")
    take(tmp_path / "store")
    new = lab(files={"model.fp32.onnx": b"new"})
    send(tmp_path / "store")

    def refuse(bundle: Bundle) -> None:
        raise DmddError(f"{bundle.version} loses a part")

    with pytest.raises(DmddError, match=f"{new.version} loses a part"):
        take(tmp_path / "store", accept=refuse)
    assert read_current(tmp_path / "station" / "screw") == old.version
    assert Bundle.load(tmp_path / "station" / "screw" / new.version)


def test_another_version_of_the_same_name_is_never_overwritten(
    store: str, lab: Lab, send: Send, take: Take, tmp_path: Path
) -> None:
    bundle = lab()
    send(store)
    take(store)
    raw = json.loads((bundle.path / "manifest.json").read_text())
    raw["backbone"] = "resnet18"
    (bundle.path / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(DmddError, match=r"another version|is not the version") as caught:
        send(store)
    assert caught.value.fix
    assert take(store).bundle.manifest.backbone == "efficientnet_lite0"


def test_the_index_is_corrected(store: str, memory: str, lab: Lab, send: Send, tmp_path: Path) -> None:
    """As after a push that wrote an older list last, or that was killed before it wrote one."""
    from dmdd_edge.fleet.address import open_to_write

    bundle = lab()
    send(store)
    target = open_to_write(store)
    for content in (b'{"schema_version": 1, "categories": {}}', b"{", b'{"schema_version": 9}'):
        if isinstance(target, Path):
            (target / "index.json").write_bytes(content)
        else:
            target.create("index.json", content, replace=True)
        send(store)
        data = open_store(store).read("index.json", 10_000)
        assert data is not None
        assert json.loads(data)["categories"] == {"screw": [bundle.version]}


def test_a_damaged_file_of_the_store_is_replaced_by_a_push(
    store: str, lab: Lab, send: Send, take: Take
) -> None:
    from dmdd_edge.fleet.address import open_to_write

    bundle = lab()
    send(store)
    target, path = open_to_write(store), f"screw/{bundle.version}/model.fp32.onnx"
    damaged = bytearray(FILES["model.fp32.onnx"])
    damaged[7] ^= 1
    if isinstance(target, Path):
        (target / path).write_bytes(damaged)
    else:
        target.create(path, bytes(damaged), replace=True)
    with pytest.raises(DmddError, match="SHA-256 is not the one in the manifest"):
        take(store)
    assert send(store).files == 1
    assert take(store).files in (1, 2)


def test_a_damaged_current_of_a_store_is_replaced(store: str, lab: Lab, send: Send, take: Take) -> None:
    from dmdd_edge.fleet.address import open_to_write

    bundle = lab()
    send(store)
    target = open_to_write(store)
    if isinstance(target, Path):
        (target / "screw" / "CURRENT").write_bytes(b"")
    else:
        target.create("screw/CURRENT", b"", replace=True)
    with pytest.raises(DmddError, match="not a version's name"):
        take(store)
    assert send(store).before is None
    assert take(store).bundle.version == bundle.version


def test_another_file_of_an_unfinished_push_is_not_overwritten(
    lab: Lab, send: Send, take: Take, memory: str
) -> None:
    from dmdd_edge.fleet.address import open_to_write

    bundle = lab()
    target, path = open_to_write(memory), f"screw/{bundle.version}/model.fp32.onnx"
    assert not isinstance(target, Path)
    target.create(path, b"y" * len(FILES["model.fp32.onnx"]))
    with pytest.raises(DmddError, match="exists, and it is not the file of this version"):
        send(memory)
    assert open_store(memory).versions() == {}
    target.create(path, FILES["model.fp32.onnx"][:10], replace=True)  # cut off
    assert send(memory).files == 1, "the other one was sent before"
    assert take(memory).fetched == SIZE


def test_a_store_that_is_no_object_store_gets_whole_files(
    lab: Lab, take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsspec's local file system writes piece by piece; a kill in between is simulated."""
    from dmdd_edge.fleet.fsspec_store import FsspecStore
    from dmdd_edge.fleet.push import push

    old = lab()
    folder = tmp_path / "store"
    target = FsspecStore(folder.as_uri())
    push(target, tmp_path / "lab", local_offer(tmp_path / "lab", "screw")[0])
    lab(files={"model.fp32.onnx": b"new" * 1000})

    class Killed(BaseException):
        pass

    puts = target._put

    def killed(stop: str, place: str, content: object, mode: str) -> None:
        if place.endswith(stop):
            Path(place).write_bytes(b"half")
            raise Killed
        puts(place, content, mode)

    for stop in ("model.fp32.onnx.part", "manifest.json.part", "CURRENT.part"):
        monkeypatch.setattr(target, "_put", partial(killed, stop))
        with pytest.raises(Killed):
            push(target, tmp_path / "lab", local_offer(tmp_path / "lab", "screw")[0])
        assert take(folder).bundle.version == old.version
    monkeypatch.setattr(target, "_put", puts)
    pushed = push(target, tmp_path / "lab", local_offer(tmp_path / "lab", "screw")[0])
    assert (pushed.sent, pushed.before) == (0, old.version), "its files were there before CURRENT"
    assert take(folder).bundle.version == pushed.bundle.version


def test_a_damaged_local_version_is_not_pushed(lab: Lab, tmp_path: Path, send: Send) -> None:
    bundle = lab()
    (bundle.path / "model.fp32.onnx").write_bytes(b"x")
    with pytest.raises(DmddError, match="truncated"):
        send(tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_what_is_not_there_is_named(lab: Lab, send: Send, take: Take, tmp_path: Path, memory: str) -> None:
    bundle = lab()
    for store in (str(tmp_path / "store"), memory):
        send(store)
        for options, words in (
            ({"category": "bottle"}, "no complete version of bottle"),
            ({"version": "2020"}, "no complete version '2020'"),
            ({"category": "../x"}, "cannot name a category"),
        ):
            with pytest.raises(DmddError, match=words) as caught:
                take(store, **options)
            assert caught.value.fix
    (tmp_path / "store" / "screw" / "CURRENT").unlink()
    with pytest.raises(DmddError, match="no CURRENT file") as caught:
        take(tmp_path / "store")
    assert bundle.version in caught.value.fix
    with pytest.raises(DmddError, match="no folder"):
        take(tmp_path / "nowhere")


def test_the_version_in_use_is_known(lab: Lab, tmp_path: Path) -> None:
    old, new = lab(), lab(files={"model.fp32.onnx": b"new"})
    assert local_offer(tmp_path / "lab", "screw", old.version)[1] is False
    offer, in_use = local_offer(tmp_path / "lab", "screw")
    assert (offer.version, in_use) == (new.version, True)
