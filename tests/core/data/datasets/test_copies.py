"""Images in a store: what is listed, what is copied again, and what happens when copying fails."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.data.datasets import copies, list_categories, load_category
from dmdd_edge.data_address import copied_from, data_place, local_place
from dmdd_edge.errors import DataError, DmddError, OptionError
from dmdd_edge.locking import locked

fsspec = pytest.importorskip("fsspec", reason="no fsspec: pip install '.[fleet]'")
from dmdd_edge.fleet.fsspec_store import FsspecStore  # noqa: E402 - after the skip

LEFT = "/plant/set/left"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], dict[str, BaseException | bytes]]:
    """The files that are read from the store; and by name an error, or the bytes that it gives instead."""
    names: list[str] = []
    answers: dict[str, BaseException | bytes] = {}
    real = FsspecStore.opened

    class Given:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, count: int, /) -> bytes:
            data, self.data = self.data, b""
            return data

    @contextmanager
    def call(self: FsspecStore, path: str, start: int) -> Iterator[tuple[int, Any]]:
        names.append(path)
        answer = answers.get(path.rpartition("/")[2])
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            yield 0, Given(answer)
            return
        with real(self, path, start) as found:
            yield found

    monkeypatch.setattr(FsspecStore, "opened", call)
    return names, answers


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def copy_of(folder: Path) -> dict[str, bytes]:
    """What the copy of a folder holds: a file that is no image is empty."""
    return {name: data if name.endswith(".png") else b"" for name, data in contents(folder).items()}


def relative(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_a_category_of_a_store_is_that_of_the_folder_and_no_other_is_copied(
    store: str, opened: Any, plates: Path, tmp_path: Path
) -> None:
    assert list_categories(store) == ["left", "right"]
    assert opened[0] == []
    here = load_category(plates, "plate")
    there = load_category(store, "left")
    assert there.name == "left"
    assert relative(there.root, there.train) == relative(here.root, here.train)
    assert [(*relative(there.root, [item.path]), item.defect) for item in there.test] == [
        (*relative(here.root, [item.path]), item.defect) for item in here.test
    ]
    assert contents(there.root) == {**copy_of(plates / "plate"), "licence.txt": b""}
    assert {name.partition("/")[0] for name in opened[0]} == {"left"}
    assert (there.root, copied_from(there.root)) == (local_place(f"{store}/left"), f"{store}/left")
    opened[0].clear()
    load_category(store, "left")
    load_category(f"{store}/left")
    assert opened[0] == []


def test_a_folder_of_good_images_is_copied_too(store: str, plates: Path) -> None:
    category = load_category("memory://plant/set/left/train", "valve")
    assert (category.name, len(category.train)) == ("valve", len(load_category(plates, "plate").train))


def test_only_what_changed_is_copied_again_and_what_is_gone_is_removed(store: str, opened: Any) -> None:
    memory = fsspec.filesystem("memory")
    category = load_category(store, "left")
    first, second, third = sorted(path.name for path in category.train)[:3]
    good = f"{LEFT}/train/good"
    other = memory.cat_file(f"{good}/{second}")
    same_size = other[:-1] + bytes([other[-1] ^ 1])
    memory.pipe_file(f"{good}/{first}", same_size)
    memory.pipe_file(f"{good}/new.png", other)
    memory.rm_file(f"{good}/{second}")
    (category.root / "train" / "good" / third).write_bytes(b"cut")  # changed here
    opened[0].clear()
    again = load_category(store, "left")
    assert sorted(opened[0]) == sorted(f"left/train/good/{name}" for name in (first, third, "new.png"))
    names = {path.name for path in again.train}
    assert (second in names, "new.png" in names) == (False, True)
    assert (again.root / "train" / "good" / first).read_bytes() == same_size
    assert (again.root / "train" / "good" / third).read_bytes() == memory.cat_file(f"{good}/{third}")


def test_an_interrupted_copy_holds_whole_files_and_is_completed(
    store: str, opened: Any, plates: Path
) -> None:
    names, answers = opened
    last = max(path.name for path in (plates / "plate/train/good").iterdir())
    answers[last] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        load_category(store, "left")
    folder, whole = local_place(f"{store}/left"), copy_of(plates / "plate")
    there = contents(folder)
    assert f"train/good/{last}" not in there
    assert all(data == whole.get(name, b"") for name, data in there.items())
    (folder / "train/good").mkdir(parents=True, exist_ok=True)
    (folder / f"train/good/.{last}.part").write_bytes(b"half")  # what a kill leaves
    names.clear()
    answers.clear()
    load_category(store, "left")
    assert contents(folder) == {**whole, "licence.txt": b""}
    assert f"left/train/good/{last}" in names


def test_a_file_that_cannot_be_copied_is_named_and_the_others_are_kept(
    store: str, opened: Any, plates: Path
) -> None:
    names, answers = opened
    broken = max(path.name for path in (plates / "plate/train/good").iterdir())
    for answer, says in ((DataError("Denied.", "Ask for it."), "Denied."), (b"torn", "it has 4 bytes")):
        answers[broken] = answer
        with pytest.raises(DataError) as caught:
            load_category(store, "left")
        assert f"1 of {1 if answer == b'torn' else len(names) + 2} files" in caught.value.message
        assert f"train/good/{broken}: {says}" in caught.value.message
        assert "copies only what is missing" in caught.value.fix
        names.clear()
    answers.clear()
    load_category(store, "left")
    assert names == [f"left/train/good/{broken}"]


def test_a_store_that_fails_for_every_file_is_left_soon(store: str, opened: Any, plates: Path) -> None:
    count = 0
    for path in (plates / "plate").rglob("*.*"):
        opened[1][path.name] = DataError("Timed out.")
        count += 1
    with pytest.raises(DataError, match=f"10 of {count + 1} files"):
        load_category(store, "left")


def test_a_store_out_of_reach_says_where_the_copy_is(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = load_category(store, "left").root

    def fail(*args: Any, **options: Any) -> Any:
        raise OSError("connection timed out")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "ls", fail)
    with pytest.raises(DmddError) as caught:
        load_category(store, "left")
    assert "memory://plant/set/left cannot be listed: OSError: connection timed out" in caught.value.message
    assert f"--data {folder}" in caught.value.fix
    assert len(load_category(folder).train) > 0


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise ImportError("Install s3fs to access S3", name="s3fs")

    monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
    for call in (list_categories, load_category):
        with pytest.raises(DmddError) as caught:
            call("s3://plant/mvtec")
        assert "needs the package s3fs" in caught.value.message
        assert "pip install s3fs" in caught.value.fix


@pytest.mark.parametrize(
    "address",
    [
        "sftp://line:hunter2@nas/mvtec",
        "s3://plant/mvtec?secret=hunter2",
        "gs://plant/mvtec#hunter2",
        "https://line:hunter2@web/mvtec",
        "simplecache::s3://line:hunter2@plant/mvtec",
    ],
)
def test_an_address_with_a_secret_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(OptionError) as caught:
        data_place(address)
    assert "hunter2" not in str(caught.value)
    assert caught.value.fix


def test_places_are_folders_or_addresses() -> None:
    assert data_place("sets/mvtec") == Path("sets/mvtec")
    assert data_place("s3://plant/mvtec/") == "s3://plant/mvtec"
    assert data_place("abfs://images@account.dfs.core.windows.net/mvtec").startswith("abfs://images@")  # type: ignore[union-attr]


def test_errors_name_the_address_and_not_a_temporary_folder(store: str) -> None:
    for category, says in ((None, "categories found: left, right"), ("lft", "no category 'lft'")):
        with pytest.raises(DataError) as caught:
            load_category(store, category)
        assert caught.value.message.startswith(f"{store}: {says}")
        assert "outline" not in str(caught.value)
    with pytest.raises(DataError, match="memory://nowhere has no files") as caught:
        list_categories("memory://nowhere")
    assert caught.value.fix == "Check the address."
    local_place("memory://nowhere").mkdir(parents=True)
    with pytest.raises(DataError, match="has no files") as caught:
        list_categories("memory://nowhere")
    assert f"--data {local_place('memory://nowhere')}" in caught.value.fix
    with pytest.raises(DataError, match="test images by its name"):
        load_category(f"{store}/left/test")


def test_names_that_lead_out_of_the_folder_are_refused(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FsspecStore.listed

    def listed(self: FsspecStore, folder: str = "") -> Iterator[Any]:
        for file in real(self, folder):
            yield file
        yield type(file)("../../out.png", 4, "")

    monkeypatch.setattr(FsspecStore, "listed", listed)
    with pytest.raises(DataError, match=r"out\.png"):
        load_category(store, "left")


def test_a_full_disk_is_told_before(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(
        "dmdd_edge.data.datasets.copies.shutil.disk_usage", lambda path: usage._replace(free=10)
    )
    with pytest.raises(DmddError, match="MB are free") as caught:
        load_category(store, "left")
    assert "DMDD_DATA_CACHE" in caught.value.fix


def test_two_that_need_the_same_category_wait_for_each_other(
    store: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room = local_place(f"{store}/left").parent
    room.mkdir(parents=True)
    other = ExitStack()
    other.enter_context(locked(room, DataError, path=room / ".lock"))
    monkeypatch.setattr("dmdd_edge.data.datasets.copies.time.sleep", lambda seconds: other.close())
    caplog.set_level(logging.INFO, copies.__name__)
    assert load_category(store, "left").train
    assert [line.partition(" ")[0] for line in caplog.messages] == ["waiting", "copying"]


def test_an_address_of_this_machine_is_copied_as_any_other(
    plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DMDD_DATA_CACHE", str(tmp_path))
    category = load_category(plates.as_uri(), "plate")
    assert category.root.is_relative_to(tmp_path)
    assert contents(category.root) == copy_of(plates / "plate")
