"""How many times as long one side takes as another, and between what limits that is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import OptionError

#: How sure the interval is, and the quantile of the normal distribution that belongs to it.
CONFIDENCE, _NORMAL = 0.95, 1.959964

#: Of fewer queries of a side nothing can be said, nor of fewer rounds.
FEWEST, FEWEST_ROUNDS = 8, 3

#: So large a share of the rounds is left out at either end.
_TRIMMED = 0.2

#: A run is cut into at most so many blocks, which are drawn so often.
_BLOCKS, _DRAWS = 50, 1000

#: So many values are gone through at once, which bounds the memory that it takes.
_AT_ONCE = 2_000_000

#: Milliseconds of A and of B, in a round.
Round = tuple[NDArray[np.float64], NDArray[np.float64]]


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


def ratio_of_rounds(rounds: Sequence[Round]) -> Ratio:
    """The ratio of two sides that took turns, in several rounds of a run.

    Each round gives a ratio of medians. What disturbs a round disturbs both of its sides; what a side is
    given when it is opened, such as where its weights lie in memory, stays for a round. So what repeats is
    rounds, not queries. A burst of other work that meets one side alone spoils its round, so a fifth of the
    rounds is left out at either end: the ratio is the geometric mean of the others, its interval that of Yuen
    for a trimmed mean, over logarithms.

    Args:
        rounds: at least three.

    Raises:
        DmddError: fewer than three rounds, or fewer than 8 queries of a side.
    """
    queries = min(sum(len(pair[side]) for pair in rounds) for side in (0, 1)) if rounds else 0
    whole = [pair for pair in rounds if len(pair[0]) and len(pair[1])]
    _require(queries)
    if len(whole) < FEWEST_ROUNDS:
        raise OptionError(
            f"{len(whole)} rounds are too few to compare; at least {FEWEST_ROUNDS} are needed.",
            "Let it run for longer: --duration 30",
        )
    logs = np.sort(np.log([np.median(b) / np.median(a) for a, b in whole]))
    count, cut = len(logs), int(_TRIMMED * len(logs))
    kept = logs[cut : count - cut]
    # Yuen: what is left out counts as the nearest that is kept.
    deviation = float(np.clip(logs, kept[0], kept[-1]).std(ddof=1))
    error = deviation * math.sqrt((count - 1) / (len(kept) * (len(kept) - 1)))
    reach = student(len(kept) - 1) * error
    middle = float(kept.mean())
    return Ratio(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach))


def separate_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> Ratio:
    """The ratio of two sides that were measured apart, by drawing blocks of each with replacement.

    Neighbouring queries are alike, so whole blocks are drawn. What differed between the runs is not in it.

    Args:
        a, b: milliseconds, in order.

    Raises:
        DmddError: fewer than 8 queries of a side.
    """
    drawn = _medians(b, seed=1) / _medians(a, seed=0)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    value = float(np.median(b) / np.median(a))
    return Ratio(value, min(float(low), value), max(float(high), value))


def student(freedom: int) -> float:
    """The quantile of Student's distribution that 95 % lie within, to 1 % from 2 degrees of freedom on.

    Args:
        freedom: degrees of freedom.
    """
    if freedom == 2:
        return 4.302653  # the series below is not good enough there
    z = _NORMAL
    return float(
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _require(count: int) -> None:
    if count < FEWEST:
        raise OptionError(
            f"{count} queries of a side are too few to compare; at least {FEWEST} are needed.",
            "Measure for longer: --duration 30",
        )


def _medians(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The medians of many draws of blocks."""
    _require(len(values))
    length = -(-len(values) // _BLOCKS)
    blocks = values[: len(values) // length * length].reshape(-1, length)  # what is left over is left out
    draws = np.random.default_rng(seed).integers(0, len(blocks), (_DRAWS, len(blocks)))
    step = max(_AT_ONCE // blocks.size, 1)
    parts = [draws[first : first + step] for first in range(0, _DRAWS, step)]
    return np.concatenate([np.median(blocks[part].reshape(len(part), -1), axis=1) for part in parts])
