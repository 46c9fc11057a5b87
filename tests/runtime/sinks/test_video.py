"""The annotated video: its size, its rate, and what is left of it however the run ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import video as video_module
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay
from dmdd_edge.runtime.sinks.quota import DiskQuota
from dmdd_edge.runtime.sinks.video import Video
from dmdd_edge.runtime.sinks.video_clock import VideoClock

MakeResult = Callable[..., "tuple[Frame, Result]"]


def _read(path: Path) -> tuple[float, list[Any]]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        done, image = capture.read()
        if not done:
            return capture.get(cv2.CAP_PROP_FPS), frames
        frames.append(image)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".webm"])
def test_each_frame_is_one_of_the_video(
    tmp_path: Path, make_result: MakeResult, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / f"run{suffix}"
    sink = Video(path, 12.5)
    frame, result = make_result()
    levels = (60, 120, 180)
    for level in levels:
        sink.result(Frame(np.full_like(frame.image, level)), make_result("good", 0.0, regions=())[1])
    # Another size, twice as high: it is fitted in, and black beside it.
    sink.result(Frame(np.full((128, 96, 3), 200, np.uint8)), make_result("good", 0.0, regions=())[1])
    sink.close()
    assert capfd.readouterr().err == ""  # FFmpeg's remarks on its own choices are not the user's
    fps, frames = _read(path)
    assert fps == pytest.approx(12.5)
    assert len(frames) == sink.written == 4
    height, width = draw_overlay(frame.image, result).shape[:2]
    assert {image.shape for image in frames} == {(height // 2 * 2, width, 3)}
    for image, level in zip(frames, levels, strict=False):
        assert image[10:50, 10:80].mean() == pytest.approx(level, abs=4)
    assert frames[3][:, :8].mean() < 20
    assert frames[3][10:50, 150:250].mean() == pytest.approx(200, abs=8)


def test_a_large_frame_is_scaled_down(tmp_path: Path, make_result: MakeResult) -> None:
    sink = Video(tmp_path / "run.mkv", 25)
    sink.result(Frame(np.full((300, 2001, 3), 90, np.uint8)), make_result("good", 0.0, regions=())[1])
    sink.close()
    (image,) = _read(tmp_path / "run.mkv")[1]
    assert image.shape[1] == 1280
    assert image.shape[0] % 2 == 0


def test_a_live_video_takes_as_long_as_what_it_shows() -> None:
    clock = VideoClock(10)
    # 10 frames per second: on time; then 40: one in four; then none for a second: ten are due.
    assert [clock.repeats(100 + time) for time in (0, 0.1, 0.2)] == [1, 1, 1]
    assert sum(clock.repeats(100.2 + 0.025 * k) for k in range(1, 41)) == 10
    assert clock.repeats(102.2) == 10
    # A pause of an hour is shown for two seconds; then it continues as before.
    assert clock.repeats(3702.2) == 20
    assert [clock.repeats(3702.2 + 0.1 * k) for k in (1, 2, 3)] == [1, 1, 1]
    # So it does when the clock is set back.
    assert [clock.repeats(50 + 0.1 * k) for k in range(3)] == [1, 1, 1]


def test_frames_are_repeated_and_left_out(tmp_path: Path, make_result: MakeResult) -> None:
    sink = Video(tmp_path / "run.avi", 10, real_time=True)
    image = make_result()[0].image
    for time, level in ((0.0, 50), (0.01, 250), (0.5, 150)):
        result = make_result("good", 0.0, regions=(), time=time)[1]
        sink.result(Frame(np.full_like(image, level)), result)
    sink.close()
    levels = [frame[10:50].mean() for frame in _read(tmp_path / "run.avi")[1]]
    assert levels == pytest.approx([50] * 5 + [150], abs=4)


_KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.video import Video
sink = Video(Path(sys.argv[1]), 4)
noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
for index in range(64):
    image = np.roll(noise, index, axis=1)
    anomaly_map = np.zeros((8, 8), np.float32)
    sink.result(Frame(image), Result("", index, "good", 0.0, 0.1, 0.1, 0.5, False, anomaly_map))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "lost"), [(".mkv", 8), (".avi", 8), (".webm", 12)])
def test_a_killed_run_leaves_a_video_that_plays(tmp_path: Path, suffix: str, lost: int) -> None:
    path = tmp_path / f"run{suffix}"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(path)], timeout=120, check=False)
    assert done.returncode == -9
    # 16 seconds at 4 frames per second; of .mkv the last six or so may be missing, of .webm the last ten.
    assert len(_read(path)[1]) >= 64 - lost * 4


def test_an_earlier_video_is_not_overwritten_unasked(tmp_path: Path, make_result: MakeResult) -> None:
    path = tmp_path / "run.mkv"

    def write(frames: int, existing: Any) -> None:
        sink = Video(path, 25, options=FileOptions(existing=existing))
        for _ in range(frames):
            sink.result(*make_result())
        sink.close()

    write(1, "refuse")
    with pytest.raises(DmddError, match="already exists"):
        write(2, "refuse")
    write(2, "resume")
    write(0, "resume")
    write(3, "append")
    names = ("run.000001.mkv", "run.000002.mkv", "run.mkv")
    assert [len(_read(tmp_path / name)[1]) for name in names] == [1, 2, 3]
    write(4, "replace")
    assert len(_read(path)[1]) == 4


def test_videos_rotate_and_the_oldest_go(tmp_path: Path) -> None:
    limit = 1_000_000
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    with DiskQuota(limit) as keep:
        sink = Video(tmp_path / "run.avi", 25, options=FileOptions(live=True, existing="append", keep=keep))
        for index in range(160):
            anomaly_map = np.zeros((8, 8), np.float32)
            result = Result("", index, "good", 0.0, 0.1, 0.1, 0.5, False, anomaly_map)
            sink.result(Frame(np.roll(noise, index, axis=1)), result)
            # A block of frames may be written at once.
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1.5 * limit
        sink.close()
    parts = sorted(tmp_path.glob("run.*.avi"))
    assert len(parts) >= 2
    assert parts[0].name != "run.000001.avi"
    assert all(_read(part)[1] for part in parts)


def test_a_nearly_full_disk_gets_no_more_frames(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    free = [10_000_000_000]
    disk = lambda path: SimpleNamespace(f_frsize=1, f_blocks=10**11, f_bavail=free[0])  # noqa: E731
    monkeypatch.setattr(video_module, "os", SimpleNamespace(statvfs=disk))
    sink = Video(tmp_path / "run.mkv", 25, options=FileOptions(note=notes.append))
    for space in (10_000_000_000, 60_000_000, 60_000_000, 70_000_000):
        free[0] = space
        sink.result(*make_result())
    sink.close()
    assert (sink.written, sink.lost) == (2, 2)
    assert len(_read(tmp_path / "run.mkv")[1]) == 2
    assert "nearly full" in notes[0]
    assert "2 are missing" in notes[1]
    assert "2 frames are missing" in notes[2]


def test_a_video_that_cannot_be_rotated_does_not_end_the_run(
    tmp_path: Path, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    path = tmp_path / "run.avi"
    monkeypatch.setattr(video_module, "_size_of", lambda path: 1000)
    sink = Video(path, 25, options=FileOptions(rotate=1000, note=notes.append))
    sink.result(*make_result())  # is put aside at once
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", rename)
    for _ in range(3):
        sink.result(*make_result())
    monkeypatch.setattr(Path, "rename", real)
    sink.result(*make_result())
    sink.close()
    # The second could not be put aside, and was not written over: two frames are missing.
    assert [len(_read(part)[1]) for part in sorted(tmp_path.glob("run.*.avi"))] == [1, 1, 1]
    assert (sink.written, sink.lost) == (3, 2)
    assert notes[0] == f"{path} cannot be written; the run continues without a video."
    assert notes[-2] == f"{path}: 2 frames are missing because it could not be written."
    assert notes[-1] == f"{path}: 3 frames in MJPEG, for players; name a .webm for browsers."


@pytest.mark.parametrize(
    ("name", "fps", "message"),
    [("run.gif", 25.0, "not a supported"), ("run", 25.0, "not a supported"), ("run.mp4", 0.0, "fps is 0")],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, fps: float, message: str) -> None:
    with pytest.raises(DmddError, match=message):
        Video(tmp_path / name, fps)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DmddError, match="cannot be written"):
        Video(tmp_path / "file" / "run.mp4", 25)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
