"""Frames with results, and a disk that fills up."""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Region, Result, Timings

MakeResult = Callable[..., "tuple[Frame, Result]"]


def make(
    status: str = "anomalous", score: float = 0.75, name: str = "a/0.png", index: int = 4, **fields: Any
) -> tuple[Frame, Result]:
    """A frame of 96 x 64 and its result: map pixels 8..15 of 32 x 32 hold the score, both ways."""
    image = np.full((64, 96, 3), 90, np.uint8)
    anomaly_map = np.zeros((32, 32), np.float32)
    anomaly_map[8:16, 8:16] = score if math.isfinite(score) else 0
    known: dict[str, Any] = {
        "source": f"images/{name}",
        "index": index,
        "status": status,
        "time": 1795507200.25,
        "score": score,
        "normalized_score": score,
        "threshold": 0.5,
        "is_anomalous": score > 0.5,
        "anomaly_map": anomaly_map,
        "regions": (Region(24, 16, 24, 16, 384, 0.75),),
        "timings": Timings(1.0, 2.0, 3.0, 4.5),
        "reason": "too dark, very" if status == "unreliable" else "",
    }
    return Frame(image, f"images/{name}", name, index), Result(**{**known, **fields})


@pytest.fixture
def make_result() -> MakeResult:
    """``make``."""
    return make


@pytest.fixture
def broken() -> BrokenFrame:
    """A frame that could not be read."""
    return BrokenFrame("images/x.png", 5, DmddError("x.png: the file is empty", "remove it"))


@dataclass
class Disk:
    """A disk with ``free`` bytes left, None for no limit. Writes beyond that are cut short."""

    folder: Path
    free: int | None = None
    error: int = errno.ENOSPC

    def write(self, real: Callable[[int, Any], int], descriptor: int, data: Any) -> int:
        if self.free is None or not self._is_on_it(descriptor):
            return real(descriptor, data)
        if self.free == 0:
            raise OSError(self.error, os.strerror(self.error))
        count = real(descriptor, bytes(data)[: self.free])
        self.free -= count
        return count

    def _is_on_it(self, descriptor: int) -> bool:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - a descriptor, not a path
        return Path(path).is_relative_to(self.folder.resolve())


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """``Disk`` under ``tmp_path``, at first with all the space there is."""
    found = Disk(tmp_path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: found.write(real, descriptor, data))
    yield found
    found.free = None
