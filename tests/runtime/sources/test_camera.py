"""V4L2 cameras: what they offer, what they are set to, and why one cannot be used."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.sources import (
    Source,
    SourceOptions,
    camera,
    cameras,
    controls,
    grabber,
    open_source,
    v4l2,
)
from dmdd_edge.runtime.sources.cameras import CameraInfo, check_camera, list_cameras
from dmdd_edge.runtime.sources.v4l2 import Mode, V4l2Device
from tests.runtime.sources.reading import Reader, until
from tests.runtime.sources.simulated_v4l2 import CALLS, SimulatedCamera, SimulatedCapture, SimulatedControl

Read = Callable[[Source], Reader]

AUTO_EXPOSURE, EXPOSURE, EXPOSURE_PRIORITY = 0x009A0901, 0x009A0902, 0x009A0903
GAIN, AUTO_WHITE, WHITE, POWER_LINE = 0x00980913, 0x0098090C, 0x0098091A, 0x00980918


#: The controls that have an own option, in the order of their numbers in the code.
_CONTROL_NUMBERS = (
    "V4L2_CID_EXPOSURE_AUTO",
    "V4L2_CID_EXPOSURE_ABSOLUTE",
    "V4L2_CID_AUTOGAIN",
    "V4L2_CID_GAIN",
    "V4L2_CID_ANALOGUE_GAIN",
    "V4L2_CID_AUTO_WHITE_BALANCE",
    "V4L2_CID_WHITE_BALANCE_TEMPERATURE",
)


def usb_camera() -> SimulatedCamera:
    return SimulatedCamera(
        modes={
            "YUYV": {(640, 480): [(1, 30)], (1920, 1080): [(1, 5)]},
            "MJPG": {(640, 480): [(1, 60), (1, 30)], (1920, 1080): [(1, 30), (1001, 30000)]},
        },
        controls=[
            SimulatedControl(0x00980001, "User Controls", 6, 0, 0, 0, 0),
            SimulatedControl(AUTO_WHITE, "White Balance, Automatic", 2, 0, 1, 1, 1),
            SimulatedControl(GAIN, "Gain", 1, 0, 100, 1, 50),
            SimulatedControl(
                POWER_LINE, "Power Line Frequency", 3, 0, 2, 1, 1, {0: "Disabled", 1: "50 Hz", 2: "60 Hz"}
            ),
            SimulatedControl(
                WHITE, "White Balance Temperature", 1, 2800, 6500, 10, 4000, locked_by=(AUTO_WHITE, 0)
            ),
            SimulatedControl(
                AUTO_EXPOSURE, "Auto Exposure", 3, 0, 3, 1, 3, {1: "Manual Mode", 3: "Aperture Priority Mode"}
            ),
            SimulatedControl(
                EXPOSURE, "Exposure Time, Absolute", 1, 1, 5000, 1, 157, locked_by=(AUTO_EXPOSURE, 1)
            ),
        ],
    )


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, SimulatedCamera]:
    """The machine's cameras, by name; devices are plain files that the simulated ``ioctl`` knows."""
    present = {"video0": usb_camera()}
    for number in range(3):
        (tmp_path / f"video{number}").touch()

    def ioctl(descriptor: int, code: int, buffer: bytearray) -> int:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        if name not in present:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        call, layout = next((call, layout) for call, (number, layout) in CALLS.items() if number == code)
        assert len(buffer) == ctypes.sizeof(layout)
        data = layout.from_buffer(buffer)
        present[name].call(call, data)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(cameras, "DEVICES", tmp_path)
    monkeypatch.setattr(cv2, "VideoCapture", SimulatedCapture)
    monkeypatch.setattr(SimulatedCapture, "camera", present["video0"], raising=False)
    monkeypatch.setattr(SimulatedCapture, "frames", 1000)
    monkeypatch.setattr(SimulatedCapture, "opens", True)
    return present


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "video0")


