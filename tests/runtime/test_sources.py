from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import SourceOptions, open_source

Picture = Callable[..., NDArray[np.uint8]]


def _names(source: str, **options: object) -> list[str]:
    opened = open_source(source, SourceOptions(**options))  # type: ignore[arg-type]
    frames = list(opened)
    assert opened.total == len(frames)
    assert all(isinstance(frame, Frame) for frame in frames)
    return [frame.name for frame in frames if isinstance(frame, Frame)]


def test_a_folder_with_its_subfolders(images: Path) -> None:
    assert _names(str(images)) == ["bad/0.png", "bad/1.png", "good/0.png", "good/1.png"]
    assert _names(str(images), every=3) == ["bad/0.png", "good/1.png"]
    first = next(iter(open_source(str(images))))
    assert isinstance(first, Frame)
    assert first.source == str(images / "bad/0.png")
    np.testing.assert_array_equal(first.image, cv2.imread(first.source))
    assert first.capture_ms > 0


def test_an_image_and_a_glob(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _names(str(images / "good/0.png")) == ["0.png"]
    assert _names(f"{images}/*/0.png") == ["bad/0.png", "good/0.png"]
    assert _names(f"{images}/**/*.png") == ["bad/0.png", "bad/1.png", "good/0.png", "good/1.png"]
    monkeypatch.chdir(images / "good")
    assert _names("*.png") == ["0.png", "1.png"]
    assert _names("./*.png") == ["0.png", "1.png"]
    assert _names("../bad/*.png") == ["0.png", "1.png"]
    (images / "good" / "part[1].png").write_bytes((images / "good" / "0.png").read_bytes())
    assert _names("part[1].png") == ["part[1].png"], "a file's name goes before a glob"


@pytest.mark.parametrize("source", ["nowhere", "nowhere/*.png"])
def test_nothing_found_says_what_a_source_can_be(source: str, tmp_path: Path) -> None:
    with pytest.raises(DmddError, match=r"nowhere.* does not exist|contains no images") as caught:
        open_source(source)
    assert "a folder, a glob in quotes" in caught.value.fix


def test_a_folder_without_images_and_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DmddError, match="contains no images"):
        open_source(str(tmp_path))
    with pytest.raises(DmddError, match=r"notes\.txt is neither an image nor a video"):
        open_source(str(tmp_path / "notes.txt"))
    with pytest.raises(DmddError, match="--every is 0"):
        open_source(str(tmp_path), SourceOptions(every=0))


def test_a_broken_image_comes_as_such_and_the_next_one_follows(images: Path) -> None:
    (images / "bad" / "1.png").write_bytes(b"broken")
    frames = list(open_source(str(images)))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert isinstance(frames[1], BrokenFrame)
    assert frames[1].source == str(images / "bad/1.png")
    assert "1.png" in frames[1].error.message
    assert isinstance(frames[2], Frame)


def test_a_file_that_vanishes_during_the_run_is_a_broken_frame(images: Path) -> None:
    source = open_source(str(images))
    (images / "good" / "0.png").unlink()
    assert [isinstance(frame, BrokenFrame) for frame in source] == [False, False, True, False]


def test_overlays_of_an_earlier_run_are_no_images_of_the_source(images: Path) -> None:
    (images / "out").mkdir()
    os.link(images / "bad/0.png", images / "out/0.png")
    assert len(_names(str(images))) == 5
    assert len(_names(str(images), save=images / "out")) == 4
    assert len(_names(str(images), save=images.parent)) == 5
    for source in (images, images / "*" / "*.png"):
        with pytest.raises(DmddError, match="is the folder of the source"):
            open_source(str(source), SourceOptions(save=images))


def test_maps_of_an_earlier_run_are_no_images_of_the_source(images: Path) -> None:
    for folder in ("out", "maps"):
        (images / folder).mkdir()
        os.link(images / "bad/0.png", images / folder / "0.png")
    assert len(_names(str(images), save=images / "out")) == 5
    assert len(_names(str(images), save_maps=images / "maps")) == 5
    assert len(_names(str(images), save=images / "out", save_maps=images / "maps")) == 4
    assert len(_names(str(images / "*" / "*.png"), save_maps=images / "maps")) == 5
    with pytest.raises(DmddError, match=r"--save-maps .* is the folder of the source"):
        open_source(str(images), SourceOptions(save_maps=images))


def _write_video(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, frames[0].shape[1::-1])
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write a video")
    for frame in frames:
        writer.write(frame)
    writer.release()


def test_every_frame_of_a_video_comes_once(tmp_path: Path, make_picture: Picture) -> None:
    _write_video(tmp_path / "line.avi", [make_picture(20 * number) for number in range(1, 8)])
    source = open_source(str(tmp_path / "line.avi"))
    frames = [frame for frame in source if isinstance(frame, Frame)]
    # JPEG keeps a plain gray to within a level or two.
    levels = [round(float(frame.image.mean()) / 20) for frame in frames]
    assert levels == [1, 2, 3, 4, 5, 6, 7]
    assert source.total == 7
    assert [frame.name for frame in frames][:2] == ["line.avi/frame-000000", "line.avi/frame-000001"]
    third = open_source(str(tmp_path / "line.avi"), SourceOptions(every=3))
    levels = [round(float(frame.image.mean()) / 20) for frame in third if isinstance(frame, Frame)]
    assert levels == [1, 4, 7]
    assert third.total == 3


def test_a_source_of_files_says_how_far_it_is_and_can_be_stopped(images: Path, tmp_path: Path) -> None:
    source = open_source(str(images))
    assert not source.live
    assert source.state().frames == 0
    assert source.state().frame_age is None
    frames = iter(source)
    next(frames)
    state = source.state()
    assert (state.name, state.frames, state.width, state.height) == (str(images), 1, 256, 128)
    assert state.connected
    assert state.frame_age is not None
    next(frames)
    source.stop()
    assert list(frames) == []
    assert source.state().frames == 2


def test_a_video_says_its_rate_and_can_be_stopped(tmp_path: Path, make_picture: Picture) -> None:
    _write_video(tmp_path / "line.avi", [make_picture(20 * number) for number in range(1, 8)])
    source = open_source(str(tmp_path / "line.avi"))
    assert source.state().fps == 10.0
    frames = iter(source)
    next(frames)
    source.stop()
    assert list(frames) == []


def test_options_and_their_short_form_are_the_same(images: Path) -> None:
    options = SourceOptions(every=3, save=images / "good")
    names = _names(str(images), every=3, save=images / "good")
    assert [frame.name for frame in open_source(str(images), options) if isinstance(frame, Frame)] == names


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "line.mp4").write_bytes(b"no video")
    with pytest.raises(DmddError, match=r"Cannot read .* as a video"):
        open_source(str(tmp_path / "line.mp4"))
