"""Anomaly maps at the size of a drawing: a small peak of a large map stays visible."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import stretch


def fit_map(anomaly_map: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Resize a map: interpolated where it grows, the largest value of each block where it shrinks.

    The mean of a block would hide a defect of a few pixels in a map of many megapixels.

    Args:
        anomaly_map: float32 rows x columns.
        width, height: wanted columns and rows.

    Returns:
        float32 height x width; the map itself where nothing changes.
    """
    rows, columns = anomaly_map.shape
    down, across = _step(rows, height), _step(columns, width)
    if down > 1:
        anomaly_map = _largest(anomaly_map, down)
    if across > 1:
        anomaly_map = _largest(anomaly_map.T, across).T
    return stretch(np.ascontiguousarray(anomaly_map), width, height)


def _step(old: int, new: int) -> int:
    """Pixels of a block along one axis; a block is at least a wanted pixel, unless little shrinks."""
    return 1 if old <= 1.5 * new else math.ceil(old / new)


def _largest(values: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """The largest value of each ``step`` rows; the last block may have fewer."""
    found = values[::step].copy()
    for first in range(1, step):
        rest = values[first::step]  # slices: many times faster than np.maximum.reduceat
        np.maximum(found[: len(rest)], rest, out=found[: len(rest)])
    return found
