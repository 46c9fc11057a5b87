"""Bins for the values of anomaly maps, fine where many values are.

A map's values crowd near 0, near 1, or, after little training, in between. A bin's width is at most a 4096th
of a value, or of what it lacks to 1, whichever is smaller; where many values of a first map are, bins are
narrower, down to single numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
#: Bits of a float32's fraction that a group of bins leaves out; 23 - 17 = 6 remain.
_OPEN = 17
#: Below 2 ** -60 is one bin. From 0.5 on the distance to 1 is what is binned, 2 ** -24 at least or 0.
_LEAST, _HALF, _NEAR = (
    int(np.float32(value).view(np.uint32)) >> _OPEN for value in (2.0**-60, 0.5, 2.0**-25)
)
_LOW = _HALF - _LEAST + 1
_GROUPS = _LOW + _HALF - _NEAR + 1
#: Bits by which a group is divided at least; and the share of a map's values that a bin is to have at most.
_DIVIDED, _SHARE = 6, 5e-6


@dataclass(frozen=True)
class ValueBins:
    """The bins of one test set.

    Attributes:
        bits: int64, by how many bits each group of bins is divided.
        first: int64, the number of each group's first bin.
        count: number of bins.
    """

    bits: NDArray[np.int64]
    first: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, values: Values) -> ValueBins:
        """Bins that are fine where the values of a map are; float32 of any shape, 0..1."""
        share = np.bincount(_group(values.ravel())[0], minlength=_GROUPS) / values.size
        wanted = np.ceil(np.log2(np.maximum(share / _SHARE, 1))).astype(np.int64)
        bits = np.clip(wanted, _DIVIDED, _OPEN)
        ends = np.cumsum(1 << bits)
        return cls(bits, ends - (1 << bits), int(ends[-1]))

    def __call__(self, values: Values) -> NDArray[np.int64]:
        """The bin of each value, 0..count - 1; a larger value is never in a smaller bin.

        Args:
            values: float32, 0..1; what is outside is clipped.
        """
        group, rest, upward = _group(values)
        bits = self.bits[group]
        part = rest >> (_OPEN - bits)
        return self.first[group] + np.where(upward, part, (1 << bits) - 1 - part)


def _group(values: Values) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Group of each value, the rest of its bits, and whether these rise with the value."""
    values = np.clip(values, np.float32(0), np.float32(1))
    upward = values < np.float32(0.5)
    raw = np.ascontiguousarray(np.where(upward, values, np.float32(1) - values)).view(np.uint32)
    whole, rest = (raw >> _OPEN).astype(np.int64), (raw & ((1 << _OPEN) - 1)).astype(np.int64)
    rest[whole < _NEAR] = 0
    rest[upward & (whole < _LEAST)] = 0
    low = np.maximum(whole - _LEAST, 0)
    return np.where(upward, low, _LOW + np.minimum(_HALF - whole, _HALF - _NEAR)), rest, upward
