"""``-``: paths on standard input, each image as soon as its path is there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import Source, SourceOptions, open_source
from dmdd_edge.runtime.sources.path_list import PathList
from tests.runtime.sources.reading import Reader

Read = Callable[[Source], Reader]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def names(frames: list[Frame | BrokenFrame]) -> list[str]:
    return [frame.name for frame in frames if isinstance(frame, Frame)]


def test_an_image_comes_as_soon_as_its_path_is_there(
    pipe: tuple[int, int], images: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    reading, writing = pipe
    source = PathList(reading)
    assert source.total is None
    assert not source.live
    reader = read(source)
    os.write(writing, b"good/0.png\n")
    reader.wait_for(1)
    os.write(writing, b"bad/0.p")
    os.write(writing, b"ng\r\n\n  \ngood/1.png\nbad/1.png")
    frames = reader.wait_for(3)
    assert names(reader.frames) == ["good/0.png", "bad/0.png", "good/1.png"], "the last line is not over"
    os.close(writing)
    reader.wait_for_end()
    assert [frame.name for frame in reader.wait_for(4)][3] == "bad/1.png"
    assert frames[1].source == "bad/0.png"
    assert [frame.index for frame in reader.frames] == [0, 1, 2, 3]
    assert source.state().name == "standard input"
    assert source.state().frames == 4


def test_a_path_that_leads_nowhere_is_broken_and_the_next_one_follows(
    pipe: tuple[int, int], images: Path
) -> None:
    reading, writing = pipe
    os.write(writing, f"{images}/none.png\n{images}\n{images}/good/0.png\n".encode())
    os.close(writing)
    frames = list(PathList(reading))
    assert [type(frame) for frame in frames] == [BrokenFrame, BrokenFrame, Frame]
    assert names(frames) == [str(images / "good/0.png").lstrip("/")], "outside the present folder: from / on"


def test_a_path_that_comes_again_is_read_again_under_another_name(
    pipe: tuple[int, int], images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images / "good")
    reading, writing = pipe
    os.write(writing, b"0.png\n../bad/0.png\n./0.png\n")
    os.close(writing)
    found = names(list(PathList(reading)))
    assert found == ["0.png", str(images / "bad/0.png").lstrip("/"), "0-000002.png"]


def test_each_third_path_and_none_below_save(pipe: tuple[int, int], images: Path) -> None:
    reading, writing = pipe
    os.write(
        writing, "".join(f"{images}/{name}.png\n" for name in ("good/0", "bad/0", "good/1", "bad/1")).encode()
    )
    os.close(writing)
    frames = list(PathList(reading, every=2, written=[images / "bad"]))
    assert [Path(frame.source).name for frame in frames] == ["0.png"]
    assert frames[0].source.endswith("good/0.png")


def test_stop_ends_the_wait_for_a_path(pipe: tuple[int, int], images: Path, read: Read) -> None:
    reading, writing = pipe
    reader = read(PathList(reading))
    os.write(writing, f"{images}/good/0.png\n{images}/goo".encode())
    reader.wait_for(1)
    reader.stop()
    assert len(reader.frames) == 1, "half a path is none"


def test_a_terminal_gives_no_list() -> None:
    master, terminal = os.openpty()
    try:
        with pytest.raises(DmddError, match="which is a terminal"):
            PathList(terminal)
    finally:
        os.close(master)
        os.close(terminal)


def test_standard_input_of_a_process(images: Path) -> None:
    code = (
        "from dmdd_edge.runtime.sources import open_source\n"
        "print([frame.name for frame in open_source('-')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=images,
        input="bad/0.png\ngood/1.png\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "['bad/0.png', 'good/1.png']\n"


def test_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DmddError, match="which is closed"):
        open_source("-", SourceOptions())
