"""The thread that takes a device's frames: it opens the device, reopens a lost one, and says so.

What becomes of the frames is another matter, see ``Taker``: a run holds the newest one, a station every one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import SourceState, say_nothing
from dmdd_edge.runtime.sources.freshness import Freshness, Moment
from dmdd_edge.runtime.sources.live_device import Device, EndOfDeviceError, LostError, TriggerDevice
from dmdd_edge.runtime.sources.loss_lines import LossLines
from dmdd_edge.runtime.sources.names import live_name

#: Seconds without a frame after which a live source no longer counts as connected.
STALE_AFTER = 5.0
#: Seconds between two attempts to reopen a lost device: the first wait, doubled up to the last.
BACK_OFF = (0.25, 1.0)
_ARRIVALS = 60

_log = logging.getLogger("dmdd_edge")


@dataclass(frozen=True)
class Arrival:
    """A decoded frame or the decoding error.

    Attributes:
        image: uint8 H x W x 3 BGR, or why it is missing.
        time: when it was grabbed, in seconds since 1970 (UTC).
        moment: the same by ``time.perf_counter``, and what the camera says of it.
        decode_ms: duration of decoding.
    """

    image: NDArray[np.uint8] | DmddError
    time: float
    moment: Moment
    decode_ms: float

    def frame(self, name: str, label: str, index: int, dropped: int = 0) -> Frame | BrokenFrame:
        """The frame of a run.

        Args:
            name: of the source, for a person.
            label: of the source, valid as a folder name.
            index: number within the run.
            dropped: frames that were dropped just before this one.
        """
        if isinstance(self.image, DmddError):
            return BrokenFrame(name, index, self.image)
        return Frame(
            self.image,
            name,
            live_name(label, self.time, index),
            index,
            self.time,
            self.decode_ms,
            dropped,
            frame_id=self.moment.stamp.frame_id,
            device_time_ns=self.moment.stamp.device_time_ns,
        )


class Taker(Protocol):
    """What becomes of a device's frames. Its calls come from the grabbing thread, and return at once."""

    def wants(self, moment: Moment) -> bool:
        """Whether to decode the frame that was just grabbed."""
        ...

    def put(self, arrival: Arrival) -> None:
        """Take a decoded frame."""
        ...

    def lost(self, error: DmddError) -> None:
        """No frame comes until ``back``; called again when the reason is another one."""
        ...

    def back(self) -> None:
        """The device is open again."""
        ...

    def end(self, error: BaseException | None) -> None:
        """No frame comes any more: the device has ended, was stopped, or failed with an error."""
        ...


