"""Interleave two operands in one run, round by round, until their ratio is precise enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.interference import Interference, Reason
from dmdd_edge.runtime.bench.statistics import Ratio, ratio_of_rounds
from dmdd_edge.runtime.bench.timing import Bench, Plan, Query

#: The order in which two operands alternate; each follows itself and the other equally often.
_ORDER = (0, 1, 1, 0)

#: Rounds of a run; both operands are opened again for each.
ROUNDS = 12

#: The run continues until the ratio's interval is within this share of it, at most this many times as long.
CLOSE, MOST_TIMES = 0.01, 20

#: Progress is reported every time this multiple of the requested duration has passed.
_REPORT_EVERY = 4

#: Opens the operands for a round, A first if its argument is true, and yields their queries, A's first.
OpenOperands = Callable[[bool], AbstractContextManager[Sequence[Query]]]


@dataclass(frozen=True)
class Interleaved:
    """The measurements of a run.

    Attributes:
        rounds: per round, milliseconds of the host call by operand, in order.
        interference: what disturbed the run.
        seconds: duration without opening.
    """

    rounds: tuple[tuple[NDArray[np.float64], ...], ...]
    interference: Interference
    seconds: float

    def values(self, operand: int) -> NDArray[np.float64]:
        """An operand's milliseconds, of all rounds."""
        return np.concatenate([np.empty(0), *(values[operand] for values in self.rounds)])

    @property
    def ratios(self) -> tuple[float, ...]:
        """With two operands: B's median over A's in each round in which both were measured."""
        whole = [values for values in self.rounds if len(values[0])]
        return tuple(float(np.median(values[1]) / np.median(values[0])) for values in whole)

    @property
    def ratio(self) -> Ratio:
        """With two operands: B's median over A's.

        Raises:
            DmddError: too few queries or rounds.
        """
        return ratio_of_rounds([(values[0], values[1]) for values in self.rounds])


def interleave(
    open_operands: OpenOperands,
    plan: Plan,
    bench: Bench,
    most_times: float = MOST_TIMES,
    rounds: int = ROUNDS,
    say: Callable[[str], None] = lambda text: None,
) -> Interleaved:
    """Measure one or two operands.

    Where an operand's weights happen to be placed in memory can make it a few percent faster or slower for
    as long as it is open. So both are opened again for each round, and alternate in being the first.

    Args:
        open_operands: see ``OpenOperands``; queries return the boundary ``call``, and each operand's are
            numbered separately, so that both use the same images.
        plan: seconds of all rounds together. The whole warm-up precedes the first round; later rounds have
            its count only.
        bench: clock and watch; its ``stop`` ends the run early.
        most_times: as ``MOST_TIMES``; 1 never extends the run.
        rounds: as ``ROUNDS``.
        say: called with progress when the run is extended.
    """
    part = replace(plan, seconds=plan.seconds / rounds)
    measured: list[tuple[NDArray[np.float64], ...]] = []
    reasons: list[Reason] = []
    interference, seconds = Interference(), 0.0
    for number in range(round(rounds * most_times)):
        with open_operands(number % 2 == 0) as queries:
            two = len(queries) == 2
            schedule = _Schedule(queries)
            schedule.skip(bench.warm_up(schedule.run, part))
            series = bench.repeat(
                schedule.run,
                replace(part, fewest=part.fewest * schedule.length, warm_up_count=0, warm_up_seconds=0),
            )
        part = replace(part, warm_up_seconds=0.0)
        interference, seconds = series.interference, seconds + series.seconds
        reasons += interference.reasons
        values = [np.empty(0) if (item := series.of(str(i))) is None else item for i in range(len(queries))]
        shortest = min(len(item) for item in values)
        measured.append(tuple(item[:shortest] for item in values))
        if bench.stop():
            break
        if len(measured) < rounds:
            continue
        ratio = _ratio(measured) if two else None
        if not two or (ratio is not None and ratio.high - ratio.low <= 2 * CLOSE * ratio.value):
            break
        if ratio is not None and len(measured) % (_REPORT_EVERY * rounds) == 0:
            say(f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f}) so far; still measuring")
    return Interleaved(tuple(measured), Interference(tuple(reasons), interference.facts), seconds)


class _Schedule:
    """Which operand runs when."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._queries = queries
        self._order = _ORDER if len(queries) == 2 else (0,)
        self._first = 0
        self.length = len(self._order)

    def run(self, number: int) -> dict[str, float]:
        """Run the query of a number: milliseconds by the operand's index."""
        number += self._first
        operand = self._order[number % self.length]
        return {str(operand): self._queries[operand](number // len(self._queries))["call"]}

    def skip(self, number: int) -> None:
        """Continue after these at the start of the order: a partial pass would shift who begins."""
        self._first = -(-number // self.length) * self.length


def _ratio(rounds: Sequence[tuple[NDArray[np.float64], ...]]) -> Ratio | None:
    """The ratio so far; None with too few queries or rounds."""
    try:
        return ratio_of_rounds([(values[0], values[1]) for values in rounds])
    except DmddError:
        return None
