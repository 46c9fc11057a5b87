"""The feed of a station: the frames of each triggered part, cut and prepared while the graph is busy."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from dmdd_edge.errors import DataError, DmddError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.feed import prepare
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.part import PreparedPart
from dmdd_edge.runtime.sources import SourceState
from dmdd_edge.runtime.sources.names import live_name
from dmdd_edge.runtime.station.frame_errors import FrameError
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.parts import Part
from dmdd_edge.runtime.station.settings import CameraSettings, InspectionSettings
from dmdd_edge.runtime.station.waiting import WaitingParts
from dmdd_edge.runtime.steps import Prepared

_LOG = logging.getLogger(__name__)
#: How often a thread that waits looks whether it must end, in seconds.
_LOOK_SECONDS = 0.5


class StationFeed:
    """See ``PartFeed``. A thread waits for the frames of a part and prepares them, one part ahead.

    A part that began by itself (mode ``free``) is not prepared ahead: its frame must be the newest one when
    the graph is free.

    Args:
        waiting: the triggered parts.
        cameras: settings of the cameras, by name: how long a frame may take.
        taken: called with each part that leaves ``waiting``.
    """

    ended_by = "stop"

    def __init__(
        self,
        waiting: WaitingParts,
        cameras: Mapping[str, CameraSettings],
        taken: Callable[[Part], None] = lambda part: None,
    ) -> None:
        self._waiting, self._cameras, self._taken = waiting, cameras, taken
        self.seconds = {"capture": 0.0, "prepare": 0.0}
        self._prepared: queue.Queue[PreparedPart | BaseException | None] = queue.Queue(1)
        self._asked = threading.Event()
        self._stopped, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="dmdd-parts", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether ``next`` returns at once."""
        return not self._prepared.empty()

    def next(self) -> PreparedPart | None:
        """See ``PartFeed.next``."""
        self._asked.set()
        part = self._prepared.get()
        self._asked.clear()
        if isinstance(part, BaseException):
            raise part
        return part

    def stop(self) -> None:
        """End when no part waits any more."""
        self._stopped.set()
        self._waiting.wake()

    def close(self) -> None:
        """Accept no further part; one that is being prepared is waited for."""
        self._closed.set()
        self.stop()
        longest = max((camera.timeout_ms for camera in self._cameras.values()), default=0.0)
        self._thread.join(longest / 1000 + 2.0)

    def state(self) -> SourceState:
        """Always the same: each camera has its own state."""
        return SourceState("station", live=False)

    def _work(self) -> None:
        last: BaseException | None = None
        try:
            while not self._closed.is_set():
                part = self._waiting.take(0.0 if self._stopped.is_set() else _LOOK_SECONDS)
                if part is not None:
                    self._taken(part)
                    if not self._put(self._prepare(part)):
                        return
                elif self._stopped.is_set() and not self._waiting:
                    break
        except BaseException as error:  # raised again in the thread that asks for the next part
            last = error
        self._put(last)

    def _put(self, item: PreparedPart | BaseException | None) -> bool:
        while not self._closed.is_set():
            try:
                self._prepared.put(item, timeout=_LOOK_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def _prepare(self, part: Part) -> PreparedPart:
        free = part.trigger.origin == "free"
        while free and not self._asked.wait(_LOOK_SECONDS) and not self._closed.is_set():
            pass
        start = time.perf_counter()
        frames = {name: self._frame(part, name) for name in part.requests}
        captured = time.perf_counter()
        if free:
            _date(part, frames)
        items = tuple(
            _item(part, inspection, detector, frames[inspection.camera])
            for inspection, detector in part.recipe.inspections
        )
        self.seconds["capture"] += captured - start
        self.seconds["prepare"] += time.perf_counter() - captured
        return PreparedPart(items, part)

    def _frame(self, part: Part, camera: str) -> Frame | BrokenFrame:
        """The frame of a camera; a broken one when none comes within the camera's time after the trigger."""
        limit = self._cameras[camera].timeout_ms
        left = part.trigger.since + limit / 1000 - time.perf_counter()
        # A part that waited for the graph for longer than that finds its frame there already.
        frame = part.requests[camera].wait(max(left, 0.0))
        if frame is not None:
            return frame
        message = f"Camera {camera} delivered no frame within {limit:g} ms of the trigger."
        fix = "Check its trigger, its light and its cable; timeout_ms in the station file gives it more time."
        error = FrameError(message, ErrorCode.NO_FRAME, fix)
        return BrokenFrame(camera, part.trigger.acquisition_id, error)


def _date(part: Part, frames: Mapping[str, Frame | BrokenFrame]) -> None:
    """A part that began by itself began with its frame, which replaced older ones meanwhile."""
    times = [frame.time for frame in frames.values() if isinstance(frame, Frame) and frame.time]
    if times:
        age = max(time.time() - min(times), 0.0)
        part.trigger = replace(part.trigger, time=min(times), since=time.perf_counter() - age)


def _item(
    part: Part, inspection: InspectionSettings, detector: Detector, frame: Frame | BrokenFrame
) -> Prepared | BrokenFrame:
    """What an inspection sends to the graph."""
    number = part.trigger.acquisition_id
    try:
        if isinstance(frame, BrokenFrame):
            return BrokenFrame(inspection.name, number, frame.error)
        return prepare(detector, _cut(frame, inspection, number))
    except DmddError as error:
        return BrokenFrame(inspection.name, number, error)
    except Exception as error:  # whatever it is, the part needs an answer
        _LOG.exception("The frame of inspection %s cannot be prepared.", inspection.name)
        what = (
            f"The frame of inspection {inspection.name} cannot be prepared: {type(error).__name__}: {error}."
        )
        return BrokenFrame(inspection.name, number, DmddError(what, "Report this with the log."))


def _cut(frame: Frame, inspection: InspectionSettings, number: int) -> Frame:
    """The region of an inspection, as a frame with its own name.

    Raises:
        DataError: the region does not fit the frame.
    """
    image = frame.image
    if inspection.region is not None:
        x, y, width, height = inspection.region
        if y + height > image.shape[0] or x + width > image.shape[1]:
            raise DataError(
                f"The region {x},{y},{width},{height} of inspection {inspection.name} does not fit the frame "
                f"of camera {inspection.camera}, which is {image.shape[1]} x {image.shape[0]} pixels.",
                "Correct the region in the station file, or set the camera's size.",
            )
        image = image[y : y + height, x : x + width]
    name = live_name(inspection.name, frame.time, number)
    return replace(frame, image=image, source=inspection.name, name=name, index=number, dropped=0)
