from __future__ import annotations

from collections.abc import Callable

import cv2
import pytest

from dmdd_edge.runtime.doctor import opencv
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.isolate import Answer
from dmdd_edge.runtime.doctor.opencv import built_in, examine_opencv
from dmdd_edge.runtime.doctor.surroundings import Surroundings

FROM_PIP = """
  GUI:                           QT5
    GTK+:                        NO

  Video I/O:
    FFMPEG:                      YES
      avcodec:                   YES (62.28.101)
    GStreamer:                   NO
    v4l/v4l2:                    YES (linux/videodev2.h)
"""
FROM_JETPACK = """
  GUI:                           GTK3
  Video I/O:
    DC1394:                      NO
    FFMPEG:                      YES
    GStreamer:                   YES (1.20.3)
    v4l/v4l2:                    YES (linux/videodev2.h)
"""
HEADLESS = FROM_PIP.replace("QT5", "NONE")


@pytest.mark.parametrize(
    ("build", "entry", "value"),
    [
        (FROM_PIP, "FFMPEG", "YES"),
        (FROM_PIP, "GStreamer", ""),
        (FROM_PIP, "v4l/v4l2", "YES (linux/videodev2.h)"),
        (FROM_PIP, "GUI", "QT5"),
        (FROM_JETPACK, "GStreamer", "YES (1.20.3)"),
        (HEADLESS, "GUI", ""),
        ("  Video I/O:\n", "FFMPEG", ""),
        # An entry without a value must not take that of the next line.
        ("    FFMPEG:\n    GStreamer:   YES\n", "FFMPEG", ""),
    ],
)
def test_what_is_built_in_is_read_from_the_build_information(build: str, entry: str, value: str) -> None:
    assert built_in(build, entry) == value


def test_the_build_information_of_this_opencv_has_these_entries() -> None:
    build = opencv.load()["build"]
    assert build == cv2.getBuildInformation()
    for _, entry, _ in opencv._BACK_ENDS.values():
        assert f"{entry}:" in build
    # What can be asked of OpenCV itself agrees.
    assert bool(built_in(build, "v4l/v4l2")) == cv2.videoio_registry.hasBackend(cv2.CAP_V4L2)


@pytest.fixture
def examine(
    surroundings: Callable[..., Surroundings], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Finding]]:
    """Examine an OpenCV that was built so; by name."""
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)

    def run(build: str, here: Platform | None = None, window: Answer | None = None) -> dict[str, Finding]:
        given = {
            "load": {"version": "4.12.0", "path": "/x", "build": build},
            "open_window": window or Answer(value=None),
        }
        around = surroundings(given, here=here)
        return {finding.name.removeprefix("opencv."): finding for finding in examine_opencv(around)}

    return run


def test_gstreamer_matters_on_a_jetson_only(examine: Callable[..., dict[str, Finding]]) -> None:
    assert examine(FROM_JETPACK)["gstreamer"].state == "ok"
    elsewhere = examine(FROM_PIP)["gstreamer"]
    assert (elsewhere.state, elsewhere.fix) == (
        "missing",
        "nothing to install: only a Jetson has csi:// cameras",
    )
    on_jetson = examine(FROM_PIP, here=Platform(jetson="NVIDIA Jetson Orin"))["gstreamer"]
    assert on_jetson.fix == (
        "python -m pip uninstall --yes opencv-python && sudo apt install python3-opencv; "
        "install dmdd-edge itself with --no-deps"
    )


def test_a_window_takes_a_build_with_one_and_a_display(
    examine: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert examine(HEADLESS)["window"].detail == "this OpenCV can show no window (a headless build)"
    without = examine(FROM_PIP)["window"]
    assert (without.state, without.detail) == ("missing", "QT5, and no display (DISPLAY is not set)")
    monkeypatch.setenv("DISPLAY", ":99")
    assert examine(FROM_PIP)["window"].detail == "QT5, on the display :99"
    # Qt ends a process that has no display; what it said last is told.
    fallen = examine(FROM_PIP, window=Answer(failure="it crashed (SIGABRT): no Qt platform", kind="crash"))
    assert fallen["window"].state == "missing"
    assert fallen["window"].detail == "on the display :99 none opens: it crashed (SIGABRT): no Qt platform"


@pytest.mark.parametrize(
    ("failure", "here", "fix"),
    [
        (
            "ImportError: libGL.so.1: cannot open shared object file",
            Platform(),
            "sudo apt install libgl1 libglib2.0-0",
        ),
        ("it crashed (SIGILL)", Platform(), "python -m pip install --force-reinstall opencv-python"),
        (
            "ImportError: numpy.core.multiarray failed to import",
            Platform(jetson="Orin"),
            "python -m pip uninstall --yes opencv-python; then sudo apt install python3-opencv, "
            "in an environment made with --system-site-packages",
        ),
    ],
)
def test_one_that_cannot_be_loaded_is_broken(
    surroundings: Callable[..., Surroundings],
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
    here: Platform,
    fix: str,
) -> None:
    monkeypatch.setattr(opencv, "version_of", lambda name: "4.12.0" if name == "opencv-python" else "")
    answer = Answer(failure=failure, kind=failure.partition(":")[0])
    (found,) = examine_opencv(surroundings({"load": answer}, here=here))
    assert (found.state, found.detail, found.fix) == ("broken", failure, fix)
