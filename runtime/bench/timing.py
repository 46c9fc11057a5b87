"""Repeating a query: a warm-up that is not counted, then as long as was asked for."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.bench.percentiles import Spread
from dmdd_edge.runtime.bench.watch import Seen, Watch

#: Runs one query and says how long its parts took, in milliseconds by the boundary's name.
Query = Callable[[int], Mapping[str, float]]


class Clock:
    """The time; tests put another in its place."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


#: Seconds that a scenario may be asked to take.
LONGEST = 7 * 24 * 3600


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        seconds: at least so long.
        fewest: at least so many queries.
        warm_up_seconds, warm_up_count: before that, at least so long and so many, which are not counted.
    """

    seconds: float
    fewest: int = 1
    warm_up_seconds: float = 0.0
    warm_up_count: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= LONGEST:
            raise OptionError(
                f"--duration is {self.seconds:g}; it must be above 0 and at most {LONGEST} seconds (a week).",
                "Give seconds, for example --duration 10.",
            )
        if not 0 <= self.warm_up_seconds < math.inf or self.warm_up_count < 0:
            raise OptionError(
                f"a warm-up of {self.warm_up_seconds:g} s and {self.warm_up_count} queries cannot be.",
                "Give --warm-up and --warm-up-count as 0 or more.",
            )


@dataclass
class Series:
    """What was measured, in order.

    Attributes:
        batch: images in a query.
        started: when each query began, in seconds from the first.
        values: milliseconds of each query by boundary.
        seconds: how long all of it took.
        seen: what went on meanwhile.
    """

    batch: int = 1
    started: array[float] = field(default_factory=lambda: array("d"))
    values: dict[str, array[float]] = field(default_factory=dict)
    seconds: float = 0.0
    seen: Seen = field(default_factory=Seen)

    @property
    def count(self) -> int:
        """How many queries."""
        return len(self.started)

    @property
    def throughput(self) -> float:
        """Images a second; 0 before anything was measured."""
        return self.batch * self.count / self.seconds if self.seconds else 0.0

    def add(self, at: float, found: Mapping[str, float]) -> None:
        """Note a query."""
        self.started.append(at)
        for name, value in found.items():
            self.values.setdefault(name, array("d")).append(value)

    def of(self, boundary: str) -> NDArray[np.float64] | None:
        """A boundary's milliseconds; None where it was not measured."""
        found = self.values.get(boundary)
        return None if not found else np.asarray(found)

    def spread(self, boundary: str) -> Spread | None:
        """How a boundary's milliseconds are spread; None where it was not measured."""
        found = self.of(boundary)
        return None if found is None else Spread.of(found)


@dataclass(frozen=True)
class Bench:
    """What every measurement is given.

    Attributes:
        clock: the time.
        watch: looks after what could spoil a measurement.
        stop: asked between two queries; true ends the measurement with what is there.
    """

    clock: Clock = field(default_factory=Clock)
    watch: Watch = field(default_factory=Watch)
    stop: Callable[[], bool] = lambda: False

    def repeat(self, query: Query, plan: Plan, batch: int = 1) -> Series:
        """Run a query over and over; it is given a running number.

        Args:
            query: what is measured.
            plan: for how long.
            batch: images in a query.
        """
        number = self.warm_up(query, plan)
        series = Series(batch)
        self.watch.start()
        began = self.clock.now()
        while not self.stop() and self._goes_on(began, series.count, plan.seconds, plan.fewest):
            at = self.clock.now() - began
            series.add(at, query(number + series.count))
            self.watch.sample()
        series.seconds = self.clock.now() - began
        series.seen = self.watch.stop()
        return series

    def warm_up(self, query: Query, plan: Plan) -> int:
        """Run a query as often as the plan's warm-up asks; returns how often that was."""
        began, number = self.clock.now(), 0
        while not self.stop() and self._goes_on(began, number, plan.warm_up_seconds, plan.warm_up_count):
            query(number)
            number += 1
        return number

    def _goes_on(self, began: float, count: int, seconds: float, fewest: int) -> bool:
        return count < fewest or self.clock.now() - began < seconds
