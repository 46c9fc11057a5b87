"""A device whose kind shows only when it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.messages.addresses import redacted
from dmdd_edge.runtime.sources.live_device import Device, LostError
from dmdd_edge.runtime.sources.urls import host_label


class LateDevice:
    """A stream over http: its server is asked what it sends when the station opens it, not when it is set up.

    So a station starts although a camera is still off, and finds it later.

    Args:
        url: its address.
        make: asks the server, and makes the device.
    """

    def __init__(self, url: str, make: Callable[[], Device]) -> None:
        self.name, self.label = redacted(url), host_label(url)
        self._make = make
        self._device: Device | None = None

    @property
    def requests_per_second(self) -> float:
        """See ``Paced``; only where it is known and the server sends single images."""
        rate: float = getattr(self._device, "requests_per_second")  # noqa: B009 (an attribute of some devices)
        return rate

    def open(self, stop: threading.Event) -> None:
        """Ask the server, and open the device."""
        self._device = self._make()
        self._device.open(stop)

    def grab(self, stop: threading.Event) -> None:
        """Wait for the next frame."""
        if self._device is None:
            raise LostError(f"{self.name} is closed")
        self._device.grab(stop)

    def retrieve(self) -> NDArray[np.uint8]:
        """Decode the grabbed frame."""
        assert self._device is not None
        return self._device.retrieve()

    def close(self) -> None:
        """Release the device."""
        if self._device is not None:
            self._device.close()

    def detail(self) -> str:
        """The settings read back."""
        return "" if self._device is None else self._device.detail()
