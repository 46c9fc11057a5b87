"""Opens each camera of a station and triggers it once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.station.cameras import Camera
from dmdd_edge.runtime.station.check.report import failed
from dmdd_edge.runtime.station.settings import CameraSettings

#: Seconds that a camera has for its first frame: a stream connects, an exposure settles.
FIRST_FRAME_SECONDS = 10.0


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
    facts = {"source": redacted(camera.source), "trigger": camera.trigger}
    try:
        frame, detail = first_frame(camera, seconds)
    except DmddError as error:
        return Look(failed(name, title, error, place("cameras", camera.name, "source"), facts))
    if frame is None:
        waits = ", ".join(filter(None, (f"trigger {camera.trigger}: no image until it comes", detail)))
        return Look(Finding(name, title, "ok", waits, facts=facts))
    height, width = frame.image.shape[:2]
    shown = ", ".join(filter(None, (f"{width} x {height}", f"trigger {camera.trigger}", detail)))
    return Look(Finding(name, title, "ok", shown, facts={**facts, "width": width, "height": height}), frame)


def first_frame(settings: CameraSettings, seconds: float) -> tuple[Frame | None, str]:
    """The frame of a first trigger, and the camera's settings as read back.

    A camera that something else triggers is only opened: its next frame may be hours away.

    Returns:
        the frame, or None for a camera that waits for a hardware trigger; and the settings.

    Raises:
        DmddError: it cannot be opened, its trigger does not suit it, or it delivers no frame in time.
    """
    camera = Camera(settings)
    frame: Frame | BrokenFrame | None = None
    try:
        camera.start()
        detail = camera.state().detail
        if settings.trigger == "camera":
            return None, detail
        frame = camera.request(time.perf_counter()).wait(seconds)
        lost = camera.state().message
    finally:
        camera.stop()
    if isinstance(frame, BrokenFrame):
        raise frame.error
    if frame is None:
        raise SourceError(
            f"{redacted(settings.source)} delivered no image in {seconds:g} s. {lost}".rstrip(),
            "Check its cable and power, and that no trigger is set in the camera itself.",
        )
    return frame, detail
