"""Opens each camera of a station and takes one frame of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import open_source
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
    height, width = frame.image.shape[:2]
    shown = ", ".join(filter(None, (f"{width} x {height}", f"trigger {camera.trigger}", detail)))
    return Look(Finding(name, title, "ok", shown, facts={**facts, "width": width, "height": height}), frame)


def first_frame(camera: CameraSettings, seconds: float) -> tuple[Frame, str]:
    """The first frame of a camera, and its settings as read back.

    Raises:
        DmddError: it cannot be opened, or delivers no frame in time.
    """
    source = open_source(camera.source, camera.options)
    timer = threading.Timer(seconds, source.stop)
    timer.start()
    try:
        for frame in source:
            if isinstance(frame, BrokenFrame):
                raise frame.error
            return frame, source.state().detail
    finally:
        timer.cancel()
        source.stop()
    lost = source.state().message
    raise SourceError(
        f"{redacted(camera.source)} delivered no image in {seconds:g} s. {lost}".rstrip(),
        "Check its cable and power, and that no trigger is set in the camera itself.",
    )
