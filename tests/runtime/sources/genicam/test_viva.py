"""GenICam cameras through viva-genicam, against its simulated GigE Vision camera."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest

from dmdd_edge.errors import OptionError, SourceError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import Source, grabber, open_source
from dmdd_edge.runtime.sources.genicam import device as device_module
from dmdd_edge.runtime.sources.genicam.device import GenicamDevice
from dmdd_edge.runtime.sources.live import LiveSource
from dmdd_edge.runtime.sources.live_device import TriggerDevice
from dmdd_edge.runtime.sources.options import SourceOptions
from tests.runtime.sources.genicam.cameras import VIVA_SERIAL, needs_viva, viva_camera

pytestmark = needs_viva
VIVA = SourceOptions(genicam_driver="viva")
SOFTWARE = f"genicam://{VIVA_SERIAL}?TriggerMode=On&TriggerSource=Software"


def _until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    waiting = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        waiting.wait(0.02)
    pytest.fail("this took too long")


def _fire(source: Source) -> None:
    assert isinstance(source, LiveSource)
    device = source._device
    assert isinstance(device, TriggerDevice)
    device.fire()


def test_frames_come_with_the_camera_s_numbers_and_times() -> None:
    with viva_camera(pixel_format="BayerRG8"):
        source = open_source(f"genicam://{VIVA_SERIAL}", VIVA)
        frames = list(islice(source, 3))

    assert all(isinstance(frame, Frame) for frame in frames)
    assert {frame.source for frame in frames} == {f"genicam://{VIVA_SERIAL}"}
    for values in ([frame.frame_id for frame in frames], [frame.device_time_ns for frame in frames]):
        assert values == sorted(set(values))
    assert frames[0].image.shape == (48, 64, 3)
    detail = source.state().detail
    assert detail.startswith("viva-genicam FakeGigE by viva ")
    assert "BayerRG8 64 x 48 (converted by this machine; PixelFormat=Mono8 costs it less" in detail


@pytest.mark.parametrize("pixel_format", ["Mono8", "Mono12p", "RGB8"])
def test_the_picture_is_the_one_that_the_camera_sent(pixel_format: str) -> None:
    from viva_genicam import connect_gige

    with viva_camera(pixel_format=pixel_format) as camera:
        with connect_gige(camera.device_info()) as other:
            other.set("TriggerMode", "On")
            other.set("TriggerSource", "Software")
            with other.stream() as stream:
                other.execute("TriggerSoftware")
                sent = stream.next_frame(timeout_ms=30_000).to_numpy()
        device = GenicamDevice(SOFTWARE, VIVA)
        device.open(threading.Event())
        device.fire()
        device.grab(threading.Event())  # the first of an acquisition is always the same picture
        image = device.retrieve()
        assert device.stamp().frame_id == 1
        device.close()

    assert image.dtype == np.uint8
    if pixel_format == "RGB8":
        assert np.array_equal(image, sent[:, :, ::-1])
    else:
        gray = sent >> 4 if pixel_format == "Mono12p" else sent
        assert np.array_equal(image, np.stack([gray] * 3, axis=-1))
    assert image.min() < image.max()


def test_settings_reach_the_camera_and_are_read_back() -> None:
    with viva_camera() as camera:
        source = open_source("genicam://?ExposureTime=2000.5&Width=32&Gain=6", VIVA)
        exposure = camera.peek(camera.REGISTERS["ExposureTime"], 8)
        frame = next(iter(source))
        source.stop()
    assert 2000.5 in (struct.unpack(">d", exposure)[0], struct.unpack("<d", exposure)[0])
    assert "ExposureTime 2000.5 us, Gain 6" in source.state().detail
    assert frame.image.shape == (48, 32, 3)


def test_each_software_trigger_gives_one_frame_and_none_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with viva_camera() as camera:
        device = GenicamDevice(SOFTWARE, VIVA)
        device.open(threading.Event())
        assert device.armed
        numbers = []
        for _ in range(20):
            device.fire()
            device.grab(threading.Event())
            assert device.retrieve().shape == (48, 64, 3)
            numbers.append(device.stamp().frame_id)
        device.close()
        assert numbers == list(range(numbers[0], numbers[0] + 20))
        assert camera.software_triggers() == 20

        monkeypatch.setattr(grabber, "STALE_AFTER", 0.0)
        source = open_source(SOFTWARE, VIVA)
        frames = iter(source)
        _fire(source)
        assert isinstance(next(frames), Frame)
        _until(lambda: (source.state().frame_age or 0) > 0.5)
        state = source.state()
        assert (state.connected, state.triggered, state.message) == (True, True, "")
        source.stop()


def test_incomplete_frames_are_broken_and_counted() -> None:
    lost = [(block, 1) for block in (4, 6)]
    with viva_camera(packet_resend=False, drop_packets=lost, width=128, height=64) as camera:
        device = GenicamDevice(SOFTWARE, VIVA)
        device.open(threading.Event())
        outcome = []
        for _ in range(8):
            device.fire()
            device.grab(threading.Event())
            try:
                outcome.append(device.retrieve().shape)
            except SourceError as error:
                outcome.append(error.message.partition(": ")[2])
        device.close()
        assert camera.blocks_sent() == 8
    good = (64, 128, 3)
    broken = "frame {} is incomplete: 1 packets were lost."
    assert outcome == [good, good, good, broken.format(4), good, broken.format(6), good, good]


def test_a_run_gets_a_broken_frame_for_an_incomplete_one() -> None:
    lost = [(block, 1) for block in range(3, 2000)]
    with viva_camera(packet_resend=False, drop_packets=lost, width=128, height=64):
        source = open_source(f"genicam://{VIVA_SERIAL}", VIVA)
        broken = [frame for frame in islice(source, 6) if isinstance(frame, BrokenFrame)]
        source.stop()
    assert len(broken) >= 4
    assert "incomplete: 1 packets were lost" in broken[0].error.message


def test_a_camera_that_was_gone_is_set_up_anew() -> None:
    from tests.runtime.sources.genicam.cameras import started

    lines: list[str] = []
    with viva_camera() as camera:
        source = open_source(
            f"genicam://{VIVA_SERIAL}?ExposureTime=1234&TriggerMode=On&TriggerSource=Software", VIVA
        )
        source.say = lines.append
        frames = iter(source)
        _fire(source)
        first = next(frames)
        camera.stop()
        _until(lambda: not source.state().connected)
        started(camera.start)
        # Its state is that of a new camera; only the source can have switched the trigger on.
        _until(lambda: camera.peek(camera.REGISTERS["TriggerMode"], 4) == b"\x00\x00\x00\x01")
        got: list[Frame | BrokenFrame] = []
        reader = threading.Thread(target=lambda: got.append(next(frames)), daemon=True)
        reader.start()

        def fired() -> bool:
            try:
                _fire(source)
            except SourceError:
                return False
            return bool(got)

        _until(fired)
        reader.join()
        state = source.state()
        source.stop()
    assert isinstance(first, Frame)
    assert isinstance(got[0], Frame)
    assert state.reconnects == 1
    assert state.connected
    assert "ExposureTime 1234 us" in state.detail
    assert lines[0] == f"genicam://{VIVA_SERIAL} does not answer any more; reconnecting."
    assert lines[1].startswith(f"genicam://{VIVA_SERIAL}: reconnected after")


def test_a_camera_in_use_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "_IN_USE", 0.0)
    with viva_camera():
        first = open_source(f"genicam://{VIVA_SERIAL}", VIVA)
        with pytest.raises(SourceError, match="another program controls it"):
            open_source(f"genicam://{VIVA_SERIAL}", VIVA)
        first.stop()
        list(first)
        open_source(f"genicam://{VIVA_SERIAL}", VIVA).stop()


def test_an_unknown_serial_number_lists_the_cameras_there_are() -> None:
    with viva_camera():
        with pytest.raises(SourceError) as caught:
            open_source("genicam://VIVA-FAKE-002", VIVA)
        # By its address, too.
        open_source("genicam://127.0.0.1", VIVA).stop()
    assert caught.value.message == "No GenICam camera with the serial number VIVA-FAKE-002 was found."
    assert "genicam://VIVA-FAKE-001 (viva-genicam FakeGigE, 127.0.0.1)" in caught.value.fix


def test_options_that_a_camera_of_this_kind_has_not_are_refused() -> None:
    with pytest.raises(SourceError, match="--white-balance applies to a camera only"):
        open_source("genicam://1", SourceOptions(white_balance=4000))
    with pytest.raises(OptionError, match="--genicam-driver"):
        SourceOptions(genicam_driver="vivo")


def test_a_format_that_the_camera_s_own_list_leaves_out_is_no_error() -> None:
    with viva_camera(pixel_format="Mono12p"):
        source = open_source(f"genicam://{VIVA_SERIAL}", VIVA)
        frame = next(iter(source))
        source.stop()
    assert frame.image.shape == (48, 64, 3)
    assert "a pixel format that the camera does not name" in source.state().detail
