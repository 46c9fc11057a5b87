"""The ratio of two medians, with a confidence interval from blocks of the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError

#: How sure the interval is.
CONFIDENCE = 0.95

#: Of fewer queries of a side nothing can be said.
FEWEST = 8

#: The run is cut into at most so many blocks, which are drawn so often.
_BLOCKS, _DRAWS = 50, 1000

#: So many values are gone through at once, which bounds the memory that it takes.
_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Ratio:
    """How many times A's median B's is; below 1, B is faster.

    Attributes:
        value: median of B / median of A.
        low, high: its interval at 95 % confidence.
    """

    value: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves 1 out."""
        return not self.low <= 1 <= self.high


def paired_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> Ratio:
    """The ratio of two sides that took turns.

    Whole blocks of the run are drawn with replacement, the same for both sides: neighbouring queries are
    alike, and what disturbs one side disturbs the other too, so neither are drawn by themselves.

    Args:
        a, b: milliseconds, in order and as many of each: turn by turn.

    Raises:
        DmddError: fewer than 8 turns.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} queries did not take turns")
    blocks_a, blocks_b = _blocks(a), _blocks(b)
    draws = _draws(len(blocks_a))
    drawn = _medians(blocks_b, draws) / _medians(blocks_a, draws)
    return _interval(float(np.median(b) / np.median(a)), drawn)


def separate_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> Ratio:
    """The ratio of two sides that were measured apart; blocks of each are drawn by themselves.

    Args:
        a, b: milliseconds, in order.

    Raises:
        DmddError: fewer than 8 queries of a side.
    """
    blocks_a, blocks_b = _blocks(a), _blocks(b)
    drawn = _medians(blocks_b, _draws(len(blocks_b), 1)) / _medians(blocks_a, _draws(len(blocks_a), 0))
    return _interval(float(np.median(b) / np.median(a)), drawn)


def _blocks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values cut into blocks of equal length, one a row; what is left at the end is left out."""
    count = len(values)
    if count < FEWEST:
        raise DmddError(
            f"{count} queries of a side are too few to compare; at least {FEWEST} are needed.",
            "Measure for longer: --duration 30",
        )
    length = -(-count // _BLOCKS)
    return values[: count // length * length].reshape(-1, length)


def _draws(blocks: int, seed: int = 0) -> NDArray[np.intp]:
    """Which blocks are drawn, one draw a row."""
    return np.random.default_rng(seed).integers(0, blocks, (_DRAWS, blocks))


def _medians(blocks: NDArray[np.float64], draws: NDArray[np.intp]) -> NDArray[np.float64]:
    """The median of each draw."""
    step = max(_AT_ONCE // blocks.size, 1)
    parts = [draws[first : first + step] for first in range(0, len(draws), step)]
    return np.concatenate([np.median(blocks[part].reshape(len(part), -1), axis=1) for part in parts])


def _interval(value: float, found: NDArray[np.float64]) -> Ratio:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(found, [tail, 100 - tail])
    return Ratio(value, min(float(low), value), max(float(high), value))
