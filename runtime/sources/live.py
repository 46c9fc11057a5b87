"""Live sources: a thread takes every frame as it arrives, and holds only the newest for the run."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import SourceState, say_nothing, take_all
from dmdd_edge.runtime.sources.live_device import Device, EndOfDeviceError, LostError
from dmdd_edge.runtime.sources.names import live_name
from dmdd_edge.runtime.sources.thinning import Thinner

#: Seconds without a frame after which a live source no longer counts as connected.
STALE_AFTER = 5.0
#: Seconds between two attempts to reopen a lost device: the first wait, doubled up to the last.
BACK_OFF = (0.25, 1.0)
#: Seconds that the end of the iteration waits for the device's release.
_RELEASE = 1.0
_ARRIVALS = 60
#: Minimum seconds between two lines about a lost device.
SAY_EVERY = 10.0


@dataclass(frozen=True)
class _Arrival:
    """A decoded frame or the decoding error, and when it arrived."""

    image: NDArray[np.uint8] | DmddError
    time: float
    decode_ms: float


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
        self._device, self._thinner, self._patience = device, thinner, patience
        self._lost_at: float | None = None
        self._reported_at = float("-inf")
        self._stop = threading.Event()
        # Reentrant, so that a signal handler may stop a source while its thread reads the state.
        self._changed = threading.Condition(threading.RLock())
        self._newest: _Arrival | None = None
        self._taking = not drain  # whether the iteration has started, so that drops count
        self._ended = False
        self._error: BaseException | None = None
        self._connected = True
        self._message = ""
        self._size: tuple[int, int] | None = None
        self._arrivals: deque[float] = deque(maxlen=_ARRIVALS)
        self._frames = self._dropped = self._dropped_before = self._reconnects = 0
        self._delay = BACK_OFF[0]
        device.open(self._stop)
        self._detail = device.detail()
        # A daemon: a read that hangs in a driver must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"grab {device.label}", daemon=True)
        if drain:
            self._thread.start()

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        with self._changed:
            if not self._taking:
                self._taking, self._newest = True, None
        if self._thread.ident is None:
            self._thread.start()
        index = 0
        try:
            while (arrival := self._take()) is not None:
                yield self._frame(arrival, index)
                index += 1
        finally:
            self.stop()
            self._thread.join(_RELEASE)

    def stop(self) -> None:
        """End the iteration at once; the device is released as soon as its driver returns."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def state(self) -> SourceState:
        """The current state. It is connected while the last frame is younger than ``STALE_AFTER``."""
        with self._changed:
            arrivals = list(self._arrivals)
            age = time.monotonic() - arrivals[-1] if arrivals else None
            message = self._message
            if not message and age is not None and age > STALE_AFTER and not self._ended:
                message = f"no frame for {age:.0f} s"
            connected = self._connected and not message and not self._ended
            span = arrivals[-1] - arrivals[0] if arrivals else 0.0
            width, height = self._size if self._size is not None else (None, None)
            return SourceState(
                self._device.name,
                live=True,
                connected=connected,
                width=width,
                height=height,
                fps=(len(arrivals) - 1) / span if connected and span > 0 else None,
                frames=self._frames,
                dropped=self._dropped,
                reconnects=self._reconnects,
                frame_age=age,
                message=message,
                detail=self._detail,
            )

    def _take(self) -> _Arrival | None:
        """Wait for a frame that was not delivered yet; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended or self._stop.is_set())
            if self._stop.is_set():
                return None
            if self._newest is None and self._error is not None:
                raise self._error
            arrival, self._newest = self._newest, None
            return arrival

    def _frame(self, arrival: _Arrival, index: int) -> Frame | BrokenFrame:
        name = self._device.name
        with self._changed:
            self._frames += 1
            if isinstance(arrival.image, DmddError):
                return BrokenFrame(name, index, arrival.image)
            dropped, self._dropped_before = self._dropped_before, 0
        unique = live_name(self._device.label, arrival.time, index)
        return Frame(arrival.image, name, unique, index, arrival.time, arrival.decode_ms, dropped)

    # The grabbing thread.

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                reason = self._grab_until_lost()
                if self._stop.is_set() or not self._reopen(reason):
                    break
        except EndOfDeviceError:
            pass
        except BaseException as error:  # any error belongs to the iterating thread
            self._error = error
        finally:
            self._device.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _grab_until_lost(self) -> str:
        """Take frames; return the reason when the device is lost, or an empty text when stopped."""
        first = True
        undecoded_since: float | None = None
        while not self._stop.is_set():
            try:
                self._device.grab(self._stop)
                if self._stop.is_set():
                    break
                wall, now = time.time(), time.monotonic()
                if self._thinner.wants(now):
                    error = self._keep(wall)
                    undecoded_since = None if error is None else undecoded_since or now
                    if undecoded_since is not None and now - undecoded_since > self._patience:
                        what = (error or "").removeprefix(f"{self._device.name}: ").rstrip(".")
                        raise LostError(f"{self._device.name}: receives data but no image: {what}")
                if undecoded_since is not None:
                    continue  # an undecodable frame does not prove that the device works
            except LostError as lost:
                if not self._arrivals:
                    # It opens but never delivers: a matter of settings or cables, which waiting does not fix.
                    raise SourceError(f"{lost.reason}.", lost.fix) from None
                return lost.reason
            with self._changed:
                if first and self._arrivals:
                    self._reconnects += 1
                    self._arrivals.clear()
                self._arrivals.append(now)
                self._connected, self._message = True, ""
            first, self._delay = False, BACK_OFF[0]
            self._report_back()
        return ""

    def _keep(self, wall: float) -> str | None:
        """Decode the grabbed frame, and replace the frame that nobody took.

        Returns:
            Why it cannot be decoded; None if it can.
        """
        start = time.perf_counter()
        image: NDArray[np.uint8] | DmddError
        try:
            image = self._device.retrieve()
        except DmddError as error:
            image = error
        arrival = _Arrival(image, wall, 1000 * (time.perf_counter() - start))
        with self._changed:
            if not isinstance(image, DmddError):
                self._size = (image.shape[1], image.shape[0])
            if self._newest is not None and self._taking:
                self._dropped += 1
                self._dropped_before += 1
            self._newest = arrival
            self._changed.notify_all()
        return image.message if isinstance(image, DmddError) else None

    def _reopen(self, reason: str) -> bool:
        """Close and reopen until it is open; False when stopped meanwhile.

        Each wait is twice the one before, until a frame arrives, also for a device that opens but delivers
        nothing.
        """
        self._set_message(reason)
        self._report_lost(reason)
        self._device.close()
        while not self._stop.wait(self._delay):
            self._delay = min(2 * self._delay, BACK_OFF[1])
            try:
                self._device.open(self._stop)
            except DmddError as error:
                self._set_message(error.message)
                self._device.close()
            else:
                self._detail = self._device.detail()
                return True
        return False

    def _set_message(self, message: str) -> None:
        with self._changed:
            self._connected, self._message = False, message.rstrip(".")

    # Lines for a person, limited so that an unstable connection does not fill a log.

    def _report_lost(self, reason: str) -> None:
        now = time.monotonic()
        if self._lost_at is None and now - self._reported_at >= SAY_EVERY:
            self._reported_at = self._lost_at = now
            self.say(f"{reason}; reconnecting.")

    def _report_back(self) -> None:
        if self._lost_at is not None:
            self.say(f"{self._device.name}: reconnected after {time.monotonic() - self._lost_at:.0f} s.")
            self._lost_at = None
