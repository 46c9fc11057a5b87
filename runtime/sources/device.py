"""What ``LiveSource`` drives: a camera, a stream, a file played as one."""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import BackendError, DmddError


class LostError(Exception):
    """The device gives no more frames until it is opened again.

    Args:
        reason: what happened, for a person.
        fix: what to look at when it never gave one.
    """

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.reason, self.fix = reason, fix


class EndOfDeviceError(Exception):
    """The device has no more frames and is not to be opened again."""


class Device(Protocol):
    """One device. Its calls come from one thread at a time, ``open`` first.

    Attributes:
        name: what a person calls it, without user names and passwords.
        label: a name for its frames, fit for a folder.
    """

    name: str
    label: str

    def open(self, stop: threading.Event) -> None:
        """Make it ready; also after it was closed.

        Args:
            stop: set when the source is stopped meanwhile.

        Raises:
            DmddError: it cannot be had.
        """
        ...

    def grab(self, stop: threading.Event) -> None:
        """Wait for the next frame and hold it, without decoding it where that can be done apart.

        It comes back within some seconds, whatever happens.

        Raises:
            LostError: it has to be opened again.
            EndOfDeviceError: that was the last frame.
        """
        ...

    def retrieve(self) -> NDArray[np.uint8]:
        """The frame that was grabbed, uint8 H x W x 3 BGR, an array of its own.

        Raises:
            DmddError: this one is damaged; the next may be fine.
        """
        ...

    def close(self) -> None:
        """Give it back; also when it is not open. ``open`` may follow."""
        ...

    def detail(self) -> str:
        """What it was found to be set to; empty when there is nothing to say."""
        ...


def damaged(name: str) -> DmddError:
    """The error of a frame that does not decode."""
    return BackendError(f"{name}: a damaged frame that cannot be decoded.")