class Grabber:
    """Takes the frames of a device in a separate thread, and reopens the device whenever it is lost.

    Args:
        device: delivers the frames.
        taker: gets them.
        patience: seconds of undecodable frames after which the device counts as lost.
        endless: also reopen a device that was lost before its first frame, or that failed in an unexpected
            way. Otherwise that ends it with an error: the first is a matter of settings or cables, which
            waiting does not fix.
        triggered: a signal starts each frame, so that no frame for a long time is normal; also true for a
            ``TriggerDevice`` that is armed.

    Attributes:
        say: called with one line when the device is lost, and when it is back.
    """

    def __init__(
        self,
        device: Device,
        taker: Taker,
        patience: float = 10.0,
        endless: bool = False,
        triggered: bool = False,
    ) -> None:
        self.device, self._taker, self._patience, self._endless = device, taker, patience, endless
        self.say: Callable[[str], None] = say_nothing
        self._trigger = device if isinstance(device, TriggerDevice) else None
        self._triggered = triggered
        self._lines = LossLines(lambda: device.name, lambda line: self.say(line))
        self._freshness = Freshness(device)
        self._stop = threading.Event()
        self._again = ""  # why it is to be reopened, when that was requested
        # Set by ``stop`` and by ``reopen``: what ends a wait of the device for a frame.
        self._interrupt = threading.Event()
        # Reentrant, so that a signal handler may stop a source while its thread reads the state.
        self._lock = threading.RLock()
        self._ended = False
        self._connected = False
        self._message = "is not open yet"
        self._size: tuple[int, int] | None = None
        self._arrivals: deque[float] = deque(maxlen=_ARRIVALS)
        self._reconnects = 0
        self._delay = BACK_OFF[0]
        self._detail = ""
        # A daemon: a read that hangs in a driver must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"grab {device.label}", daemon=True)

    def open(self) -> None:
        """Open the device, before ``start``.

        Raises:
            DmddError: it cannot be opened.
        """
        self.device.open(self._interrupt)
        with self._lock:
            self._connected, self._message = True, ""
            self._detail = self.device.detail()

    def start(self) -> None:
        """Take frames from now on; no-op if it does already."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """End at once; the device is released as soon as its driver returns."""
        self._stop.set()
        self._interrupt.set()

    def join(self, seconds: float) -> None:
        """Wait for the device's release; no-op in the thread that releases it."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def reopen(self, reason: str) -> None:
        """Close and open the device, so that no frame on its way arrives any more; from any thread."""
        self._again = reason
        self._interrupt.set()

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self._stop.is_set()

    @property
    def armed(self) -> bool:
        """Whether the device waits for triggers, so that no frame for a long time is normal."""
        return self._triggered or (self._trigger is not None and self._trigger.armed)

    def state(self, frames: int, dropped: int) -> SourceState:
        """The current state. It is connected while the last frame is younger than ``STALE_AFTER``.

        Args:
            frames: frames delivered so far.
            dropped: frames dropped so far.
        """
        with self._lock:
            arrivals = list(self._arrivals)
            age = time.monotonic() - arrivals[-1] if arrivals else None
            message, armed = self._message, self.armed
            if not message and age is not None and age > STALE_AFTER and not armed and not self._ended:
                message = f"no frame for {age:.0f} s"
            connected = self._connected and not message and not self._ended
            span = arrivals[-1] - arrivals[0] if arrivals else 0.0
            width, height = self._size if self._size is not None else (None, None)
            return SourceState(
                self.device.name,
                live=True,
                connected=connected,
                width=width,
                height=height,
                fps=(len(arrivals) - 1) / span if connected and span > 0 else None,
                frames=frames,
                dropped=dropped,
                reconnects=self._reconnects,
                frame_age=age,
                message=message,
                detail=self._detail,
                triggered=armed,
            )

    # The grabbing thread.

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            while not self._stop.is_set():
                lost = self._grab_until_lost()
                if self._stop.is_set() or not self._reopened(lost):
                    break
        except EndOfDeviceError:
            pass
        except BaseException as error:  # any error belongs to whoever waits for frames
            failure = error
        finally:
            self.device.close()
            with self._lock:
                self._ended = True
            self._taker.end(failure)

    def _grab_until_lost(self) -> LostError:
        """Take frames; return why the device is lost, or anything when stopped."""
        first = True
        undecoded_since: float | None = None
        while not self._stop.is_set():
            try:
                moment = self._freshness.grab(self._interrupt)
                if self._stop.is_set():
                    break
                if self._interrupt.is_set():
                    raise LostError(self._again)
                wall, now = time.time(), time.monotonic()
                if self._taker.wants(moment):
                    error = self._keep(wall, moment)
                    undecoded_since = None if error is None else undecoded_since or now
                    late = undecoded_since is not None and now - undecoded_since > self._patience
                    if late and not self.armed:
                        what = (error or "").removeprefix(f"{self.device.name}: ").rstrip(".")
                        raise LostError(f"{self.device.name}: receives data but no image: {what}")
                if undecoded_since is not None:
                    continue  # an undecodable frame does not prove that the device works
            except LostError as lost:
                if not self._arrivals and not self.armed and not self._endless:
                    raise SourceError(f"{lost.reason}.", lost.fix) from None
                return lost
            except Exception as error:
                return self._failed(error)
            with self._lock:
                if first and self._arrivals:
                    self._reconnects += 1
                    self._arrivals.clear()
                self._arrivals.append(now)
                self._connected, self._message = True, ""
            first, self._delay = False, BACK_OFF[0]
            self._lines.back()
        return LostError("")

    def _keep(self, wall: float, moment: Moment) -> str | None:
        """Decode the grabbed frame, and hand it over.

        Returns:
            Why it cannot be decoded; None if it can.
        """
        start = time.perf_counter()
        image: NDArray[np.uint8] | DmddError
        try:
            image = self.device.retrieve()
        except DmddError as error:
            image = error
        elapsed = 1000 * (time.perf_counter() - start)
        if not isinstance(image, DmddError):
            with self._lock:
                self._size = (image.shape[1], image.shape[0])
        self._taker.put(Arrival(image, wall, moment, elapsed))
        return image.message if isinstance(image, DmddError) else None

    def _reopened(self, lost: LostError) -> bool:
        """Close and reopen until it is open; False when stopped meanwhile.

        Each wait is twice the one before, until a frame arrives, also for a device that opens but delivers
        nothing.
        """
        self._set_lost(SourceError(f"{lost.reason}.", lost.fix))
        self._lines.lost(lost.reason)
        self.device.close()
        while not self._stop.wait(self._delay):
            self._delay = min(2 * self._delay, BACK_OFF[1])
            self._interrupt.clear()
            if self._stop.is_set():
                break
            try:
                self.device.open(self._interrupt)
            except DmddError as error:
                self._set_lost(error)
                self.device.close()
            except Exception as error:
                failed = self._failed(error)
                self._set_lost(SourceError(f"{failed.reason}.", failed.fix))
                self.device.close()
            else:
                self._detail = self.device.detail()
                self._freshness.reset()
                if self.armed:
                    # Its next frame may be hours away.
                    with self._lock:
                        self._connected, self._message = True, ""
                self._taker.back()
                return True
        return False

    def _failed(self, error: Exception) -> LostError:
        """Treat an unexpected error as a loss, where the device is to be reopened whatever happens."""
        if isinstance(error, (DmddError, EndOfDeviceError)) or not self._endless:
            raise error
        _log.error("%s failed", self.device.name, exc_info=error)
        return LostError(
            f"{self.device.name} failed: {type(error).__name__}: {error}", "Report this as a bug."
        )

    def _set_lost(self, error: DmddError) -> None:
        with self._lock:
            self._connected, self._message = False, error.message.rstrip(".")
        self._taker.lost(error)
