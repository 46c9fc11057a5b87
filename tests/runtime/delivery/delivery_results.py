"""Results to deliver, and a way to wait for what happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Region, Result, Status

FRAME = Frame(np.zeros((16, 16, 3), np.uint8), source="images/0.png", name="0.png")
BROKEN = BrokenFrame("images/bad.png", 3, DmddError("images/bad.png is not an image.", "Remove it."))


def make_result(index: int = 0, status: Status = "anomalous") -> Result:
    return Result(
        source=f"images/{index}.png",
        index=index,
        status=status,
        time=1_700_000_000.25,
        score=0.75,
        normalized_score=0.75,
        threshold=0.5,
        is_anomalous=status == "anomalous",
        anomaly_map=np.zeros((4, 4), np.float32),
        regions=(Region(1, 2, 3, 4, 5, 0.75),),
    )


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what happens in another thread or process; the limit is for a machine that stands still."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


class Said:
    """Collects notices to a person."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        with self._lock:
            self.lines.append(text)

    def about(self, part: str) -> list[str]:
        with self._lock:
            return [line for line in self.lines if part in line]


def first_arrivals(values: list[int]) -> list[int]:
    """Without those that came before."""
    return list(dict.fromkeys(values))
