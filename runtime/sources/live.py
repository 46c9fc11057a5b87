"""Live sources: a thread that takes every frame as it comes, and keeps only the newest for the run."""

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
from dmdd_edge.runtime.sources.device import Device, EndOfDeviceError, LostError
from dmdd_edge.runtime.sources.names import live_name
from dmdd_edge.runtime.sources.pick import Pick

#: Seconds without a frame after which a live source no longer counts as connected.
STALE_AFTER = 5.0
#: Seconds between two attempts to open a lost device: the first wait, doubled up to the last.
BACK_OFF = (0.25, 1.0)
#: Seconds that the end of the iteration waits for the device to be given back.
_RELEASE = 1.0
_ARRIVALS = 60
#: Seconds between two lines about a lost device, at least.
SAY_EVERY = 10.0


@dataclass(frozen=True)
class _Arrival:
    """A decoded frame, or why it is none, and when it came."""

    image: NDArray[np.uint8] | DmddError
    time: float
    decode_ms: float


class LiveSource:
    """The newest frame of a device, again and again; what comes while nobody takes it is dropped and counted.

    A device that is lost after its first frame is opened again, for as long as it takes. Of all the frames
    that ``pick`` wants, each is handed out or counted as dropped.

    Args:
        device: what gives the frames.
        pick: which of them are wanted.
        drain: take frames from now on, so that the first one handed out is fresh even when the iteration
            starts late; what comes before that is not counted. False starts the device's clock with the
            iteration.
        patience: seconds for which frames may come that cannot be decoded; then the device counts as lost.

    Raises:
        DmddError: the device cannot be had.
    """

    live = True

    def __init__(self, device: Device, pick: Pick, drain: bool = True, patience: float = 10.0) -> None:
        self.total: int | None = None
        # There is no folder that its names are relative to. No result is ever meant for this place.
        self.root = Path(os.devnull)
        self.skip: Callable[[str, int], bool] = take_all
        self.bits = 16  # a camera's pictures have 8
        self.say: Callable[[str], None] = say_nothing
        self._device, self._pick, self._patience = device, pick, patience
        self._lost_at: float | None = None
        self._said_at = float("-inf")
        self._stop = threading.Event()
        # Reentrant, so that a signal's handler may stop a source that its own thread is asking for its state.
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
        """End the iteration at once; the device is given back as soon as its driver returns."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def state(self) -> SourceState:
        """How it stands now. It counts as connected while the last frame is younger than ``STALE_AFTER``."""
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
        """Wait for a frame that was not handed out yet; None at the end."""
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
                if self._stop.is_set() or not self._open_again(reason):
                    break
        except EndOfDeviceError:
            pass
        except BaseException as error:  # whatever it is, it belongs to the one who iterates
            self._error = error
        finally:
            self._device.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _grab_until_lost(self) -> str:
        """Take frames; comes back with the reason when there are no more, or empty when stopped."""
        first = True
        undecoded_since: float | None = None
        while not self._stop.is_set():
            try:
                self._device.grab(self._stop)
                if self._stop.is_set():
                    break
                wall, now = time.time(), time.monotonic()
                if self._pick.wants(now):
                    error = self._keep(wall)
                    undecoded_since = None if error is None else undecoded_since or now
                    if undecoded_since is not None and now - undecoded_since > self._patience:
                        what = (error or "").removeprefix(f"{self._device.name}: ").rstrip(".")
                        raise LostError(f"{self._device.name}: receives data but no image: {what}")
                if undecoded_since is not None:
                    continue  # what cannot be decoded does not show that it is well
            except LostError as lost:
                if not self._arrivals:
                    # It opens and never delivers: a matter of settings or cables, which waiting does not
                    # mend.
                    raise SourceError(f"{lost.reason}.", lost.fix) from None
                return lost.reason
            with self._changed:
                if first and self._arrivals:
                    self._reconnects += 1
                    self._arrivals.clear()
                self._arrivals.append(now)
                self._connected, self._message = True, ""
            first, self._delay = False, BACK_OFF[0]
            self._tell_back()
        return ""

    def _keep(self, wall: float) -> str | None:
        """Decode what was grabbed, and put it in the place of the frame that nobody took.

        Returns:
            why it cannot be decoded; None when it can.
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

    def _open_again(self, reason: str) -> bool:
        """Close and open until it is open; False when stopped meanwhile.

        Each wait is twice the one before, until a frame comes: what opens and delivers nothing waits
        longer, too.
        """
        self._say(reason)
        self._tell_lost(reason)
        self._device.close()
        while not self._stop.wait(self._delay):
            self._delay = min(2 * self._delay, BACK_OFF[1])
            try:
                self._device.open(self._stop)
            except DmddError as error:
                self._say(error.message)
                self._device.close()
            else:
                self._detail = self._device.detail()
                return True
        return False

    def _say(self, message: str) -> None:
        with self._changed:
            self._connected, self._message = False, message.rstrip(".")

    # What a person is told. A connection that comes and goes all the time must not fill a log.

    def _tell_lost(self, reason: str) -> None:
        now = time.monotonic()
        if self._lost_at is None and now - self._said_at >= SAY_EVERY:
            self._said_at = self._lost_at = now
            self.say(f"{reason}; connecting again")

    def _tell_back(self) -> None:
        if self._lost_at is not None:
            self.say(f"{self._device.name}: frames come again after {time.monotonic() - self._lost_at:.0f} s")
            self._lost_at = None
