"""A real V4L2 device: ``vivid``, the kernel's virtual camera. ``make test-camera`` runs this where it is.

What only a driver can show: that size and rate are what the device has, that controls reach it, that a second
program learns who uses it, and that a camera which is unplugged comes back.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.doctor.cameras import examine_cameras
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.doctor.subprocess_call import Reply, call
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.sources import open_source
from dmdd_edge.runtime.sources.camera import Camera
from dmdd_edge.runtime.sources.cameras import check_camera, list_cameras
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.v4l2 import V4l2Device
from dmdd_edge.runtime.station.cameras import Camera as StationCamera
from dmdd_edge.runtime.station.settings import CameraSettings

#: Seconds for what takes a moment on a real machine; the guest's processor is emulated.
PATIENCE = 600
DRIVER = Path("/sys/bus/platform/drivers/vivid")
#: Values of vivid's control test_pattern.
BLACK, WHITE, RED, BLUE = 5, 6, 7, 9
#: Its control osd_text_mode: no writing over the image.
NO_TEXT = 2


@pytest.fixture(scope="session")
def camera() -> str:
    """The device of a vivid camera; skips without one."""
    for found in list_cameras():
        if found.name.startswith("vivid") and not found.problem:
            return found.path
    pytest.skip("no vivid camera on this machine; make test-camera boots a guest that has one")


@pytest.fixture(scope="session")
def models(camera: str) -> Path:
    """The folder of a bundle; skips without one."""
    folder = os.environ.get("DMDD_CAMERA_MODELS")
    if not folder:
        pytest.skip("DMDD_CAMERA_MODELS names no folder of bundles; make test-camera makes one")
    return Path(folder)


@pytest.fixture
def command(program: list[str], models: Path, camera: str) -> list[str]:
    """``dmdd-edge run --json`` on the camera, to be added to; small and slow, as an emulated processor is."""
    asked = ["run", "--models-dir", str(models), "--source", camera, "--backend", "cpu", "--json"]
    return [*program, *asked, "--camera-size", "640x360", "--camera-fps", "10"]


@pytest.fixture
def run(command: list[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run it to its end."""

    def go(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    return go


@contextmanager
def going(command: list[str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[int], None]]]:
    """A run that continues meanwhile, and a way to wait until it has written this number of lines."""
    with log.open("wb") as out, log.with_suffix(".err").open("wb") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors)

        def until(count: int) -> None:
            deadline = time.monotonic() + PATIENCE
            while log.read_bytes().count(b"\n") < count:
                assert process.poll() is None, log.with_suffix(".err").read_text()
                assert time.monotonic() < deadline, f"no {count} lines in {PATIENCE} s"
                time.sleep(0.05)

        try:
            yield process, until
        finally:
            process.kill()
            process.wait()


