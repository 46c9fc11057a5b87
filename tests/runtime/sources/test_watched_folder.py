"""A watched folder: each image once, only when it is complete, whatever other software does to it."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import Source, SourceOptions, folder_scan, open_source, watched_folder
from dmdd_edge.runtime.sources.folder_scan import FolderScan
from tests.runtime.sources.reading import Reader, until

Read = Callable[[Source], Reader]

#: Long enough for a test to write a file in two goes within it, on a busy machine too.
SETTLE = 0.4


def picture(level: int) -> bytes:
    return cv2.imencode(".png", np.full((24, 32, 3), level, np.uint8))[1].tobytes()


def level(image: NDArray[np.uint8]) -> int:
    return int(image[0, 0, 0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


def start(folder: Path, **options: object) -> Source:
    fields = {"watch": True, "watch_settle": 0.05, **options}
    return open_source(str(folder), SourceOptions(**fields))  # type: ignore[arg-type]


def shown(reader: Reader) -> list[tuple[str, int]]:
    return [(frame.name, level(frame.image)) for frame in reader.frames if isinstance(frame, Frame)]


def test_images_come_as_they_are_dropped_in_their_order_and_subfolders_too(folder: Path, read: Read) -> None:
    source = start(folder)
    assert not source.live
    assert source.total is None
    assert source.root == folder
    reader = read(source)
    (folder / "1.png").write_bytes(picture(1))
    reader.wait_for(1)
    (folder / "2.png").write_bytes(picture(2))
    reader.wait_for(2)
    (folder / "day" / "shift").mkdir(parents=True)
    (folder / "day" / "shift" / "1.png").write_bytes(picture(3))
    frames = reader.wait_for(3)
    assert shown(reader) == [("1.png", 1), ("2.png", 2), ("day/shift/1.png", 3)]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert frames[2].source == str(folder / "day/shift/1.png")
    reader.stop()
    state = source.state()
    assert (state.frames, state.width, state.height, state.connected) == (3, 32, 24, True)


def test_a_batch_comes_in_the_order_in_which_it_was_written(folder: Path, read: Read) -> None:
    source = start(folder, watch_existing=True)
    for number, written in ((10, 2), (9, 2), (8, 1), (7, 3)):
        (folder / f"{number}.png").write_bytes(picture(number))
        os.utime(folder / f"{number}.png", (1000 + written, 1000 + written))
    reader = read(source)
    reader.wait_for(4)
    assert [value for _, value in shown(reader)] == [8, 9, 10, 7]


@pytest.mark.parametrize("existing", [False, True])
def test_what_is_there_at_the_start(folder: Path, read: Read, existing: bool) -> None:
    (folder / "old.png").write_bytes(picture(1))
    source = start(folder, watch_existing=existing)
    (folder / "meanwhile.png").write_bytes(picture(2))  # before the iteration, after the opening
    reader = read(source)
    reader.wait_for(2 if existing else 1)
    (folder / "new.png").write_bytes(picture(3))
    reader.wait_for(3 if existing else 2)
    assert [name for name, _ in shown(reader)] == ["old.png"] * existing + ["meanwhile.png", "new.png"]


def test_a_file_that_is_still_written_is_waited_for(folder: Path, read: Read) -> None:
    reader = read(start(folder, watch_settle=SETTLE))
    data = picture(5)
    with (folder / "slow.png").open("wb") as file:
        for byte in range(0, len(data), 20):
            file.write(data[byte : byte + 20])
            file.flush()
            threading.Event().wait(0.02)
    reader.wait_for(1)
    assert shown(reader) == [("slow.png", 5)]


def test_a_file_that_pauses_half_written_longer_than_it_may_settle(folder: Path, read: Read) -> None:
    source = start(folder)
    reader = read(source)
    data = picture(5)
    (folder / "half.png").write_bytes(data[:60])
    (folder / "other.png").write_bytes(picture(6))
    reader.wait_for(1)
    assert shown(reader) == [("other.png", 6)], "half an image is not an image"
    (folder / "half.png").write_bytes(data)
    reader.wait_for(2)
    assert shown(reader)[1] == ("half.png", 5)


def test_a_file_that_is_renamed_into_place(folder: Path, read: Read) -> None:
    reader = read(start(folder))
    for temporary in ("part.png.tmp", ".part.png"):
        (folder / temporary).write_bytes(picture(7))
    (folder / "seen.png").write_bytes(picture(8))
    reader.wait_for(1)
    assert shown(reader) == [("seen.png", 8)]
    (folder / "part.png.tmp").rename(folder / "part.png")
    reader.wait_for(2)
    assert shown(reader)[1] == ("part.png", 7)


def test_a_broken_file_is_reported_once_and_after_patience(
    folder: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_folder, "PATIENCE", 0.2)
    monkeypatch.setattr(watched_folder, "_RETRY", 0.05)
    reader = read(start(folder))
    (folder / "broken.png").write_bytes(b"no image")
    reader.until(lambda: len(reader.frames) == 1)
    broken = reader.frames[0]
    assert isinstance(broken, BrokenFrame)
    assert broken.source == str(folder / "broken.png")
    (folder / "good.png").write_bytes(picture(1))
    reader.until(lambda: len(reader.frames) == 2)
    assert isinstance(reader.frames[1], Frame)
    (folder / "broken.png").write_bytes(picture(2))
    reader.until(lambda: len(reader.frames) == 3)
    assert shown(reader)[1][1] == 2, "a repaired file is read after all"


def test_a_file_that_is_written_anew_is_a_new_image_under_a_name_of_its_own(folder: Path, read: Read) -> None:
    reader = read(start(folder))
    for number in range(3):
        (folder / "latest.png").write_bytes(picture(number))
        # A clock as coarse as that of some file systems must not hide it from this test.
        os.utime(folder / "latest.png", (1000 + number, 1000 + number))
        reader.wait_for(number + 1)
    assert shown(reader) == [("latest.png", 0), ("latest-000001.png", 1), ("latest-000002.png", 2)]


def test_a_file_that_is_removed_and_dropped_again_is_new(folder: Path, read: Read) -> None:
    reader = read(start(folder))
    (folder / "part.png").write_bytes(picture(1))
    reader.wait_for(1)
    (folder / "part.png").unlink()
    (folder / "part.png").write_bytes(picture(2))
    reader.wait_for(2)
    assert [value for _, value in shown(reader)] == [1, 2]


def test_a_file_that_is_filed_away_after_it_was_read_is_not_read_again(folder: Path, read: Read) -> None:
    reader = read(start(folder))
    (folder / "done").mkdir()
    (folder / "part.png").write_bytes(picture(1))
    reader.wait_for(1)
    (folder / "part.png").rename(folder / "done" / "part.png")
    (folder / "next.png").write_bytes(picture(2))
    reader.wait_for(2)
    (folder / "done").rename(folder / "archive")
    (folder / "last.png").write_bytes(picture(3))
    reader.wait_for(3)
    assert shown(reader) == [("part.png", 1), ("next.png", 2), ("last.png", 3)]


def test_a_file_that_is_written_to_while_it_is_read_is_read_again(
    folder: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dmdd_edge.runtime.sources.files import read_frame

    def read_and_be_overtaken(path: Path, name: str, index: int, bits: int) -> Frame | BrokenFrame:
        frame = read_frame(path, name, index, bits)
        if path.stat().st_mtime < 3000:
            path.write_bytes(picture(2))
            os.utime(path, (3000, 3000))
        return frame

    monkeypatch.setattr(watched_folder, "read_frame", read_and_be_overtaken)
    source = start(folder)
    reader = read(source)
    (folder / "raw.tmp").write_bytes(picture(1))
    os.utime(folder / "raw.tmp", (2000, 2000))
    (folder / "raw.tmp").rename(folder / "part.png")
    reader.wait_for(1)
    reader.stop()
    assert shown(reader) == [("part.png", 2)]


@pytest.mark.parametrize("name", ["part.png", "day/raw.png"])
def test_a_file_that_is_renamed_before_it_was_read_is_read_once(folder: Path, read: Read, name: str) -> None:
    source = start(folder, watch_settle=1.5)
    reader = read(source)
    (folder / "raw.png").write_bytes(picture(1))
    until(lambda: bool(source._waiting))  # type: ignore[attr-defined]
    (folder / "day").mkdir()
    (folder / "raw.png").rename(folder / name)
    (folder / "last.png").write_bytes(picture(2))
    reader.wait_for(2)
    assert sorted(shown(reader)) == sorted([("last.png", 2), (name, 1)])


def test_a_file_that_vanishes_before_it_was_read_does_no_harm_and_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched_folder, "_RENAMING", 0.0)
    source = start(folder, watch_existing=True)
    (folder / "1.png").write_bytes(picture(1))
    (folder / "2.png").write_bytes(picture(2))
    frames = iter(source)
    first = next(frames)
    assert isinstance(first, Frame)
    (folder / "2.png").unlink()  # it had settled along with the first
    (folder / "3.png").write_bytes(picture(3))
    third = next(frames)
    assert isinstance(third, Frame)
    assert (third.name, third.index, third.dropped) == ("3.png", 1, 1)
    assert source.state().dropped == 1
    source.stop()
    assert list(frames) == []


def test_results_that_are_written_into_the_folder_are_no_images_of_it(folder: Path, read: Read) -> None:
    for name in ("out", "maps"):
        (folder / name).mkdir()
    reader = read(start(folder, save=folder / "out", save_maps=folder / "maps"))
    (folder / "out" / "overlay.png").write_bytes(picture(1))
    (folder / "maps" / "map.png").write_bytes(picture(1))
    (folder / "1.png").write_bytes(picture(2))
    reader.wait_for(1)
    (folder / "2.png").write_bytes(picture(3))
    reader.wait_for(2)
    assert [name for name, _ in shown(reader)] == ["1.png", "2.png"]


def test_each_third_image(folder: Path, read: Read) -> None:
    reader = read(start(folder, every=3))
    for number in range(7):
        (folder / f"{number}.png").write_bytes(picture(number))
        os.utime(folder / f"{number}.png", (1000 + number, 1000 + number))
    reader.wait_for(3)
    assert len(shown(reader)) == 3
    assert [frame.index for frame in reader.frames] == [0, 1, 2]


def test_what_an_earlier_run_has_done_is_passed_over_and_counted(folder: Path, read: Read) -> None:
    for number in range(3):
        (folder / f"{number}.png").write_bytes(picture(number))
        os.utime(folder / f"{number}.png", (1000 + number, 1000 + number))
    source = start(folder, watch_existing=True)
    asked: list[tuple[str, int]] = []

    def done(name: str, index: int) -> bool:
        asked.append((Path(name).name, index))
        return index == 1

    source.skip = done
    reader = read(source)
    frames = reader.wait_for(2)
    assert [(frame.name, frame.index) for frame in frames] == [("0.png", 0), ("2.png", 2)]
    assert asked == [("0.png", 0), ("1.png", 1), ("2.png", 2)]


def test_a_share_that_goes_away_is_told_and_its_images_are_not_read_again(
    folder: Path, read: Read, tmp_path: Path
) -> None:
    source = start(folder)
    reader = read(source)
    (folder / "1.png").write_bytes(picture(1))
    reader.wait_for(1)
    folder.rename(tmp_path / "away")
    until(lambda: not source.state().connected)
    assert "cannot list" in source.state().message
    folder.mkdir()  # an empty mount point
    until(lambda: "is now a different, empty folder" in source.state().message)
    folder.rmdir()
    (tmp_path / "away").rename(folder)
    (folder / "2.png").write_bytes(picture(2))
    reader.wait_for(2)
    assert shown(reader) == [("1.png", 1), ("2.png", 2)]
    assert source.state().connected
    assert source.state().message == ""


def test_stop_ends_the_wait(folder: Path, read: Read) -> None:
    reader = read(start(folder, watch_settle=1000.0))
    reader.stop()
    assert reader.error is None


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="the folder does not exist"):
        start(tmp_path / "nowhere")


def test_a_large_folder_at_rest_is_not_listed_again_and_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    for number in range(300):
        (folder / f"{number}.png").touch()
    looked: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(str(path)) or scandir(path))
    monkeypatch.setattr(folder_scan, "_COARSE", 0.0)
    monkeypatch.setattr(folder_scan, "_FULL_SHARE", 1e-9)
    watched = FolderScan(folder)
    assert len(watched.changes()) == 300
    assert looked == [str(folder)]
    threading.Event().wait(0.01)
    assert watched.changes() == []
    assert looked == [str(folder)], "its time says that nothing was added"
    (folder / "new.png").touch()
    until(lambda: [path.name for path, _ in watched.changes()] == ["new.png"])


def test_software_that_writes_and_files_away_at_its_own_pace(folder: Path, read: Read) -> None:
    """Three writers at once, in different manners, and a tidier behind them: each image is read once."""
    (folder / "done").mkdir()
    reader = read(start(folder, watch_settle=SETTLE))
    count = 12

    def write(writer: int) -> None:
        for number in range(count):
            target = folder / f"w{writer}-{number:02d}.png"
            data = picture(10 * writer + number)
            if writer == 0:
                target.write_bytes(data)
            elif writer == 1:
                temporary = target.with_suffix(".tmp")
                temporary.write_bytes(data)
                temporary.rename(target)
            else:
                with target.open("wb") as file:
                    file.write(data[:40])
                    file.flush()
                    threading.Event().wait(0.05)
                    file.write(data[40:])

    def tidy() -> None:
        for index in range(3 * count):
            reader.until(lambda index=index: len(reader.frames) > index)  # type: ignore[misc]
            path = Path(reader.frames[index].source)
            shutil.move(path, folder / "done" / path.name)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    threads.append(threading.Thread(target=tidy))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (folder / "last.png").write_bytes(picture(200))
    reader.wait_for(3 * count + 1)
    reader.stop()
    values = sorted(value for _, value in shown(reader))
    assert values == sorted([200, *(10 * writer + number for writer in range(3) for number in range(count))])


def test_files_that_were_removed_take_no_memory(folder: Path) -> None:
    watched = FolderScan(folder)
    for number in range(2000):
        (folder / f"{number}.png").touch()
    for path, _ in watched.changes():
        watched.took(path)
    known = watched._folders[str(folder)].files
    full = sys.getsizeof(known)
    for number in range(1, 2000):
        (folder / f"{number}.png").unlink()
    watched.changes()
    known = watched._folders[str(folder)].files
    assert list(known) == ["0.png"]
    assert sys.getsizeof(known) < full / 100
