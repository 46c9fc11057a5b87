"""What a source finds but skips is counted by kind; what it promised and lacks is an error."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import SourceOptions, open_source
from dmdd_edge.runtime.sources.path_list import PathList


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((24, 32, 3), 90, np.uint8))
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two images among much else."""
    folder = tmp_path / "mixed"
    picture(folder / "a.png")
    picture(folder / "day/b.webp")
    for name in ("c.heic", "d.HEIC", "line.mp4", "README", ".hidden.png"):
        (folder / name).write_bytes(b"x")
    picture(tmp_path / "elsewhere/e.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    return folder


def test_a_folder_counts_what_it_passes_over(mixed: Path) -> None:
    source = open_source(str(mixed))
    assert [frame.name for frame in source if isinstance(frame, Frame)] == ["a.png", "day/b.webp"]
    assert source.state().passed_over == {
        ".heic": 2,
        ".mp4": 1,
        "no suffix": 1,
        "hidden": 1,
        "linked folder": 1,
    }


def test_a_glob_counts_what_it_passes_over(mixed: Path) -> None:
    source = open_source(f"{mixed}/*")
    assert source.total == 1
    assert source.state().passed_over == {".heic": 2, ".mp4": 1, "no suffix": 1, "folder": 2}
    assert open_source(f"{mixed}/**/*.webp").state().passed_over == {}


def test_a_folder_without_images_says_what_it_holds(mixed: Path) -> None:
    (mixed / "a.png").unlink()
    (mixed / "day/b.webp").unlink()
    with pytest.raises(DmddError, match=r"contains no images \(skipped: 2 \.heic"):
        open_source(str(mixed))


def test_a_watched_folder_counts_what_it_passes_over(mixed: Path) -> None:
    source = open_source(str(mixed), SourceOptions(watch=True))
    assert source.state().passed_over == {
        "there before the start": 2,
        ".heic": 2,
        ".mp4": 1,
        "no suffix": 1,
        "hidden": 1,
        "linked folder": 1,
    }


def test_images_that_a_run_wrote_and_further_pages_are_counted(tmp_path: Path) -> None:
    picture(tmp_path / "out/a.png")
    first, second = Image.new("L", (32, 24), 80), Image.new("L", (32, 24), 90)
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[second])
    source = open_source(str(tmp_path), SourceOptions(save=tmp_path / "out"))
    assert len(list(source)) == 1
    assert source.state().passed_over == {"written by a run": 1, "further pages": 1}


def test_a_list_takes_names_that_no_file_can_have(tmp_path: Path) -> None:
    good = picture(tmp_path / "good.png")
    odd = os.fsencode(tmp_path) + b"/\xff.png"
    Path(os.fsdecode(odd)).write_bytes(good.read_bytes())
    (tmp_path / "list").write_bytes(os.fsencode(good) + b"\nno\0file.png\n" + odd + b"\n")
    with (tmp_path / "list").open("rb") as file:
        frames = list(PathList(file.fileno(), written=[tmp_path / "out"]))
    assert [type(frame) for frame in frames] == [Frame, BrokenFrame, Frame]
    assert isinstance(frames[1], BrokenFrame)
    assert "no file can have this name" in frames[1].error.message
    assert os.fsencode(frames[2].source) == odd


def test_a_folder_is_taken_by_its_name_before_a_pattern(tmp_path: Path) -> None:
    picture(tmp_path / "lot[1]/a.png")
    picture(tmp_path / "lot1/b.png")
    named = open_source(f"{tmp_path}/lot[1]/*.png")
    assert [frame.name for frame in named if isinstance(frame, Frame)] == ["a.png"]
    assert named.root == tmp_path / "lot[1]"
    pattern = open_source(f"{tmp_path}/lot[12]/*.png")
    assert [frame.name for frame in pattern if isinstance(frame, Frame)] == ["lot1/b.png"]


@pytest.mark.parametrize("text", ["", " "])
@pytest.mark.parametrize("watch", [True, False])
def test_an_empty_source_is_an_error(text: str, watch: bool) -> None:
    with pytest.raises(DmddError, match=f"--{'watch' if watch else 'source'} is empty"):
        open_source(text, SourceOptions(watch=watch))


def video(path: Path, code: str, frames: int) -> bytes:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*code), 10.0, (128, 96))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write such a video")
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    for number in range(frames):
        writer.write(np.roll(noise, 8 * number, axis=1))
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize(("name", "code"), [("line.mkv", "mp4v"), ("line.avi", "MJPG")])
def test_a_video_that_ends_before_its_own_end_is_an_error(tmp_path: Path, name: str, code: str) -> None:
    path = tmp_path / name
    data = video(path, code, 30)
    assert len(list(open_source(str(path)))) == 30
    path.write_bytes(data[: len(data) * 6 // 10])
    *frames, last = open_source(str(path))
    assert isinstance(last, BrokenFrame)
    assert 5 < len(frames) < 25
    assert f"ends early: {len(frames)} of 30 frames" in last.error.message
    assert last.index == len(frames)
