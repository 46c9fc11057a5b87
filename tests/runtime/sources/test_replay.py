"""A video played as if it were a camera: at its rate, dropping what nobody takes, counted exactly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.sources import Source, SourceOptions, open_source, replay
from dmdd_edge.runtime.sources.replay import Replay
from tests.runtime.sources.reading import Reader, until

Video = Callable[..., Path]
Read = Callable[[Source], Reader]


def test_a_replay_says_file_rate_and_loop() -> None:
    assert Replay.parse("replay:a/line.mp4") == Replay(Path("a/line.mp4"))
    assert Replay.parse("replay:///data/line.mp4?fps=300&loop=1") == Replay(Path("/data/line.mp4"), 300, True)
    assert Replay.parse("replay:line.mp4?loop=0&fps=12.5") == Replay(Path("line.mp4"), 12.5, False)


def test_a_file_whose_name_holds_a_question_mark(tmp_path: Path) -> None:
    (tmp_path / "what?.mp4").write_bytes(b"")
    assert Replay.parse(f"replay:{tmp_path}/what?.mp4").path == tmp_path / "what?.mp4"
    # A missing file is named as such, not taken for an option.
    assert Replay.parse(f"replay:{tmp_path}/else?.mp4").path == tmp_path / "else?.mp4"
    assert Replay.parse(f"replay:{tmp_path}/what?.mp4?fps=5") == Replay(tmp_path / "what?.mp4", 5)
    for missing in ("why?.mp4", "why?.mp4?fps=5"):
        with pytest.raises(DmddError, match=r"why\?.*: the file does not exist"):
            open_source(f"replay:{tmp_path}/{missing}")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("fps=0", "fps must be a number above 0, got 0"),
        ("fps=nan", "got nan"),
        ("fps=fast", "got fast"),
        ("loop=yes", "loop must be 0 or 1, got yes"),
        ("rate=3", "unknown parameter 'rate'"),
    ],
)
def test_a_replay_that_is_written_otherwise(query: str, message: str) -> None:
    with pytest.raises(DmddError, match=message) as caught:
        open_source(f"replay:line.mp4?{query}")
    assert "replay:FILE?fps=30&loop=1" in caught.value.fix


def test_files_that_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="the file does not exist"):
        open_source(f"replay:{tmp_path}/line.mp4")
    (tmp_path / "line.mp4").write_bytes(b"no video")
    with pytest.raises(DmddError, match=r"Cannot read .* as a video"):
        open_source(f"replay:{tmp_path}/line.mp4")


def test_every_frame_is_handed_out_or_counted_as_dropped(video: Video) -> None:
    source = open_source(f"replay:{video(60)}?fps=400")
    assert source.live
    assert source.total is None
    taken = []
    for frame in source:
        assert isinstance(frame, Frame)
        taken.append(frame)
        # Five times as long as a frame of this camera takes to come.
        time.sleep(5 / 400)
    state = source.state()
    assert len(taken) + sum(frame.dropped for frame in taken) == 60
    assert (state.frames, state.dropped) == (len(taken), 60 - len(taken))
    assert state.dropped > 0
    assert not state.connected, "it has ended"
    # The level of gray says which frame of the file it was (see write_video): the newest, and the last one.
    levels = [round((float(frame.image.mean()) - 8) / 8) for frame in taken]
    numbers = [frame.dropped + 1 for frame in taken]
    assert levels == [(sum(numbers[: i + 1]) - 1) % 30 for i in range(len(taken))]


def test_frames_come_at_the_rate_asked_for(video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]

    class Clock(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0.0
            return False

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    device = replay.ReplayDevice(Replay(video(5), fps=50.0, loop=True))
    device.open(Clock())
    times = []
    for number in range(12):
        if number == 7:
            now[0] += 0.05  # late for this one and the next; those after them come when they are due
        device.grab(Clock())
        times.append(round(now[0] - 1000.0, 3))
    device.close()
    assert times == [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.17, 0.17, 0.18, 0.2, 0.22]


def test_a_loop_goes_on_and_ends_when_stopped(video: Video, read: Read) -> None:
    source = open_source(f"replay:{video(5)}?fps=200&loop=1")
    reader = read(source)
    reader.wait_for(12)
    reader.stop()
    assert reader.error is None
    assert source.state().detail == "200 frames/s, in a loop"
    until(lambda: not any(thread.name.startswith("grab ") for thread in threading.enumerate()))


def test_the_files_own_rate(video: Video) -> None:
    source = open_source(f"replay:{video(2, fps=25.0)}")
    assert source.state().detail == "25 frames/s"
    source.stop()


def test_a_limit_of_frames_a_second_is_no_drop(video: Video) -> None:
    source = open_source(f"replay:{video(60)}?fps=120", SourceOptions(fps=20))
    start = time.monotonic()
    frames = list(source)
    took = time.monotonic() - start
    assert 1 <= len(frames) + source.state().dropped <= 20 * took + 1
