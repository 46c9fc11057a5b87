"""A clock that moves only when a test moves it, and backends that move it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import effective_threshold
from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.interference import Interference, InterferenceWatch
from dmdd_edge.runtime.bench.timed_detector import Stopwatch, TimedDetector
from dmdd_edge.runtime.bench.timing import Bench, Clock
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.engines.slot import DeviceTimes

#: What a simulated GPU reports for every batch, in milliseconds.
TIMES = DeviceTimes(upload=0.5, compute=7.0, download=0.25)


class FakeClock(Clock):
    """Starts at 1000 seconds."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += seconds


class QuietWatch(InterferenceWatch):
    """Detects nothing, and records its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def sample(self) -> None:
        self.calls.append("sample")

    def stop(self) -> Interference:
        self.calls.append("stop")
        return Interference()


@dataclass
class TimedBackend:
    """Takes a known time per image; the score is the first pixel of the image.

    Attributes:
        seconds: duration of a call, by the number of images.
        batches: the first pixels of the images of each call.
    """

    clock: FakeClock
    seconds: Callable[[int], float] = lambda count: 0.010 * count
    name: str = "cpu"
    precision: str = "fp32"
    description: str = "made up"
    batches: list[list[int]] = field(default_factory=list)

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.batches.append(images[:, 0, 0, 0].tolist())
        self.clock.time += self.seconds(len(images))
        first: Any = images[:, 0, 0, 0].astype(np.float32) / 255
        return np.repeat(first, images.shape[1] ** 2).reshape(images.shape[:3]), first

    def close(self) -> None:
        self.batches = []


@dataclass
class TimedEngine(TimedBackend):
    """The same as a backend that reports times of a GPU and computes at most four images at once."""

    name: str = "tensorrt"
    largest_batch: int = 4
    times: DeviceTimes | None = TIMES
    sidecar: Any = field(
        default_factory=lambda: SimpleNamespace(
            precision="fp16", engine_sha256="e" * 64, engine_bytes=1000, library="TensorRT 10.3.0",
            onnx_sha256="a" * 64, batch="1:4",
        )
    )  # fmt: skip


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bench(clock: FakeClock) -> Bench:
    return Bench(clock, QuietWatch())


@pytest.fixture
def make_timed(make_bundle: Callable[..., Bundle], clock: FakeClock) -> Callable[..., TimedDetector]:
    """Build a timed detector around a backend."""

    def make(backend: TimedBackend) -> TimedDetector:
        bundle = make_bundle()
        stopwatch = Stopwatch(backend, clock)
        return TimedDetector(Detector(bundle, stopwatch, effective_threshold(bundle)), stopwatch)

    return make


@pytest.fixture
def image_set() -> ImageSet:
    """Five images of the graph's size, with levels 10, 20, 30, 40, 50."""
    frames = tuple(np.full((64, 64, 3), 10 * (i + 1), np.uint8) for i in range(5))
    return ImageSet(frames, (), "source", "five levels")


@pytest.fixture
def fake_root(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Write files under a simulated root of the file system."""

    def write(files: dict[str, str]) -> Path:
        root = tmp_path / "root"
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return root

    return write
