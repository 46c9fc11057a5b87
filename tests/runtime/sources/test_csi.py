"""CSI cameras: the pipeline, and the messages where OpenCV cannot run one."""

from __future__ import annotations

import threading
from typing import ClassVar

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.sources import SourceOptions, csi, open_source

BUILT_WITH = "  Video I/O:\n    FFMPEG:                      YES\n    GStreamer:                   {}\n"


class Capture:
    """A pipeline that gives three frames."""

    pipelines: ClassVar[list[str]] = []

    def __init__(self, pipeline: str, backend: int) -> None:
        assert backend == cv2.CAP_GSTREAMER
        self.pipelines.append(pipeline)
        self.left = 3

    def isOpened(self) -> bool:  # noqa: N802
        return "sensor-id=9 " not in self.pipelines[-1]

    def get(self, number: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0}[number]

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        return True, np.full((48, 64, 3), self.left, np.uint8)

    def release(self) -> None:
        pass


@pytest.fixture
def gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: BUILT_WITH.format("YES (1.20.3)"))
    monkeypatch.setattr(cv2, "VideoCapture", Capture)


def test_without_gstreamer_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: BUILT_WITH.format("NO"))
    with pytest.raises(DmddError, match="csi://0 needs an OpenCV with GStreamer") as caught:
        open_source("csi://0")
    assert "pip uninstall opencv-python" in caught.value.fix
    assert "--no-deps" in caught.value.fix


def test_this_opencv_says_whether_it_has_gstreamer() -> None:
    line = next(line for line in cv2.getBuildInformation().splitlines() if "GStreamer" in line)
    assert csi.has_gstreamer() == ("YES" in line)


def test_the_pipeline() -> None:
    assert csi.pipeline(1, SourceOptions()) == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM) ! nvvidconv ! video/x-raw,format=BGRx"
        " ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )
    options = SourceOptions(camera_size=(1920, 1080), camera_fps=29.97, exposure=2.5, gain=4)
    assert csi.pipeline(0, options).startswith(
        'nvarguscamerasrc sensor-id=0 exposuretimerange="2500000 2500000" gainrange="4 4"'
        ' ispdigitalgainrange="1 1" ! video/x-raw(memory:NVMM),width=1920,height=1080,framerate=2997/100 ! '
    )
    assert "framerate=30/1 " in csi.pipeline(0, SourceOptions(camera_fps=30))


@pytest.mark.usefixtures("gstreamer")
@pytest.mark.parametrize("answer", [(False, None), (True, None), (True, np.empty((0, 0, 3), np.uint8))])
def test_a_frame_without_a_picture_is_damaged(
    answer: tuple[bool, NDArray[np.uint8] | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Capture, "retrieve", lambda self: answer)
    camera = csi.CsiCamera("csi://0", SourceOptions())
    camera.open(threading.Event())
    camera.grab(threading.Event())
    with pytest.raises(DmddError, match="csi://0: cannot decode a damaged frame"):
        camera.retrieve()
    camera.close()


@pytest.mark.usefixtures("gstreamer")
def test_frames_of_a_csi_camera() -> None:
    source = open_source("csi://2", SourceOptions(exposure=1.0))
    assert source.state().detail == "64 x 48"
    frame = next(iter(source))
    assert isinstance(frame, Frame)
    assert frame.image.shape == (48, 64, 3)
    assert frame.name.startswith("csi2/")
    source.stop()
    assert "sensor-id=2 exposuretimerange" in Capture.pipelines[-1]


@pytest.mark.usefixtures("gstreamer")
def test_a_csi_camera_that_does_not_open() -> None:
    with pytest.raises(DmddError, match="csi://9 does not open") as caught:
        open_source("csi://9")
    assert "gst-launch-1.0 'nvarguscamerasrc sensor-id=9 ! " in caught.value.fix


@pytest.mark.parametrize("source", ["csi://", "csi://front", "csi://-1"])
def test_a_csi_address_that_is_written_otherwise(source: str) -> None:
    with pytest.raises(DmddError, match="is not a camera"):
        open_source(source)
