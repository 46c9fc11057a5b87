"""Two things measured in one run, taking turns, in rounds, until their ratio is known closely enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.ratio import Ratio, ratio_of_rounds
from dmdd_edge.runtime.bench.timing import Bench, Plan, Query
from dmdd_edge.runtime.bench.watch import Reason, Seen

#: The order in which two sides take turns; each follows itself and the other equally often.
_ORDER = (0, 1, 1, 0)

#: A run is cut into so many rounds, each with both sides opened anew.
ROUNDS = 12

#: It goes on until the ratio's interval reaches no further than this from it, so many times as long at most.
CLOSE, MOST_TIMES = 0.01, 20

#: After so many times as long as was asked for, and again after as long, it is said how far it is.
_TOLD = 4

#: Opens the sides for a round, A first or B first as it is told, and gives their queries, A's first.
OpenSides = Callable[[bool], AbstractContextManager[Sequence[Query]]]


@dataclass(frozen=True)
class Turns:
    """What was measured.

    Attributes:
        rounds: of each, milliseconds of the host call by side, in order.
        seen: what went on meanwhile.
        seconds: how long it took, without opening.
    """

    rounds: tuple[tuple[NDArray[np.float64], ...], ...]
    seen: Seen
    seconds: float

    def values(self, side: int) -> NDArray[np.float64]:
        """A side's milliseconds, of all rounds."""
        return np.concatenate([np.empty(0), *(found[side] for found in self.rounds)])

    @property
    def ratios(self) -> tuple[float, ...]:
        """Of two sides: B's median over A's in each round that both had a turn in."""
        whole = [found for found in self.rounds if len(found[0])]
        return tuple(float(np.median(found[1]) / np.median(found[0])) for found in whole)

    @property
    def ratio(self) -> Ratio:
        """Of two sides.

        Raises:
            DmddError: too little was measured.
        """
        return ratio_of_rounds([(found[0], found[1]) for found in self.rounds])


def take_turns(
    open_sides: OpenSides,
    plan: Plan,
    bench: Bench,
    most_times: float = MOST_TIMES,
    rounds: int = ROUNDS,
    say: Callable[[str], None] = lambda text: None,
) -> Turns:
    """Measure one or two sides.

    Where a side's weights happen to lie in memory can make it a few percent faster or slower for as long as
    it is open. So both are opened anew for each round, and take turns in being the first.

    Args:
        open_sides: see ``OpenSides``; queries give the boundary ``call`` and get a running number of their
            own, so that both sides take the same images.
        plan: seconds of all rounds together. The warm-up is before the first; later ones have its count only.
        bench: clock and watch; its ``stop`` ends it early.
        most_times: as ``MOST_TIMES``; 1 does not go on.
        rounds: as ``ROUNDS``.
        say: told when it goes on.
    """
    part = replace(plan, seconds=plan.seconds / rounds)
    measured: list[tuple[NDArray[np.float64], ...]] = []
    reasons: list[Reason] = []
    seen, seconds = Seen(), 0.0
    for number in range(round(rounds * most_times)):
        with open_sides(number % 2 == 0) as queries:
            two = len(queries) == 2
            turns = _Turns(queries)
            turns.skip(bench.warm_up(turns.take, part))
            series = bench.repeat(
                turns.take,
                replace(part, fewest=part.fewest * turns.length, warm_up_count=0, warm_up_seconds=0),
            )
        part = replace(part, warm_up_seconds=0.0)
        seen, seconds = series.seen, seconds + series.seconds
        reasons += seen.reasons
        found = [np.empty(0) if (item := series.of(str(i))) is None else item for i in range(len(queries))]
        short = min(len(item) for item in found)
        measured.append(tuple(item[:short] for item in found))
        if bench.stop():
            break
        if len(measured) < rounds:
            continue
        ratio = _ratio(measured) if two else None
        if not two or (ratio is not None and ratio.high - ratio.low <= 2 * CLOSE * ratio.value):
            break
        if ratio is not None and len(measured) % (_TOLD * rounds) == 0:
            say(f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f}) so far; it goes on")
    return Turns(tuple(measured), Seen(tuple(reasons), seen.facts), seconds)


class _Turns:
    """Whose turn it is."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._queries = queries
        self._order = _ORDER if len(queries) == 2 else (0,)
        self._first = 0
        self.length = len(self._order)

    def take(self, number: int) -> dict[str, float]:
        """The turn of a number: milliseconds by the side's number."""
        number += self._first
        side = self._order[number % self.length]
        return {str(side): self._queries[side](number // len(self._queries))["call"]}

    def skip(self, number: int) -> None:
        """Go on with the round of turns after these: one that was cut short would shift who begins."""
        self._first = -(-number // self.length) * self.length


def _ratio(rounds: Sequence[tuple[NDArray[np.float64], ...]]) -> Ratio | None:
    """The ratio so far; None where too little was measured."""
    try:
        return ratio_of_rounds([(found[0], found[1]) for found in rounds])
    except DmddError:
        return None
