"""Archived images in folders and stores: their names, and one that is gone when it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bulk.images import ShardSource, open_images
from dmdd_edge.runtime.frame import BrokenFrame, Frame

IMAGE = cv2.imencode(".png", np.full((20, 30, 3), 77, np.uint8))[1].tobytes()


def test_a_folder_is_listed_as_a_run_lists_it(tmp_path: Path) -> None:
    for name in ("2.png", "day 1/0.PNG", "day 1/night/1.jpg", "day 1/notes.txt", ".hidden.png", "own/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(IMAGE)
    (tmp_path / "loop").symlink_to(tmp_path)
    passed_over: Counter[str] = Counter()
    found = list(open_images(str(tmp_path)).names(passed_over, leave_out=tmp_path / "own"))
    assert sorted(found) == ["2.png", "day 1/0.PNG", "day 1/night/1.jpg"]
    assert passed_over == {"hidden": 1, ".txt": 1, "linked folder": 1}


def test_a_file_is_not_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(DmddError, match=r"a\.png is a file") as caught:
        open_images(str(tmp_path / "a.png"))
    assert f"dmdd-edge run --source {tmp_path / 'a.png'}" in caught.value.fix


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="nowhere"):
        open_images(str(tmp_path / "nowhere"))


@pytest.fixture
def store() -> Iterator[str]:
    """An address with two images, a text and an image that is none."""
    fsspec = pytest.importorskip("fsspec", reason="no fsspec: pip install '.[fleet]'")
    memory = fsspec.filesystem("memory")
    files = {"a/0.png": IMAGE, "a/b/1.png": IMAGE, "a/b/torn.png": IMAGE[:40], "a/notes.txt": b"text"}
    for name, data in files.items():
        memory.pipe_file(f"/archive/{name}", data)
    yield "memory://archive/a"
    memory.rm("/archive", recursive=True)


def test_images_of_a_store_are_frames_and_those_that_are_gone_are_errors(store: str) -> None:
    images = open_images(store)
    passed_over: Counter[str] = Counter()
    names = sorted(images.names(passed_over))
    assert names == ["0.png", "b/1.png", "b/torn.png"]
    assert passed_over == {".txt": 1}
    items = list(ShardSource(images, [*names, "b/gone.png"], 5))
    assert [item.index for item in items] == [5, 6, 7, 8]
    assert [type(item) for item in items] == [Frame, Frame, BrokenFrame, BrokenFrame]
    assert [item.source for item in items[:2]] == ["memory://archive/a/0.png", "memory://archive/a/b/1.png"]
    assert isinstance(items[0], Frame)
    assert (items[0].image == 77).all()
    assert items[0].image.shape == (20, 30, 3)
    assert isinstance(items[3], BrokenFrame)
    assert items[3].error.message == "memory://archive/a/b/gone.png: no such file."


def test_a_kind_of_address_that_nobody_knows_is_named() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(DmddError, match=r"fsspec knows no s33://\.") as caught:
        open_images("s33://plant/archive")
    assert "Did you mean 's3'?" in caught.value.fix


def test_a_store_that_does_not_exist_is_named() -> None:
    pytest.importorskip("fsspec", reason="no fsspec: pip install '.[fleet]'")
    with pytest.raises(DmddError, match="memory://nowhere has no files"):
        list(open_images("memory://nowhere").names(Counter()))
