"""The window, on a display that is drawn into memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay
from dmdd_edge.runtime.sinks.show import Show
from dmdd_edge.runtime.summary import RunStatistics

MakeResult = Callable[..., "tuple[Frame, Result]"]

_PATIENCE = 60.0


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An X server without a screen."""
    server, tool = shutil.which("Xvfb"), shutil.which("xdotool")
    if server is None or tool is None:
        pytest.skip("Xvfb and xdotool are not installed: apt-get install xvfb xdotool")
    if "QT" not in cv2.getBuildInformation().partition("GUI:")[2][:40]:
        pytest.skip("this OpenCV has no Qt windows")
    reading, writing = os.pipe()
    with subprocess.Popen(
        [server, "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(writing)
        with os.fdopen(reading) as stream:
            name = f":{stream.readline().strip()}"
        monkeypatch.setenv("DISPLAY", name)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        yield name
        process.terminate()


def _until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def _window() -> str:
    def find() -> str:
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", "dmdd-edge"],
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.split()[-1] if found.stdout.split() else ""

    return str(_until(find))


def _press(key: str) -> None:
    window = _window()
    subprocess.run(["xdotool", "windowfocus", "--sync", window], check=True, timeout=_PATIENCE)
    subprocess.run(["xdotool", "key", key], check=True, timeout=_PATIENCE)


def test_the_window_lives_and_ends_the_run(display: str, make_result: MakeResult) -> None:
    """All in one test: a process keeps the display that it began with."""
    shown: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        real = cv2.imshow

        def imshow(title: str, picture: Any) -> None:
            real(title, picture)
            shown.append(picture)

        patch.setattr(cv2, "imshow", imshow)
        frame, result = make_result()

        # q ends the run.
        window = Show()
        window.result(frame, result)
        _until(lambda: shown)
        np.testing.assert_array_equal(shown[-1], draw_overlay(frame.image, result))
        assert not window.ended
        _press("q")
        _until(lambda: window.ended)
        window.close()

        # After the end of a folder the last image stays until a key is pressed.
        window = Show(linger=True)
        shown.clear()
        window.result(frame, result)
        window.summary(RunStatistics("cpu").summary())
        _until(lambda: shown)
        _press("space")
        window.close()
        assert window.ended

        # It does not stay when the user ends the program, nor when the run failed.
        window = Show(linger=True, stopping=lambda: True)
        window.summary(RunStatistics("cpu").summary())
        window.close()
        window = Show(linger=True)
        window.close()


@pytest.mark.parametrize("name", ["", ":7654"])
def test_without_a_display_there_is_a_message(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("DISPLAY", name)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(DmddError, match="display") as caught:
        Show()
    assert "--serve" in caught.value.fix
    assert "--save" in caught.value.fix
