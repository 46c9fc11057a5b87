"""A camera in memory, whose features and frames a test decides."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from dmdd_edge.errors import SourceError
from dmdd_edge.runtime.sources.genicam.interface import Feature, Found, RawFrame


class ScriptedCamera:
    """Takes what it is told, and remembers in which order.

    Args:
        features: what it has.
        frames: what its stream delivers; None for a moment without a frame.
    """

    def __init__(self, features: list[Feature], frames: list[RawFrame | None] | None = None) -> None:
        self.features = {feature.name: feature for feature in features}
        self.frames = deque(frames or [])
        self.done: list[str] = []
        self.step: dict[str, float] = {}
        self.answers = True
        self.keep_packet_size: bool | None = None
        self.closed = False

    def names(self) -> list[str]:
        return list(self.features)

    def feature(self, name: str) -> Feature | None:
        return self.features.get(name)

    def set(self, feature: Feature, value: int | float | bool | str) -> None:
        self.done.append(f"{feature.name}={value}")
        if feature.name in self.step:  # a camera that rounds
            value = value // self.step[feature.name] * self.step[feature.name]
        self.features[feature.name] = replace(self.features[feature.name], value=value)
        # As on a sensor of 100 pixels: what is left of it limits size and offset.
        for size, offset in (("Width", "OffsetX"), ("Height", "OffsetY")):
            if size in self.features and offset in self.features:
                taken, start = self.features[size], self.features[offset]
                self.features[size] = replace(taken, maximum=100 - start.value)
                self.features[offset] = replace(start, maximum=100 - taken.value)

    def execute(self, name: str) -> None:
        if name not in self.features:
            raise SourceError(f"{name} failed: there is no such command.")
        self.done.append(name)

    def start(self, keep_packet_size: bool) -> None:
        self.keep_packet_size = keep_packet_size

    def next(self, seconds: float) -> RawFrame | None:
        if not self.frames:
            self.answers = False
            return None
        return self.frames.popleft()

    def alive(self) -> bool:
        return self.answers

    def close(self) -> None:
        self.closed = True


class ScriptedDriver:
    """Opens one scripted camera after the other."""

    name, version = "scripted", "1"

    def __init__(self, *cameras: ScriptedCamera, serials: tuple[str, ...] = ("A1",)) -> None:
        self.cameras = deque(cameras)
        self.serials = serials

    def find(self) -> list[Found]:
        return [
            Found(serial, "Model", "Vendor", f"10.0.0.{place}", "GigE Vision")
            for place, serial in enumerate(self.serials)
        ]

    def open(self, found: Found) -> ScriptedCamera:
        if not self.cameras:
            raise SourceError("No more cameras.")
        return self.cameras.popleft()
