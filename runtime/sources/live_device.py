"""The Device protocol of ``LiveSource``: a camera, a stream, or a file played as one."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError, SourceError


class LostError(Exception):
    """The device delivers no more frames until it is reopened.

    Args:
        reason: what happened, for a person.
        fix: what to check if it never delivered one.
    """

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.reason, self.fix = reason, fix


class EndOfDeviceError(Exception):
    """The device has no more frames and must not be reopened."""


class Device(Protocol):
    """One device. Its calls come from one thread at a time, ``open`` first.

    Attributes:
        name: for a person, without user names and passwords.
        label: a name for its frames, valid as a folder name.
    """

    name: str
    label: str

    def open(self, stop: threading.Event) -> None:
        """Open it; also after it was closed.

        Args:
            stop: set when the source is stopped meanwhile.

        Raises:
            DmddError: it cannot be opened.
        """
        ...

    def grab(self, stop: threading.Event) -> None:
        """Wait for the next frame and hold it, without decoding it where that is a separate step.

        Returns within some seconds, whatever happens.

        Raises:
            LostError: it must be reopened.
            EndOfDeviceError: that was the last frame.
        """
        ...

    def retrieve(self) -> NDArray[np.uint8]:
        """Decode the grabbed frame: uint8 H x W x 3 BGR, which owns its memory.

        Raises:
            DmddError: the frame is damaged; the next may be intact.
        """
        ...

    def close(self) -> None:
        """Release the device; no-op if it is not open. ``open`` may follow."""
        ...

    def detail(self) -> str:
        """The settings read back; may be empty."""
        ...


@dataclass(frozen=True)
class Stamp:
    """What a camera itself says of a frame.

    Attributes:
        frame_id: its number; None if the camera gives none.
        device_time_ns: the camera's clock at the exposure, in nanoseconds; None without a clock.
    """

    frame_id: int | None = None
    device_time_ns: int | None = None


@runtime_checkable
class TriggerDevice(Device, Protocol):
    """A device with a trigger: a camera that may send no frame for long, and numbers those it sends."""

    @property
    def armed(self) -> bool:
        """Whether it waits for triggers; known once it is open."""
        ...

    def stamp(self) -> Stamp:
        """Number and time of the grabbed frame."""
        ...

    def fire(self) -> None:
        """Trigger one frame by software; from any thread.

        Raises:
            DmddError: it cannot be triggered so, or is not connected.
        """
        ...


@runtime_checkable
class Paced(Protocol):
    """A device that requests its frames, at the rate that the options limit it to.

    Attributes:
        requests_per_second: that rate.
    """

    requests_per_second: float


@runtime_checkable
class Stamped(Protocol):
    """A device that knows when a frame was taken, before it waited in a driver's buffer."""

    def taken(self) -> float | None:
        """When the grabbed frame was taken, by ``time.perf_counter``; None when that is not known."""
        ...


class MissingFrameError(SourceError):
    """``retrieve`` raises it for a frame that never arrived, before the frame whose number shows that."""


def damaged(name: str) -> DmddError:
    """The error for a frame that does not decode."""
    return SourceError(f"{name}: cannot decode a damaged frame.")
