"""The device itself, on a camera in memory: lost frames, losses, which camera, which driver."""

from __future__ import annotations

import builtins
import sys
import threading
from typing import Any

import pytest

from dmdd_edge.errors import BackendError, DmddError, OptionError, SourceError
from dmdd_edge.runtime.sources import genicam
from dmdd_edge.runtime.sources.devices import make_device
from dmdd_edge.runtime.sources.genicam import device as device_module
from dmdd_edge.runtime.sources.genicam import open_driver
from dmdd_edge.runtime.sources.genicam.device import GenicamDevice
from dmdd_edge.runtime.sources.genicam.interface import Feature, RawFrame
from dmdd_edge.runtime.sources.live_device import LostError, TriggerDevice
from dmdd_edge.runtime.sources.options import SourceOptions
from tests.runtime.sources.genicam.scripted import ScriptedCamera, ScriptedDriver

_MONO8 = 0x01080001


def picture(number: int | None, gray: int = 7, problem: str = "") -> RawFrame:
    return RawFrame(bytes([gray]) * 256, 16, 16, 0, _MONO8, number, 1000 * (number or 0), problem)


def camera(*frames: RawFrame | None, trigger: str = "On", source: str = "Software") -> ScriptedCamera:
    return ScriptedCamera(
        [
            Feature("PixelFormat", "enumeration", "Mono8", entries=("Mono8", "BayerRG8", "Mono1p")),
            Feature("Width", "integer", 16, minimum=16, maximum=100),
            Feature("Height", "integer", 16, minimum=16, maximum=100),
            Feature("GevSCPSPacketSize", "integer", 1500, minimum=576, maximum=9000),
            Feature("ExposureTime", "float", 5000.0, minimum=10, maximum=1e6, unit="us"),
            Feature("TriggerMode", "enumeration", trigger, entries=("On", "Off")),
            Feature("TriggerSource", "enumeration", source, entries=("Line1", "Software")),
            Feature("TriggerSoftware", "command"),
            Feature("TLParamsLocked", "integer", 0, minimum=0, maximum=1),
            Feature("AcquisitionStop", "command"),
        ],
        list(frames),
    )


def opened(
    driver: ScriptedDriver, monkeypatch: pytest.MonkeyPatch, query: str = "genicam://", **options: Any
) -> GenicamDevice:
    monkeypatch.setattr(device_module, "open_driver", lambda name: (driver, ""))
    device = GenicamDevice(query, SourceOptions(**options))
    device.open(threading.Event())
    return device


def outcomes(device: GenicamDevice, count: int) -> list[object]:
    """What each of so many grabs gives: the camera's number of a frame, or why there is no image."""
    found: list[object] = []
    for _ in range(count):
        device.grab(threading.Event())
        try:
            device.retrieve()
            found.append(device.stamp().frame_id)
        except SourceError as error:
            found.append(error.message.removeprefix(f"{device.name}: "))
    return found


