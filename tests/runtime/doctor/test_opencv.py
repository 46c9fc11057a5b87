from __future__ import annotations

from collections.abc import Callable

import cv2
import pytest

from dmdd_edge.runtime.doctor import opencv
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.opencv import built_in, examine_opencv
from dmdd_edge.runtime.doctor.subprocess_call import Reply

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
    for _, entry, _ in opencv._BACKENDS.values():
        assert f"{entry}:" in build
    # OpenCV's registry agrees where it has an answer.
    assert bool(built_in(build, "v4l/v4l2")) == cv2.videoio_registry.hasBackend(cv2.CAP_V4L2)


@pytest.fixture
def examine(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Finding]]:
    """Examine an OpenCV with this build information; findings by name."""
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)

    def run(build: str, platform: Platform | None = None, window: Reply | None = None) -> dict[str, Finding]:
        given = {
            "load": {"version": "4.12.0", "path": "/x", "build": build},
            "open_window": window or Reply(value=None),
        }
        context = make_context(given, platform=platform)
        return {finding.name.removeprefix("opencv."): finding for finding in examine_opencv(context)}

    return run


def test_gstreamer_matters_on_a_jetson_only(examine: Callable[..., dict[str, Finding]]) -> None:
    assert examine(FROM_JETPACK)["gstreamer"].state == "ok"
    elsewhere = examine(FROM_PIP)["gstreamer"]
    assert (elsewhere.state, elsewhere.fix) == (
        "missing",
        "Nothing to install: only a Jetson has csi:// cameras.",
    )
    on_jetson = examine(FROM_PIP, platform=Platform(jetson="NVIDIA Jetson Orin"))["gstreamer"]
    assert on_jetson.fix == (
        "python -m pip uninstall --yes opencv-python && sudo apt install python3-opencv; "
        "install dmdd-edge itself with --no-deps"
    )


def test_a_window_needs_a_build_with_one_and_a_display(
    examine: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert examine(HEADLESS)["window"].detail == "a headless build, which cannot open windows"
    without = examine(FROM_PIP)["window"]
    assert (without.state, without.detail) == ("missing", "QT5, but no display (DISPLAY is not set)")
    monkeypatch.setenv("DISPLAY", ":99")
    assert examine(FROM_PIP)["window"].detail == "QT5, on display :99"
    # Qt terminates a process without a display; the reply has its last line.
    fallen = examine(FROM_PIP, window=Reply(failure="it crashed (SIGABRT): no Qt platform", kind="crash"))
    assert fallen["window"].state == "missing"
    assert (
        fallen["window"].detail == "cannot open a window on display :99: it crashed (SIGABRT): no Qt platform"
    )


@pytest.mark.parametrize(
    ("failure", "platform", "fix"),
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
    make_context: Callable[..., Context],
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
    platform: Platform,
    fix: str,
) -> None:
    monkeypatch.setattr(opencv, "version_of", lambda name: "4.12.0" if name == "opencv-python" else "")
    reply = Reply(failure=failure, kind=failure.partition(":")[0])
    (found,) = examine_opencv(make_context({"load": reply}, platform=platform))
    assert (found.state, found.detail, found.fix) == ("broken", failure, fix)
