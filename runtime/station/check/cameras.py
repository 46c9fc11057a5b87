"""Opens each camera of a station and takes one frame of it."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dmdd_edge.errors import DmddError, OptionError, SourceError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.station.cameras import Camera
from dmdd_edge.runtime.station.check.report import failed
from dmdd_edge.runtime.station.model import FrameRequest
from dmdd_edge.runtime.station.settings import CameraSettings

#: Seconds that a camera has for its first frame: a stream connects, an exposure settles.
FIRST_FRAME_SECONDS = 10.0
#: The same for one that waits for its own trigger, in case parts pass it now.
OWN_TRIGGER_SECONDS = 2.0


@dataclass(frozen=True)
class Look:
    """What a camera showed.

    Attributes:
        finding: about the camera.
        frame: its first frame; None without one.
    """

    finding: Finding
    frame: Frame | None = None


def look_through(
    cameras: dict[str, CameraSettings],
    place: Callable[..., str],
    seconds: float = FIRST_FRAME_SECONDS,
) -> dict[str, Look]:
    """Take a frame of each camera, of all of them at the same time.

    Args:
        cameras: by name.
        place: where a key is in the file.
        seconds: that each camera has.
    """
    if not cameras:
        return {}
    with ThreadPoolExecutor(len(cameras), "dmdd-check") as pool:
        looks = pool.map(lambda camera: _look(camera, place, seconds), cameras.values())
        return dict(zip(cameras, looks, strict=True))


def _look(camera: CameraSettings, place: Callable[..., str], seconds: float) -> Look:
    name, title = f"cameras.{camera.name}", f"camera {camera.name}"
    facts: dict[str, Any] = {"source": redacted(camera.source), "trigger": camera.trigger}
    try:
        frame, detail = first_frame(camera, seconds)
    except DmddError as error:
        return Look(failed(name, title, error, place("cameras", camera.name, "source"), facts))
    size = "opened; it waits for its own trigger, so its image was not seen"
    if frame is not None:
        height, width = frame.image.shape[:2]
        facts |= {"width": width, "height": height}
        size = f"{width} x {height}"
    shown = ", ".join(filter(None, (size, f"trigger {camera.trigger}", detail)))
    return Look(Finding(name, title, "ok", shown, facts=facts), frame)


def first_frame(settings: CameraSettings, seconds: float) -> tuple[Frame | None, str]:
    """A frame of a camera, which is triggered as the station does, and its settings as read back.

    Returns:
        The frame, and the settings; None from a camera that waits for its own trigger, which nobody gave.

    Raises:
        DmddError: the camera cannot be opened, is lost, or delivers no frame in time.
    """
    camera = Camera(settings)
    arrived: queue.SimpleQueue[FrameRequest] = queue.SimpleQueue()
    leads = settings.trigger in ("free", "camera")
    if leads:
        camera.lead(lambda request, taken: arrived.put(request))
    try:
        camera.start()
        if leads:
            request = _arrival(camera, arrived, seconds)
            frame = None if request is None else request.wait(seconds)
        else:
            frame = camera.request(time.perf_counter()).wait(seconds)
        state = camera.state()
    finally:
        camera.stop()
    if isinstance(frame, BrokenFrame):
        raise frame.error
    if frame is None and (settings.trigger != "camera" or state.message):
        raise SourceError(
            f"{redacted(settings.source)} delivered no image in {seconds:g} s. {state.message}".rstrip(),
            "Check its cable and power, and that no trigger is set in the camera itself.",
        )
    return frame, state.detail


def _arrival(camera: Camera, arrived: queue.SimpleQueue[FrameRequest], seconds: float) -> FrameRequest | None:
    """The first frame that begins a part; a simulated camera's own trigger is pressed for it."""
    with suppress(OptionError):
        camera.fire()
    try:
        return arrived.get(timeout=seconds if camera.mode == "free" else min(seconds, OWN_TRIGGER_SECONDS))
    except queue.Empty:
        return None
