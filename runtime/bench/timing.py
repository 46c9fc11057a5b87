"""Repeat a query: a warm-up that is not counted, then the requested duration."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.bench.interference import Interference, InterferenceWatch
from dmdd_edge.runtime.bench.statistics import Spread

#: Runs one query and returns the duration of its parts in milliseconds, by the boundary's name.
Query = Callable[[int], Mapping[str, float]]


class Clock:
    """The time; tests replace it."""

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


#: Longest duration of a scenario, in seconds.
LONGEST = 7 * 24 * 3600


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        seconds: minimum duration.
        fewest: minimum number of queries.
        warm_up_seconds, warm_up_count: minimum duration and number of warm-up queries, which are not counted.
    """

    seconds: float
    fewest: int = 1
    warm_up_seconds: float = 0.0
    warm_up_count: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= LONGEST:
            raise OptionError(
                f"--duration must be above 0 and at most {LONGEST} seconds (a week), got {self.seconds:g}.",
                "Give seconds, for example --duration 10.",
            )
        if not 0 <= self.warm_up_seconds < math.inf or self.warm_up_count < 0:
            raise OptionError(
                f"A warm-up of {self.warm_up_seconds:g} s and {self.warm_up_count} queries is impossible.",
                "Give --warm-up and --warm-up-count as 0 or more.",
            )


@dataclass
class Series:
    """The queries of a measurement, in order.

    Attributes:
        batch: images per query.
        started: when each query began, in seconds from the first.
        values: milliseconds of each query by boundary.
        seconds: total duration.
        interference: what disturbed the measurement.
    """

    batch: int = 1
    started: array[float] = field(default_factory=lambda: array("d"))
    values: dict[str, array[float]] = field(default_factory=dict)
    seconds: float = 0.0
    interference: Interference = field(default_factory=Interference)

    @property
    def count(self) -> int:
        """Number of queries."""
        return len(self.started)

    @property
    def throughput(self) -> float:
        """Images per second; 0 before the first query."""
        return self.batch * self.count / self.seconds if self.seconds else 0.0

    def add(self, at: float, parts: Mapping[str, float]) -> None:
        """Append a query: when it began, and milliseconds by boundary."""
        self.started.append(at)
        for name, value in parts.items():
            self.values.setdefault(name, array("d")).append(value)

    def of(self, boundary: str) -> NDArray[np.float64] | None:
        """A boundary's milliseconds; None where it was not measured."""
        values = self.values.get(boundary)
        return None if not values else np.asarray(values)

    def spread(self, boundary: str) -> Spread | None:
        """The distribution of a boundary's milliseconds; None where it was not measured."""
        values = self.of(boundary)
        return None if values is None else Spread.of(values)


@dataclass(frozen=True)
class Bench:
    """What every measurement needs.

    Attributes:
        clock: the time.
        watch: detects interference.
        stop: polled between two queries; true ends the measurement with the queries so far.
    """

    clock: Clock = field(default_factory=Clock)
    watch: InterferenceWatch = field(default_factory=InterferenceWatch)
    stop: Callable[[], bool] = lambda: False

    def repeat(self, query: Query, plan: Plan, batch: int = 1) -> Series:
        """Run a query repeatedly; its argument is a running number.

        Args:
            query: what is measured.
            plan: for how long.
            batch: images per query.
        """
        number = self.warm_up(query, plan)
        series = Series(batch)
        self.watch.start()
        began = self.clock.now()
        while not self.stop() and self._continues(began, series.count, plan.seconds, plan.fewest):
            at = self.clock.now() - began
            series.add(at, query(number + series.count))
            self.watch.sample()
        series.seconds = self.clock.now() - began
        series.interference = self.watch.stop()
        return series

    def warm_up(self, query: Query, plan: Plan) -> int:
        """Run the plan's warm-up; return the number of queries."""
        began, number = self.clock.now(), 0
        while not self.stop() and self._continues(began, number, plan.warm_up_seconds, plan.warm_up_count):
            query(number)
            number += 1
        return number

    def _continues(self, began: float, count: int, seconds: float, fewest: int) -> bool:
        return count < fewest or self.clock.now() - began < seconds