def opened(path: str, **options: object) -> str:
    """Open it with these options, close it again: what it was found to be set to."""
    device = camera.Camera(path, SourceOptions(**options))  # type: ignore[arg-type]
    try:
        device.open(None)  # type: ignore[arg-type]
        return device.detail()
    finally:
        device.close()
        assert SimulatedCapture.live == []


def test_the_calls_are_those_of_the_kernels_headers(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").is_file():
        pytest.skip("no C compiler with the kernel's headers to compare with")
    structures = {
        "VIDIOC_QUERYCAP": "v4l2_capability",
        "VIDIOC_ENUM_FMT": "v4l2_fmtdesc",
        "VIDIOC_REQBUFS": "v4l2_requestbuffers",
        "VIDIOC_G_CTRL": "v4l2_control",
        "VIDIOC_S_CTRL": "v4l2_control",
        "VIDIOC_QUERYCTRL": "v4l2_queryctrl",
        "VIDIOC_QUERYMENU": "v4l2_querymenu",
        "VIDIOC_ENUM_FRAMESIZES": "v4l2_frmsizeenum",
        "VIDIOC_ENUM_FRAMEINTERVALS": "v4l2_frmivalenum",
    }
    numbers = "".join(
        f'printf("{call} %lu %lu\\n", (unsigned long){call}, (unsigned long)sizeof(struct {name}));'
        for call, name in structures.items()
    )
    ids = "".join(f'printf("{name} %lu 0\\n", (unsigned long){name});' for name in _CONTROL_NUMBERS)
    (tmp_path / "calls.c").write_text(
        f"#include <stdio.h>\n#include <linux/videodev2.h>\nint main(void) {{ {numbers} {ids} return 0; }}\n"
    )
    subprocess.run([compiler, "-o", tmp_path / "calls", tmp_path / "calls.c"], check=True)
    said = subprocess.run([tmp_path / "calls"], capture_output=True, text=True, check=True).stdout
    found = {line.split()[0]: [int(number) for number in line.split()[1:]] for line in said.splitlines()}
    for call, (code, layout) in CALLS.items():
        assert found[call] == [code, ctypes.sizeof(layout)], call
        assert getattr(v4l2, call.removeprefix("VIDIOC_")) == code
    assert [found[name][0] for name in _CONTROL_NUMBERS] == [
        controls._AUTO_EXPOSURE,
        controls._EXPOSURE,
        controls._AUTO_GAIN,
        controls._GAIN,
        controls._ANALOGUE_GAIN,
        controls._AUTO_WHITE,
        controls._WHITE,
    ]


def test_what_a_camera_offers(devices: dict[str, SimulatedCamera], path: str) -> None:
    with V4l2Device(path) as device:
        assert device.card() == "Line camera"
        assert not device.busy()
        assert device.modes() == [
            Mode("YUYV", 640, 480, (30.0,)),
            Mode("YUYV", 1920, 1080, (5.0,)),
            Mode("MJPG", 640, 480, (60.0, 30.0)),
            Mode("MJPG", 1920, 1080, (30.0, 30000 / 1001)),
        ]
        controls = device.controls()
        assert list(controls) == [
            "white_balance_automatic",
            "gain",
            "power_line_frequency",
            "white_balance_temperature",
            "auto_exposure",
            "exposure_time_absolute",
        ]
        assert controls["white_balance_temperature"].offers() == "2800 to 6500 in steps of 10"
        assert controls["auto_exposure"].offers() == "1 (Manual Mode), 3 (Aperture Priority Mode)"
        assert controls["gain"].offers() == "0 to 100"
        assert device.get(controls["gain"]) == 50


def test_a_camera_that_scales_in_steps_and_a_menu_of_numbers(
    devices: dict[str, SimulatedCamera], path: str
) -> None:
    scaling = devices["video0"]
    scaling.stepwise = (32, 1920, 2, 24, 1080, 2)
    scaling.controls = [
        SimulatedControl(0x009F0901, "Link Frequency", 9, 0, 1, 1, 0, {0: 5_000_000_000, 1: -7})
    ]
    with V4l2Device(path) as device:
        assert Mode("MJPG", 32, 24, (60.0, 1.0)) in device.modes()
        assert Mode("MJPG", 1920, 1080, (60.0, 1.0)) in device.modes()
        assert device.controls()["link_frequency"].offers() == "0 (5000000000), 1 (-7)"


def test_mjpg_is_asked_for_before_size_and_rate_and_all_is_read_back(
    devices: dict[str, SimulatedCamera], path: str
) -> None:
    assert opened(path) == "MJPG 640 x 480, 30 frames/s"
    detail = opened(path, camera_size=(1920, 1080), camera_fps=30)
    assert detail == "MJPG 1920 x 1080, 30 frames/s"
    assert [number for number, _ in SimulatedCapture.order] == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
    ]
    detail = opened(path, camera_size=(1920, 1080), camera_fps=120)
    assert detail == "MJPG 1920 x 1080, 30 frames/s (requested: 120)"
    del devices["video0"].modes["MJPG"][1920, 1080]
    assert opened(path, camera_size=(1920, 1080)).startswith("YUYV 1920 x 1080"), "MJPG lacks this size"