LOST = "a frame never arrived; its number is missing."


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([5, 6, 9, 10], [5, 6, LOST, LOST, 9, 10]),  # the first number is any
        ([65534, 65535, 1, 2], [65534, 65535, 1, 2]),  # GigE Vision 1 leaves 0 out
        ([65534, 2], [65534, LOST, LOST, 2]),
        ([70000, 70002], [70000, LOST, 70002]),
        ([4, 0, 1], [4, 0, 1]),  # counted from the start again
        ([0, 0, 0], [0, 0, 0]),  # a camera that does not number
        ([None, None], [None, None]),
        ([1, 5000, 5001], [1, 5000, 5001]),
    ],
)
def test_each_frame_that_never_arrived_is_a_broken_one_in_its_place(
    numbers: list[int | None], expected: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = opened(ScriptedDriver(camera(*map(picture, numbers))), monkeypatch)
    assert outcomes(device, len(expected)) == expected


def test_an_incomplete_frame_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    device = opened(
        ScriptedDriver(camera(picture(1), picture(2, problem="3 packets were lost"))), monkeypatch
    )
    assert outcomes(device, 2) == [1, "frame 2 is incomplete: 3 packets were lost."]
    assert device.stamp().frame_id == 2


def test_a_camera_that_waits_for_triggers_may_be_silent_as_long_as_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = [None] * 50
    device = opened(ScriptedDriver(camera(*silent, picture(1))), monkeypatch, stream_timeout=1e-9)
    assert isinstance(device, TriggerDevice)
    assert device.armed
    assert outcomes(device, 1) == [1]
    with pytest.raises(LostError, match="genicam://A1 does not answer any more"):
        device.grab(threading.Event())


def test_a_camera_that_runs_freely_is_lost_when_no_frame_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    device = opened(ScriptedDriver(camera(*[None] * 9, trigger="Off")), monkeypatch, stream_timeout=1e-9)
    assert not device.armed
    with pytest.raises(LostError, match="genicam://A1 sent no frame for 1e-09 s"):
        device.grab(threading.Event())


def test_after_a_loss_the_same_camera_is_found_and_set_up_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras = camera(picture(8)), camera(picture(1), picture(2))
    driver = ScriptedDriver(*cameras)
    device = opened(driver, monkeypatch, "genicam://?ExposureTime=70&GevSCPSPacketSize=1400")
    assert device.name == "genicam://A1"
    assert outcomes(device, 1) == [8]
    device.close()
    assert cameras[0].closed
    driver.serials = ("B2",)  # another one in its place
    with pytest.raises(SourceError, match="No GenICam camera with the serial number A1"):
        device.open(threading.Event())
    driver.serials = ("B2", "A1")
    device.open(threading.Event())
    assert outcomes(device, 2) == [1, 2]  # no gap between two acquisitions
    for one in cameras:
        assert one.done == ["GevSCPSPacketSize=1400", "ExposureTime=70.0"] or one.done == [
            *("ExposureTime=70.0", "GevSCPSPacketSize=1400")
        ]
        assert one.keep_packet_size is True


def test_an_acquisition_that_a_crashed_program_left_is_ended_first(monkeypatch: pytest.MonkeyPatch) -> None:
    left = camera(picture(1))
    left.features["TLParamsLocked"] = Feature("TLParamsLocked", "integer", 1)
    device = opened(ScriptedDriver(left), monkeypatch, "genicam://A1?Width=32")
    assert left.done == ["AcquisitionStop", "TLParamsLocked=0", "Width=32"]
    assert left.keep_packet_size is False
    device.close()


def test_a_trigger_that_the_camera_would_not_hear_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = camera()
    opened(ScriptedDriver(listening), monkeypatch).fire()
    assert listening.done == ["TriggerSoftware"]
    for one, reason in (
        (camera(source="Line1"), "TriggerSource is Line1"),
        (camera(trigger="Off"), "TriggerMode is Off"),
    ):
        device = opened(ScriptedDriver(one), monkeypatch)
        with pytest.raises(SourceError, match=f"cannot be triggered by software: {reason}"):
            device.fire()
        device.close()
        with pytest.raises(SourceError, match="is not connected"):
            device.fire()


def test_a_format_that_cannot_be_converted_is_refused_before_the_camera_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = camera()
    with pytest.raises(SourceError) as caught:
        opened(ScriptedDriver(one), monkeypatch, "genicam://A1?PixelFormat=Mono1p")
    assert caught.value.message == "genicam://A1: the pixel format Mono1p is not supported."
    assert caught.value.fix == "Choose another with PixelFormat=...: Mono8, BayerRG8."
    assert (one.done, one.closed) == ([], True)


def test_a_mosaic_says_once_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    device = opened(ScriptedDriver(camera()), monkeypatch, "genicam://A1?PixelFormat=BayerRG8")
    assert device.detail().count("converted by this machine; PixelFormat=Mono8 costs it less") == 1
    device = opened(ScriptedDriver(camera()), monkeypatch)
    assert "converted" not in device.detail()
    assert device.detail().startswith("Vendor Model by scripted 1, Mono8 16 x 16")
    assert device.detail().endswith("waits for triggers")


@pytest.mark.parametrize(
    ("serials", "source", "message", "fix"),
    [
        ((), "genicam://", "No GenICam camera was found.", "Check its power"),
        ((), "genicam://A1", "No GenICam camera with the serial number A1 was found.", "Check its power"),
        (
            ("A1", "B2"),
            "genicam://",
            "2 GenICam cameras were found, and genicam:// names none of them.",
            "genicam://A1 (Vendor Model, 10.0.0.0); genicam://B2 (Vendor Model, 10.0.0.1)",
        ),
        (
            ("40012345", "7"),
            "genicam://40012354",
            "No GenICam camera with the serial number 40012354 was found.",
            "Did you mean '40012345'? Found: genicam://40012345",
        ),
        (
            ("A1", "A1"),
            "genicam://A1",
            "2 GenICam cameras have the serial number A1.",
            "Name one by its address: genicam://10.0.0.0, genicam://10.0.0.1.",
        ),
    ],
)
def test_which_camera_is_meant(
    serials: tuple[str, ...], source: str, message: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError) as caught:
        opened(ScriptedDriver(camera(), serials=serials), monkeypatch, source)
    assert caught.value.message == message
    assert fix in caught.value.fix


def _without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] in missing]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def imported(name: str, *arguments: Any, **more: Any) -> Any:
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", imported)


@pytest.mark.parametrize(("machine", "command"), [("x86_64", "[genicam]"), ("aarch64", "sudo apt install")])
def test_without_a_library_the_error_says_what_to_install(
    machine: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without(monkeypatch, "viva_genicam", "gi")
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(BackendError) as caught:
        make_device("genicam://A1", SourceOptions())
    assert "viva-genicam is not installed." in caught.value.message
    assert "Aravis is not available: PyGObject (gi) is not installed." in caught.value.message
    assert caught.value.fix.startswith("Install")
    assert command in caught.value.fix
    assert "gir1.2-aravis-0.8" in caught.value.fix


def test_the_driver_is_chosen_and_the_reason_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> ScriptedDriver:
        raise BackendError("viva-genicam is not installed.", "Install it.")

    monkeypatch.setattr(genicam, "_DRIVERS", {"viva": missing, "aravis": ScriptedDriver})
    driver, reason = open_driver()
    assert isinstance(driver, ScriptedDriver)
    assert reason == "viva-genicam is not installed."
    with pytest.raises(DmddError, match="viva-genicam is not installed"):
        open_driver("viva")
    with pytest.raises(OptionError, match="--genicam-driver 'arvis' is unknown") as caught:
        open_driver("arvis")
    assert "Did you mean 'aravis'?" in caught.value.fix
