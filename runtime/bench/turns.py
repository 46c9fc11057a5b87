"""Two things measured in one run, taking turns, until their ratio is known closely enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.bench.ratio import FEWEST, paired_ratio
from dmdd_edge.runtime.bench.timing import Bench, Plan, Query
from dmdd_edge.runtime.bench.watch import Reason, Seen

#: The order in which two sides take turns; each follows itself and the other equally often.
_ORDER = (0, 1, 1, 0)

#: Two sides go on until the interval of their ratio reaches no further than this from it, in parts of the
#: plan's seconds, and no more than so many parts.
CLOSE, MOST_PARTS = 0.01, 12


@dataclass(frozen=True)
class Turns:
    """What was measured.

    Attributes:
        values: milliseconds of the host call of each side, in order; as many of both.
        seen: what went on meanwhile.
        seconds: how long it took.
    """

    values: tuple[NDArray[np.float64], ...]
    seen: Seen
    seconds: float


def take_turns(queries: Sequence[Query], plan: Plan, bench: Bench, most_parts: int = MOST_PARTS) -> Turns:
    """Measure one or two sides.

    Args:
        queries: each gives the boundary ``call``, and gets a running number of its own, so that both sides
            take the same images.
        plan: seconds of a part, and the warm-up before the first.
        bench: clock and watch; its ``stop`` ends it early.
        most_parts: as ``MOST_PARTS``.
    """
    turns = _Turns(queries)
    number = turns.next_round(bench.warm_up(turns.take, plan))
    part = Plan(plan.seconds, plan.fewest * turns.length)
    found: list[list[NDArray[np.float64]]] = [[] for _ in queries]
    reasons: list[Reason] = []
    facts: dict[str, object] = {}
    seconds = 0.0
    for _ in range(most_parts if len(queries) > 1 else 1):
        turns.first = number
        series = bench.repeat(turns.take, part)
        number = turns.next_round(number + series.count)
        reasons += series.seen.reasons
        facts, seconds = series.seen.facts, seconds + series.seconds
        values = [np.empty(0) if (item := series.of(str(i))) is None else item for i in range(len(queries))]
        short = min(len(item) for item in values)
        for kept, item in zip(found, values, strict=True):
            kept.append(item[:short])
        if bench.stop() or (len(queries) > 1 and _is_close(found)):
            break
    return Turns(tuple(np.concatenate(parts) for parts in found), Seen(tuple(reasons), facts), seconds)


class _Turns:
    """Whose turn it is.

    Attributes:
        first: the number of the first turn of a part.
        length: turns in a round.
    """

    def __init__(self, queries: Sequence[Query]) -> None:
        self._queries = queries
        self._order = _ORDER if len(queries) == 2 else (0,)
        self.first = 0
        self.length = len(self._order)

    def take(self, number: int) -> dict[str, float]:
        """The turn of a number, counted from the part's first: milliseconds by the side's number."""
        number += self.first
        side = self._order[number % self.length]
        return {str(side): self._queries[side](number // len(self._queries))["call"]}

    def next_round(self, number: int) -> int:
        """The first turn of the next round: one that was cut short would shift who begins."""
        return -(-number // self.length) * self.length


def _is_close(found: Sequence[Sequence[NDArray[np.float64]]]) -> bool:
    a, b = (np.concatenate(parts) for parts in found)
    if len(a) < FEWEST:
        return False
    ratio = paired_ratio(a, b)
    return ratio.high - ratio.low <= 2 * CLOSE * ratio.value