def test_a_size_that_the_camera_does_not_offer(devices: dict[str, SimulatedCamera], path: str) -> None:
    with pytest.raises(DmddError, match=r"(?s)--camera-size 800x600\..*640x480, 1920x1080"):
        opened(path, camera_size=(800, 600))


def test_exposure_gain_and_white_balance_are_locked(devices: dict[str, SimulatedCamera], path: str) -> None:
    detail = opened(
        path,
        exposure=5.0,
        gain=12,
        white_balance=4604,
        camera_controls=(("power_line_frequency", 2),),
    )
    assert detail == (
        "MJPG 640 x 480, 30 frames/s, exposure 5 ms, gain 12, white balance 4600 K, power_line_frequency 2"
    )
    values = {control.id: control.value for control in devices["video0"].controls}
    assert (values[AUTO_EXPOSURE], values[EXPOSURE]) == (1, 50)
    assert (values[AUTO_WHITE], values[WHITE], values[GAIN]) == (0, 4600, 12)


@pytest.mark.parametrize(
    ("options", "message", "fix"),
    [
        ({"exposure": 600.0}, r"(?s)--exposure 600\..*0\.1 to 500 ms", ""),
        ({"exposure": 0.01}, r"(?s)--exposure 0\.01\..*0\.1 to 500 ms", ""),
        ({"gain": 101}, r"(?s)--gain 101\..*0 to 100", ""),
        ({"white_balance": 200}, r"(?s)--white-balance 200\..*2800 to 6500 in steps of 10", ""),
        (
            {"camera_controls": (("power_line_frequency", 3),)},
            r"(?s)power_line_frequency 3\..*0 \(Disabled\), 1 \(50 Hz\), 2 \(60 Hz\)",
            "",
        ),
        (
            {"camera_controls": (("focus_absolute", 3),)},
            "does not support --camera-control focus_absolute",
            "Available: white_balance_automatic, gain, ",
        ),
        (
            {"camera_controls": (("exposure_time_absolute", 30),)},
            "cannot set exposure_time_absolute to 30: Permission denied",
            "An auto mode may be overriding it",
        ),
    ],
)
def test_what_the_camera_does_not_take_names_what_it_offers(
    devices: dict[str, SimulatedCamera], path: str, options: dict[str, object], message: str, fix: str
) -> None:
    with pytest.raises(DmddError, match=message) as caught:
        opened(path, **options)
    assert fix in caught.value.fix


