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
_BLOCKS, _DRAWS = 50, 2000


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
    count = _blocks(len(a))
    cuts = np.linspace(0, len(a), count + 1).astype(int)
    rng = np.random.default_rng(0)
    pieces_a, pieces_b = np.split(a, cuts[1:-1]), np.split(b, cuts[1:-1])
    found = []
    for _ in range(_DRAWS):
        chosen = rng.integers(0, count, count)
        drawn_a = np.concatenate([pieces_a[i] for i in chosen])
        drawn_b = np.concatenate([pieces_b[i] for i in chosen])
        found.append(np.median(drawn_b) / np.median(drawn_a))
    return _interval(float(np.median(b) / np.median(a)), found)


def separate_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> Ratio:
    """The ratio of two sides that were measured apart; blocks of each are drawn by themselves.

    Args:
        a, b: milliseconds, in order.

    Raises:
        DmddError: fewer than 8 queries of a side.
    """
    rng = np.random.default_rng(0)
    medians = []
    for values in (a, b):
        count = _blocks(len(values))
        pieces = np.split(values, np.linspace(0, len(values), count + 1).astype(int)[1:-1])
        draws = rng.integers(0, count, (_DRAWS, count))
        medians.append(np.array([np.median(np.concatenate([pieces[i] for i in chosen])) for chosen in draws]))
    return _interval(float(np.median(b) / np.median(a)), list(medians[1] / medians[0]))


def _blocks(count: int) -> int:
    if count < FEWEST:
        raise DmddError(
            f"{count} queries of a side are too few to compare; at least {FEWEST} are needed.",
            "Measure for longer: --duration 30",
        )
    return min(_BLOCKS, count)


def _interval(value: float, found: list[float]) -> Ratio:
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(found, [tail, 100 - tail])
    return Ratio(value, min(float(low), value), max(float(high), value))
