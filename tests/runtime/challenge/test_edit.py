"""The challenge set on the disk: what is added, what is refused, and what a kill or a full disk leaves."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import BundleError, DataError, DmddError, OptionError, StorageError, storage
from dmdd_edge.bundle.bundle import Bundle, list_versions
from dmdd_edge.bundle.versions import remove_version
from dmdd_edge.runtime.challenge import edit
from dmdd_edge.runtime.challenge.edit import add_parts, remove_part
from dmdd_edge.runtime.challenge.parts import read_set

Make = Callable[..., Bundle]


@pytest.fixture
def category(make_bundle: Make) -> Path:
    """The folder of a category with a version."""
    return make_bundle().path.parent


def test_a_copy_has_the_same_bytes_and_the_index_says_what_it_is(category: Path, images: Path) -> None:
    added = add_parts(category, [images / "faint.png"], "a dent", "dent 1", (100, 20, 40, 20), "ana")
    (part,) = read_set(category).parts
    assert added.parts == (part,)
    data = (images / "faint.png").read_bytes()
    assert (category / "challenge" / "dent 1.png").read_bytes() == data
    assert part.sha256 == hashlib.sha256(data).hexdigest()
    assert (part.name, part.note, part.by, part.box) == ("dent 1", "a dent", "ana", (100, 20, 40, 20))
    assert part.source == str(images / "faint.png")
    assert part.added.endswith("Z")


def test_a_known_image_is_not_added_again_and_a_name_gets_a_number(category: Path, images: Path) -> None:
    add_parts(category, [images / "deep.png"])
    (images / "other").mkdir()
    shutil.copy(images / "faint.png", images / "other" / "deep.png")
    added = add_parts(category, [images / "deep.png", images / "other" / "deep.png"])
    assert [part.name for part in added.parts] == ["deep-2"]
    assert added.known == ((images / "deep.png", "deep"),)
    with pytest.raises(OptionError, match="has a part 'DEEP' already"):
        add_parts(category, [images / "clear.png"], name="DEEP")


def test_one_unreadable_image_adds_none(category: Path, images: Path) -> None:
    torn = images / "torn.png"
    torn.write_bytes((images / "deep.png").read_bytes()[:200])
    for bad, error in ((torn, "torn.png"), (images / "gone.png", "no such file")):
        with pytest.raises(DataError, match=error):
            add_parts(category, [images / "faint.png", bad])
    assert read_set(category).parts == ()
    assert not (category / "challenge").exists()


@pytest.mark.parametrize("box", [(250, 0, 40, 20), (0, 0, 0, 5), (-1, 0, 5, 5)])
def test_a_box_outside_the_image_is_refused(category: Path, images: Path, box: Any) -> None:
    with pytest.raises(OptionError, match="256 x 128"):
        add_parts(category, [images / "faint.png"], box=box)


def test_a_removed_part_takes_its_image_along(category: Path, images: Path) -> None:
    add_parts(category, [images / "faint.png", images / "deep.png"])
    assert remove_part(category, "faint").name == "faint"
    assert [part.name for part in read_set(category).parts] == ["deep"]
    assert sorted(path.name for path in (category / "challenge").iterdir()) == ["deep.png", "index.json"]
    with pytest.raises(OptionError, match="no part 'faint': it has deep"):
        remove_part(category, "faint")


def test_the_set_is_no_version_and_outlasts_one(make_bundle: Make, category: Path, images: Path) -> None:
    add_parts(category, [images / "faint.png"])
    old = category / next(version.name for version in list_versions(category.parent, "screw"))
    new = make_bundle()
    remove_version(category, old.name)
    assert [version.name for version in list_versions(category.parent, "screw")] == [new.version]
    copied = shutil.copytree(category, category.parent.parent / "line" / "screw")
    found = read_set(copied, "screw")
    assert [(part.name, found.problem(part)) for part in found.parts] == [("faint", None)]


def test_a_damaged_set_is_an_error_and_not_an_empty_one(category: Path, images: Path) -> None:
    add_parts(category, [images / "faint.png"])
    folder, index = category / "challenge", category / "challenge" / "index.json"
    whole = index.read_text()
    index.unlink()
    with pytest.raises(BundleError, match=r"holds 1 images, but no index\.json"):
        read_set(category)
    for text, problem in (
        (whole[:40], "not valid JSON"),
        (whole.replace('"name": "faint"', '"name": "../x"'), r"parts\.0\.name"),
        (json.dumps({**json.loads(whole), "parts": json.loads(whole)["parts"] * 2}), "two parts"),
        (whole.replace('"schema_version": 1', '"schema_version": 9'), "schema_version"),
    ):
        index.write_text(text)
        with pytest.raises(BundleError, match=problem):
            read_set(category)
        with pytest.raises(BundleError):
            add_parts(category, [images / "deep.png"])
    index.write_text(whole)
    with pytest.raises(BundleError, match="belongs to screw, not to bolt"):
        read_set(category, "bolt")
    shutil.rmtree(folder)
    folder.write_text("")
    with pytest.raises(BundleError, match="is not a folder"):
        read_set(category)


def test_what_is_not_the_added_image_is_named(category: Path, images: Path) -> None:
    add_parts(category, [images / "faint.png", images / "deep.png"])
    shutil.copy(images / "clear.png", category / "challenge" / "faint.png")
    (category / "challenge" / "deep.png").unlink()
    shutil.copy(images / "deep.png", category / "challenge" / "hand.png")
    found = read_set(category)
    altered, gone = (str(found.problem(part)) for part in found.parts)
    assert "faint.png was altered" in altered
    assert "deep.png" in gone
    assert "does not exist" in gone
    assert found.strays == ("hand.png",)
    with pytest.raises(OptionError, match="another image, which the index does not list"):
        add_parts(category, [images / "clear.png"], name="hand")


def test_a_full_disk_leaves_the_set_as_it_was(
    category: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_parts(category, [images / "deep.png"])
    before = {path.name: path.read_bytes() for path in (category / "challenge").iterdir()}
    real = storage.write_atomically
    left = 0

    def write(path: Path, content: Any) -> None:
        nonlocal left
        if left == 0:
            reason = os.strerror(errno.ENOSPC)
            raise StorageError(f"{path} cannot be written.", "Free some space.", errno.ENOSPC, reason)
        left -= 1
        real(path, content)

    monkeypatch.setattr(edit, "write_atomically", write)
    for room in range(3):  # before the first image, the second one, the index
        left = room
        with pytest.raises(StorageError):
            add_parts(category, [images / "faint.png", images / "clear.png"])
        assert {path.name: path.read_bytes() for path in (category / "challenge").iterdir()} == before
    left = 3
    assert len(add_parts(category, [images / "faint.png", images / "clear.png"]).parts) == 2


def _child(work: Callable[[], object]) -> int:
    """Run something in a copy of this process; returns its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        work()
        os._exit(0)
    except DmddError:
        os._exit(1)
    finally:
        os._exit(2)