def test_a_control_that_is_missing_or_does_not_hold(devices: dict[str, SimulatedCamera], path: str) -> None:
    controls = devices["video0"].controls
    next(control for control in controls if control.id == GAIN).sticks = True
    with pytest.raises(DmddError, match="gain was set to 10 but is 50"):
        opened(path, gain=10)
    controls[:] = [control for control in controls if control.id != EXPOSURE]
    with pytest.raises(DmddError, match=r"video0 does not support --exposure"):
        opened(path, exposure=5.0)


def test_the_cameras_of_the_machine(devices: dict[str, SimulatedCamera], tmp_path: Path) -> None:
    devices["video1"] = SimulatedCamera("Line camera", captures=False)
    devices["video2"] = SimulatedCamera("Other camera", busy=True)
    assert list_cameras() == [
        CameraInfo(str(tmp_path / "video0"), "Line camera"),
        CameraInfo(str(tmp_path / "video2"), "Other camera", "in use"),
    ]


def test_why_a_camera_cannot_be_had(devices: dict[str, SimulatedCamera], tmp_path: Path) -> None:
    devices["video1"] = SimulatedCamera("Metadata", captures=False)
    there_is = f"Available: {tmp_path}/video0 (Line camera)"
    for name, message in (
        ("video7", "No camera at .*video7"),
        ("video1", "video1 does not capture video"),
        ("video2", "video2 is not a camera"),
    ):
        with pytest.raises(DmddError, match=message) as caught:
            check_camera(str(tmp_path / name))
        assert caught.value.fix == there_is
    devices["video0"].busy = True
    with pytest.raises(DmddError, match="video0 is in use by another program"):
        check_camera(str(tmp_path / "video0"))
    devices.clear()
    with pytest.raises(DmddError, match="No camera at") as caught:
        check_camera(str(tmp_path / "video7"))
    assert caught.value.fix.startswith("No camera was found")


def test_a_busy_camera_names_who_uses_it(devices: dict[str, SimulatedCamera], path: str) -> None:
    devices["video0"].busy = True
    with subprocess.Popen(["sleep", "60"], stdin=Path(path).open()) as other:
        try:
            until(lambda: Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n")
            with pytest.raises(DmddError, match=rf"is in use: sleep \(process {other.pid}\)"):
                check_camera(path)
        finally:
            other.kill()


def test_a_camera_that_may_not_be_opened(
    devices: dict[str, SimulatedCamera], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DmddError, match="This user may not open") as caught:
        check_camera(path)
    assert "group video" in caught.value.fix
    assert list_cameras()[0].problem == "no permission"


def test_a_camera_that_does_not_open(
    devices: dict[str, SimulatedCamera], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedCapture, "opens", False)
    with pytest.raises(DmddError, match="does not open"):
        camera.Camera(path, SourceOptions()).open(None)  # type: ignore[arg-type]


def test_a_camera_that_is_unplugged_and_plugged_in_again(
    devices: dict[str, SimulatedCamera], path: str, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grabber, "BACK_OFF", (0.01, 0.01))
    monkeypatch.setattr(Path, "is_char_device", lambda self: self.name == "video0")
    source = open_source(path, SourceOptions(gain=7))
    reader = read(source)
    reader.wait_for(1)
    plugged = devices.pop("video0")
    monkeypatch.setattr(SimulatedCapture, "frames", 0)
    until(lambda: "is not a camera" in source.state().message)
    plugged.controls[2].value = 0
    monkeypatch.setattr(SimulatedCapture, "frames", 1_000_000)
    devices["video0"] = plugged
    reader.wait_for(len(reader.frames) + 1)
    until(lambda: source.state().reconnects >= 1)
    assert plugged.controls[2].value == 7, "what was set is set again"
    assert source.state().detail.endswith("gain 7")
    reader.stop()
    until(lambda: SimulatedCapture.live == [])


def test_an_index_is_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DmddError, match="No camera at /dev/video97"):
        open_source("97")
    with pytest.raises(DmddError, match="No camera at /dev/video97"):
        open_source("/dev/video97")
