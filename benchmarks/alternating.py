"""Run sessions alternately on the same image, and compare their medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.backends.onnxruntime_session import run_session

#: Blocks of a run whose ratios are compared.
BLOCKS = 5


def alternate(
    sessions: Mapping[str, Any], image: NDArray[np.uint8], warm_up: int, runs: int
) -> dict[str, list[float]]:
    """Milliseconds of each call, interleaved; the order alternates."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(warm_up + runs):
        names = list(sessions) if turn % 2 else list(sessions)[::-1]
        for name in names:
            began = time.perf_counter()
            run_session(sessions[name], image)
            if turn >= warm_up:
                times[name].append(1e3 * (time.perf_counter() - began))
    return times


def block_ratios(first: list[float], second: list[float]) -> list[float]:
    """Ratio of the medians in each of a few blocks of the run, which shows how reliable it is."""
    cuts = np.linspace(0, len(first), BLOCKS + 1).astype(int)
    return [statistics.median(first[a:b]) / statistics.median(second[a:b]) for a, b in pairwise(cuts)]