def lines_of(text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The result lines and the summary, which is the last."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["type"] for line in lines] == ["result"] * (len(lines) - 1) + ["summary"]
    return lines[:-1], lines[-1]


def test_fifty_frames(run: Callable[..., subprocess.CompletedProcess[str]], camera: str) -> None:
    done = run("--limit", 50)
    assert done.returncode == 0, done.stderr
    results, summary = lines_of(done.stdout)
    assert len(results) == summary["frames"] == 50
    assert [result["index"] for result in results] == list(range(50))
    assert {result["source"] for result in results} == {camera}
    times = [datetime.fromisoformat(result["time"].replace("Z", "+00:00")) for result in results]
    assert all(before < after for before, after in pairwise(times))
    assert sum(result["dropped"] for result in results) <= summary["dropped"]
    assert summary["skipped"] == 0
    print(f"\n{summary}\n{done.stderr}")


def test_size_and_rate_are_what_the_device_has(camera: str) -> None:
    source = open_source(camera, SourceOptions(camera_size=(640, 360), camera_fps=15))
    try:
        width, height, fourcc, rate = mode_of(camera)
        assert (width, height, rate) == (640, 360, 15)
        assert source.state().detail == f"{fourcc} 640 x 360, 15 frames/s"
        frame = next(iter(source))
        assert isinstance(frame, Frame)
        assert frame.image.shape == (360, 640, 3)
        assert (source.state().width, source.state().height) == (640, 360)
    finally:
        source.stop()


def mode_of(path: str) -> tuple[int, int, str, float]:
    """Width, height, format and frames per second, as the driver reports (VIDIOC_G_FMT, VIDIOC_G_PARM)."""
    form, rate = bytearray(208), bytearray(204)
    for answer in (form, rate):
        struct.pack_into("=I", answer, 0, 1)  # of capturing
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.ioctl(handle, 0xC0D05604, form)
        fcntl.ioctl(handle, 0xC0CC5615, rate)
    finally:
        os.close(handle)
    width, height, pixels = struct.unpack_from("=II4s", form, 8)
    seconds, frames = struct.unpack_from("=II", rate, 12)
    return width, height, pixels.decode(), frames / seconds


def test_a_size_that_it_does_not_offer(
    run: Callable[..., subprocess.CompletedProcess[str]], camera: str
) -> None:
    done = run("--limit", 1, "--camera-size", "1000x700")
    assert done.returncode == 1
    assert f"--camera-size is 1000x700; {camera} offers 320x180, 640x360, 640x480, 1280x720" in done.stderr


def test_controls_reach_the_driver(run: Callable[..., subprocess.CompletedProcess[str]], camera: str) -> None:
    done = run("--limit", 2, "--gain", 50, "--camera-control", "brightness=200")
    assert done.returncode == 0, done.stderr
    with V4l2Device(camera) as device:
        controls = device.controls()
        now = {name: device.get(controls[name]) for name in ("gain", "gain_automatic", "brightness")}
        device.set(controls["brightness"], controls["brightness"].default)
    assert now == {"gain": 50, "gain_automatic": 0, "brightness": 200}


def test_a_control_that_it_lacks(run: Callable[..., subprocess.CompletedProcess[str]], camera: str) -> None:
    done = run("--limit", 1, "--exposure", 10)
    assert done.returncode == 1
    assert f"{camera} does not support --exposure." in done.stderr


@pytest.mark.parametrize(("pattern", "reason"), [(BLACK, "too dark"), (WHITE, "too bright")])
def test_what_the_camera_sees_is_what_is_judged(
    run: Callable[..., subprocess.CompletedProcess[str]], pattern: int, reason: str
) -> None:
    controls = ["--camera-control", f"osd_text_mode={NO_TEXT}", "--camera-control", f"test_pattern={pattern}"]
    done = run("--limit", 3, *controls)
    assert done.returncode == 0, done.stderr
    results, _ = lines_of(done.stdout)
    assert [result["status"] for result in results] == ["unreliable"] * 3
    assert all(result["reason"].startswith(reason) for result in results)


@pytest.mark.parametrize(("pattern", "channel"), [(BLUE, 0), (RED, 2)])
def test_the_colour_order_is_bgr(camera: str, pattern: int, channel: int) -> None:
    wanted = (("osd_text_mode", NO_TEXT), ("test_pattern", pattern))
    source = open_source(camera, SourceOptions(camera_controls=wanted))
    try:
        frame = next(iter(source))
        assert isinstance(frame, Frame)
        levels = cv2.mean(frame.image)[:3]
    finally:
        source.stop()
    assert [level > 200 for level in levels] == [index == channel for index in range(3)], levels


def test_the_driver_stamps_a_frame_before_it_waits_in_a_buffer(camera: str) -> None:
    device, stop = Camera(camera, SourceOptions(camera_size=(320, 180), camera_fps=30)), threading.Event()
    device.open(stop)
    try:
        device.grab(stop)
        time.sleep(5)  # the driver fills its buffers
        triggered = time.perf_counter()
        device.grab(stop)
        left = time.perf_counter()
        stale = device.taken()
        assert stale is not None
        assert stale < triggered < left
        stamps = [stale]
        while stamps[-1] < triggered:
            device.grab(stop)
            taken = device.taken()
            assert taken is not None, (
                stamps,
                device._capture.get(cv2.CAP_PROP_POS_MSEC),
                time.perf_counter(),
            )
            assert stamps[-1] < taken <= time.perf_counter()
            stamps.append(taken)
        print(f"\n{len(stamps) - 1} frames were older than the trigger")
    finally:
        device.close()


def test_a_station_gets_the_first_frame_after_each_trigger(camera: str) -> None:
    options = SourceOptions(camera_size=(320, 180), camera_fps=30)
    settings = CameraSettings(name="top", source=camera, timeout_ms=1000 * PATIENCE, options=options)
    station = StationCamera(settings)
    station.start()
    try:
        for _ in range(5):
            since = time.time()
            frame = station.request(time.perf_counter()).wait(PATIENCE)
            assert isinstance(frame, Frame)
            assert frame.time >= since
        assert station.state().frames == 5
    finally:
        station.stop()


def test_a_second_program_is_told_who_holds_it(
    command: list[str], run: Callable[..., subprocess.CompletedProcess[str]], camera: str, tmp_path: Path
) -> None:
    with going(command, tmp_path / "first.jsonl") as (first, until):
        until(1)
        second = run("--limit", 1)
        assert second.returncode == 1
        assert f"the camera {camera} is in use: " in second.stderr
        assert f"(process {first.pid})" in second.stderr
        assert second.stdout == ""
        first.send_signal(signal.SIGTERM)
        assert first.wait(PATIENCE) == 0
    results, summary = lines_of((tmp_path / "first.jsonl").read_text())
    assert summary["frames"] == len(results) >= 1
    check_camera(camera)  # it is free again


def test_a_camera_that_is_not_there(program: list[str], models: Path, camera: str) -> None:
    asked = [*program, "run", "--models-dir", str(models), "--source", "/dev/video9", "--limit", "1"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "No camera at /dev/video9." in done.stderr
    assert f"There are: {camera} (vivid)" in done.stderr


def test_doctor_names_it(camera: str) -> None:
    def patiently(function: str, *arguments: object, limit: float = 0) -> Reply:
        return call(function, *arguments, limit=PATIENCE)

    found = examine_cameras(Context(patiently, Platform(), Path("models")))
    (finding,) = [one for one in found if one.title == camera]
    assert finding.state == "ok"
    assert finding.detail.startswith("vivid, YUYV to 3840 x 2160 at 2 frames/s and ")
    assert {"format": "YUYV", "width": 640, "height": 480, "fps": 25.0} in finding.facts["modes"]


def test_an_unplugged_camera_comes_back(command: list[str], camera: str, tmp_path: Path) -> None:
    """Last, since it takes the device away."""
    if not os.access(DRIVER / "unbind", os.W_OK):
        pytest.skip("only root may unplug it")
    log = tmp_path / "long.jsonl"
    with going(command, log) as (process, until):
        until(3)
        (DRIVER / "unbind").write_text("vivid.0")
        with pytest.raises(DmddError, match=f"No camera at {camera}"):
            check_camera(camera)
        time.sleep(2)  # let it try and fail
        before = log.read_bytes().count(b"\n")
        (DRIVER / "bind").write_text("vivid.0")
        until(before + 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    results, summary = lines_of(log.read_text())
    assert summary["frames"] == len(results)
    assert [result["index"] for result in results] == list(range(len(results)))
