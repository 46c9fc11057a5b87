"""What was cut off continues, and counts for nothing until it is whole."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmdd_edge import DmddError, StorageError
from dmdd_edge.bundle.bundle import Bundle, BundleWriter
from dmdd_edge.bundle.versions import read_current, version_names
from dmdd_edge.errors import FleetError
from dmdd_edge.fleet import fetch
from dmdd_edge.fleet.folder_store import FolderStore
from dmdd_edge.fleet.local import local_offer
from dmdd_edge.fleet.pull import Pulled, pull
from dmdd_edge.fleet.push import Pushed, push
from dmdd_edge.fleet.store import Bytes
from tests.core.fleet.conftest import FILES, tree

Lab = Callable[..., Bundle]
ENGINE = "engines/a b%ä#?.engine"
LENGTH = len(FILES[ENGINE])


class Cut(FolderStore):
    """A folder that is lost after some bytes, and counts what is read.

    Args:
        root: the folder.
        after: bytes of each opened file that can be read.
    """

    def __init__(self, root: Path, after: int) -> None:
        super().__init__(root)
        self.after, self.count = after, 0

    @contextmanager
    def opened(self, path: str, start: int) -> Iterator[tuple[int, Bytes]]:
        """The file, cut."""
        with FolderStore.opened(self, path, start) as (begin, source):
            yield begin, _Cut(self, source)


class _Cut:
    def __init__(self, store: Cut, source: Bytes) -> None:
        self._store, self._source, self._left = store, source, store.after

    def read(self, count: int, /) -> bytes:
        if not self._left:
            raise FleetError("the network is gone", "Wait.")
        data = self._source.read(min(count, self._left))
        self._left -= len(data)
        self._store.count += len(data)
        return data


@pytest.fixture
def store(lab: Lab, send: Callable[..., Pushed], tmp_path: Path) -> Path:
    """A store with one version."""
    lab()
    send(tmp_path / "store")
    return tmp_path / "store"


def test_a_lost_store_is_tried_again_where_it_ended(store: Path, tmp_path: Path) -> None:
    cut = Cut(store, 100_000)
    pulled = pull(cut, "screw", tmp_path / "station")
    assert Bundle.load(pulled.bundle.path)
    assert cut.count == sum(map(len, FILES.values())), "no byte was read twice"


def test_a_store_that_stays_lost_is_an_error_and_the_next_pull_continues(store: Path, tmp_path: Path) -> None:
    cut = Cut(store, 0)
    with pytest.raises(DmddError, match="the network is gone"):
        pull(cut, "screw", tmp_path / "station")
    assert version_names(tmp_path / "station" / "screw") == []
    (stage,) = (tmp_path / "station" / "screw").glob(".fetching-*")
    (stage / ENGINE).parent.mkdir(exist_ok=True)
    (stage / ENGINE).write_bytes(FILES[ENGINE][:1234])
    (stage / "model.fp32.onnx").write_bytes(FILES["model.fp32.onnx"])
    (stage / "stray.part").write_bytes(b"of an earlier attempt")
    pulled = pull(FolderStore(store), "screw", tmp_path / "station")
    assert (pulled.fetched, pulled.files) == (LENGTH - 1234, 1)
    assert tree(pulled.bundle.path) == tree(store / "screw" / pulled.bundle.version)


@pytest.mark.parametrize("part", [b"x" * 100, b"x" * LENGTH, b"x" * (LENGTH + 1)])
def test_a_wrong_part_is_fetched_from_its_beginning(part: bytes, store: Path, tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="gone"):
        pull(Cut(store, 0), "screw", tmp_path / "station")
    (stage,) = (tmp_path / "station" / "screw").glob(".fetching-*")
    (stage / ENGINE).parent.mkdir(exist_ok=True)
    (stage / ENGINE).write_bytes(part)
    assert Bundle.load(pull(FolderStore(store), "screw", tmp_path / "station").bundle.path)


def test_links_and_pipes_in_the_place_of_a_part(store: Path, tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="gone"):
        pull(Cut(store, 0), "screw", tmp_path / "station")
    (stage,) = (tmp_path / "station" / "screw").glob(".fetching-*")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (stage / ENGINE).parent.mkdir(exist_ok=True)
    (stage / ENGINE).unlink(missing_ok=True)
    (stage / ENGINE).symlink_to(victim)
    (stage / "model.fp32.onnx").unlink(missing_ok=True)
    os.mkfifo(stage / "model.fp32.onnx")
    assert Bundle.load(pull(FolderStore(store), "screw", tmp_path / "station").bundle.path)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("write", range(3))
def test_a_full_disk(write: int, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def full(handle: int, piece: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls > write:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle, piece)

    real = fetch._write
    monkeypatch.setattr(fetch, "_write", full)
    monkeypatch.setattr(fetch, "BLOCK", 100_000)
    with pytest.raises(StorageError, match="no space is left") as caught:
        pull(FolderStore(store), "screw", tmp_path / "station")
    assert caught.value.fix
    assert tree(tmp_path / "station") == {}, "nothing keeps the disk full"


def test_a_damaged_version_here_is_repaired(store: Path, take: Callable[..., Pulled], tmp_path: Path) -> None:
    folder = take(store).bundle.path
    (folder / "model.fp32.onnx").unlink()
    damaged = bytearray(FILES[ENGINE])
    damaged[5] ^= 1
    (folder / ENGINE).write_bytes(damaged)
    pulled = take(store)
    assert pulled.files == 2
    assert tree(folder) == tree(store / "screw" / pulled.bundle.version)
    assert not list(folder.parent.glob(".fetching-*"))


def test_a_version_here_with_other_contents_stays(store: Path, take: Callable[..., Pulled]) -> None:
    folder = take(store).bundle.path
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace("efficientnet_lite0", "resnet18"))
    before = tree(folder)
    with pytest.raises(DmddError, match="not the version that is offered"):
        take(store)
    assert tree(folder) == before


def test_what_was_fetched_of_another_version_is_removed(
    store: Path, lab: Lab, send: Callable[..., Pushed], tmp_path: Path
) -> None:
    station = tmp_path / "station" / "screw"
    with pytest.raises(DmddError, match="gone"):
        pull(Cut(store, 0), "screw", tmp_path / "station")
    (own,) = station.glob(".fetching-*")
    other = station / ".fetching-0123456789abcdef-01234567"  # of another machine
    old = station / ".fetching-0123456789abcdef-76543210"
    for folder in (other, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    lab(files={"model.fp32.onnx": b"new"})
    send(store)
    pull(FolderStore(store), "screw", tmp_path / "station")
    assert [path.name for path in station.glob(".fetching-*")] == [other.name]
    assert own != other


def test_export_beside_a_pull_leaves_its_part(store: Path, tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="gone"):
        pull(Cut(store, 0), "screw", tmp_path / "station")
    (stage,) = (tmp_path / "station" / "screw").glob(".fetching-*")
    os.utime(stage, (0, 0))
    BundleWriter(tmp_path / "station", "screw").close()
    assert stage.is_dir()


FORK = multiprocessing.get_context("fork")


def _at_once(count: int, function: Callable[..., object], *arguments: object) -> list[int | None]:
    """The exit codes of processes that do the same at once."""
    processes = [FORK.Process(target=function, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def _pull(store: Path, station: Path) -> None:
    pull(FolderStore(store), "screw", station)


def _push(lab: Path, store: Path) -> None:
    push(store, lab, local_offer(lab, "screw")[0])


def test_several_at_once_into_one_folder(lab: Lab, tmp_path: Path) -> None:
    bundle = lab(files={"model.fp32.onnx": os.urandom(3_000_000)})
    store, station = tmp_path / "store", tmp_path / "station"
    for count, function, source, target in ((5, _push, tmp_path / "lab", store), (8, _pull, store, station)):
        assert _at_once(count, function, source, target) == [0] * count
        assert read_current(target / "screw") == bundle.version
        assert version_names(target / "screw") == [bundle.version]
        assert Bundle.load(target / "screw")
        assert not list((target / "screw").glob(".fetching-*"))


@pytest.mark.parametrize("bytes_there", [1, 2_000_000, 5_000_000])
def test_a_killed_pull_leaves_the_old_version(
    bytes_there: int, lab: Lab, send: Callable[..., Pushed], tmp_path: Path
) -> None:
    lab()
    store, station = tmp_path / "store", tmp_path / "station"
    send(store)
    before = pull(FolderStore(store), "screw", station).bundle.version
    new = lab(files={"model.fp32.onnx": os.urandom(6_000_000)})
    send(store)
    process = FORK.Process(target=_slow_pull, args=(store, station, bytes_there))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert read_current(station / "screw") == before
    assert version_names(station / "screw") == [before]
    pulled = pull(FolderStore(store), "screw", station)
    assert (pulled.bundle.version, pulled.before) == (new.version, before)
    assert pulled.fetched <= 6_000_000 - bytes_there
    assert Bundle.load(station / "screw").version == new.version


def _slow_pull(store: Path, station: Path, bytes_there: int) -> None:
    def kill(handle: int, piece: bytes) -> None:
        os.write(handle, piece)
        if os.fstat(handle).st_size >= bytes_there:
            os.kill(os.getpid(), signal.SIGKILL)

    fetch._write = kill
    _pull(store, station)
