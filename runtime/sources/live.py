"""Live sources: a thread takes every frame as it arrives, and holds only the newest for the run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import SourceState, say_nothing, take_all
from dmdd_edge.runtime.sources.camera_settings import Adjustable, CameraSettings
from dmdd_edge.runtime.sources.freshness import Moment
from dmdd_edge.runtime.sources.grabber import Arrival, Grabber
from dmdd_edge.runtime.sources.live_device import Device
from dmdd_edge.runtime.sources.thinning import Thinner

#: Seconds that the end of the iteration waits for the device's release.
_RELEASE = 1.0


class _Newest:
    """Holds the newest frame; one that nobody took is replaced and counted.

    Args:
        thinner: selects the frames to use.
        taking: whether the iteration has started, so that drops count.
    """

    def __init__(self, thinner: Thinner, taking: bool) -> None:
        self._thinner, self._taking = thinner, taking
        # Reentrant, so that a signal handler may stop a source while its thread reads the state.
        self._changed = threading.Condition(threading.RLock())
        self._newest: Arrival | None = None
        self._stopped = self._ended = False
        self._error: BaseException | None = None
        self._dropped_before = 0
        self.dropped = 0

    def wants(self, moment: Moment) -> bool:
        return self._thinner.wants(time.monotonic())

    def put(self, arrival: Arrival) -> None:
        with self._changed:
            if self._newest is not None and self._taking:
                self.dropped += 1
                self._dropped_before += 1
            self._newest = arrival
            self._changed.notify_all()

    def lost(self, error: DmddError) -> None:
        """Keep waiting: the device is being reopened."""

    def back(self) -> None:
        """Keep waiting: the next frame tells."""

    def end(self, error: BaseException | None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def begin(self) -> None:
        """Count drops from now on; what came before is stale."""
        with self._changed:
            if not self._taking:
                self._taking, self._newest = True, None

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self) -> Arrival | None:
        """Wait for a frame that was not delivered yet; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended or self._stopped)
            if self._stopped:
                return None
            if self._newest is None and self._error is not None:
                raise self._error
            arrival, self._newest = self._newest, None
            return arrival

    def drops(self) -> int:
        """How many frames were dropped since the last call."""
        with self._changed:
            dropped, self._dropped_before = self._dropped_before, 0
            return dropped


class LiveSource:
    """Delivers the newest frame of a device repeatedly; frames that nobody takes are dropped and counted.

    A device lost after its first frame is reopened, for as long as it takes. Every frame that ``thinner``
    selects is either delivered or counted as dropped.

    Args:
        device: delivers the frames.
        thinner: selects the frames to use.
        drain: take frames from now on, so that the first one is fresh even if the iteration starts late;
            frames before that are not counted. False starts the device's clock with the iteration.
        patience: seconds of undecodable frames after which the device counts as lost.

    Raises:
        DmddError: the device cannot be opened.
    """

    live = True

    def __init__(self, device: Device, thinner: Thinner, drain: bool = True, patience: float = 10.0) -> None:
        self.total: int | None = None
        # Its names are relative to no folder. No result is ever written here.
        self.root = Path(os.devnull)
        self.skip: Callable[[str, int], bool] = take_all
        self.bits = 16  # a camera's images have 8
        self.say: Callable[[str], None] = say_nothing
        self._device = device
        self._newest = _Newest(thinner, taking=not drain)
        self._grabber = Grabber(device, self._newest, patience)
        self._grabber.say = lambda line: self.say(line)
        self._frames = 0
        self._grabber.open()
        if drain:
            self._grabber.start()

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        self._newest.begin()
        self._grabber.start()
        index = 0
        try:
            while (arrival := self._newest.take()) is not None:
                self._frames += 1
                dropped = 0 if isinstance(arrival.image, DmddError) else self._newest.drops()
                yield arrival.frame(self._device.name, self._device.label, index, dropped)
                index += 1
        finally:
            self.stop()
            self._grabber.join(_RELEASE)

    def stop(self) -> None:
        """End the iteration at once; the device is released as soon as its driver returns."""
        self._grabber.stop()
        self._newest.stop()

    def state(self) -> SourceState:
        """The current state. It is connected while frames arrive, and while it waits for triggers."""
        return self._grabber.state(self._frames, self._newest.dropped)

    def settings(self) -> CameraSettings | None:
        """The camera's settings as it reports them now; None where it reports none."""
        device = self._device
        return device.settings() if isinstance(device, Adjustable) else None