def _kill_at(count: int, folder: Path) -> None:
    """Kill this process at its so many-th access to something in a folder."""
    left, inside = count, str(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "fcntl.flock", "os.truncate"):
            if event != "fcntl.flock" and not any(inside in str(argument) for argument in arguments):
                return
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def test_a_kill_at_any_moment_leaves_all_or_nothing(category: Path, images: Path) -> None:
    add_parts(category, [images / "deep.png"])
    paths = [images / "faint.png", images / "clear.png"]

    def work(moment: int) -> None:
        _kill_at(moment, category)
        add_parts(category, paths)

    whole = torn = 0
    for moment in range(1, 200):
        status = _child(lambda moment=moment: work(moment))
        names = [part.name for part in read_set(category).parts]
        assert names in (["deep"], ["deep", "faint", "clear"])
        assert all(read_set(category).problem(part) is None for part in read_set(category).parts)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        torn += bool(read_set(category).strays)
        whole += len(names) == 3
        if len(names) == 3:  # killed after the index was replaced
            remove_part(category, "faint")
            remove_part(category, "clear")
    assert moment > 10  # there were that many moments
    assert torn  # and some of them left an image without its line, which the next command used
    assert [part.name for part in add_parts(category, paths).challenge.parts] == ["deep", "faint", "clear"]
    assert read_set(category).strays == ()
    assert not list((category / "challenge").glob(".*.part"))


def test_two_at_once_lose_nothing(category: Path, images: Path) -> None:
    children = []
    for name in ("faint", "deep", "clear"):
        child = os.fork()
        if child == 0:
            try:
                add_parts(category, [images / f"{name}.png"])
            finally:
                os._exit(sys.exc_info()[0] is not None)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert {part.name for part in read_set(category).parts} == {"faint", "deep", "clear"}


def test_a_holder_that_does_not_end_is_named(
    category: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dmdd_edge.locking import locked

    monkeypatch.setattr(edit, "_PATIENCE", 0.1)
    with (
        locked(category / "challenge", lambda holder: BundleError(holder)),
        pytest.raises(BundleError, match=f"is being changed by process {os.getpid()}"),
    ):
        add_parts(category, [images / "deep.png"])
