"""Progress of a run, by steps, epochs or the clock, and the learning rate that follows from it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.length import steps_of

#: Number of steps before the clock's estimate of the run's length is used.
_MEASURE = 5
#: Smallest share of a --max-minutes budget for the student, however long the later phases take.
_LEAST_SHARE = 0.4


@dataclass
class Progress:
    """Progress through a run, 0..1.

    With ``steps`` or ``epochs`` it is step / total. With ``max_minutes`` alone, each step advances it by
    the measured time per step, so that the schedule ends when time runs out.

    Attributes:
        total: steps of the run, None when the clock decides.
        deadline: value of ``time.monotonic()`` at which the student's training must be over, or None.
        step: steps done.
        fraction: progress, 0..1.
        seconds_per_step: running mean of the time per step.
        started: value of ``time.monotonic()`` when the run began, preparation included.
        budget: seconds that the whole run may take, or None.
    """

    total: int | None
    deadline: float | None
    step: int = 0
    fraction: float = 0.0
    seconds_per_step: float = 0.0
    started: float = 0.0
    budget: float | None = None

    @classmethod
    def plan(cls, config: TrainConfig, images: int, started: float, reserve: float) -> Progress:
        """The plan of a run.

        Args:
            config: of the run.
            images: count of training images.
            started: ``time.monotonic()`` when the run began, preparation included.
            reserve: seconds to keep for what follows the student's training.
        """
        total = steps_of(config, images)
        budget = None if config.max_minutes is None else 60.0 * config.max_minutes
        progress = cls(total, None, started=started, budget=budget)
        progress.keep(reserve)
        return progress

    def keep(self, reserve: float) -> None:
        """Move the deadline so that this many seconds of the budget are left for the later phases."""
        if self.budget is not None:
            self.deadline = self.started + max(self.budget - reserve, _LEAST_SHARE * self.budget)

    @property
    def expected_steps(self) -> int | None:
        """Number of steps at which the student's training is expected to end; None if unknown."""
        by_clock = None
        if self.deadline is not None and self.seconds_per_step > 0:
            by_clock = self.step + max(round((self.deadline - time.monotonic()) / self.seconds_per_step), 0)
        if self.total is None or by_clock is None:
            return by_clock if self.total is None else self.total
        return min(self.total, by_clock)

    def advance(self, seconds: float) -> None:
        """Count a step that took this long."""
        self.step += 1
        weight = max(1.0 / self.step, 0.05)
        self.seconds_per_step += weight * (seconds - self.seconds_per_step)
        if self.total is not None:
            self.fraction = min(1.0, self.step / self.total)
        elif self.step >= _MEASURE:
            left = max(self.seconds_left(), 0.0) / max(self.seconds_per_step, 1e-9)
            self.fraction += (1.0 - self.fraction) / max(left, 1.0)

    def seconds_left(self) -> float:
        """Estimated seconds until the end."""
        by_clock = math.inf if self.deadline is None else self.deadline - time.monotonic()
        if self.total is None:
            return by_clock
        return min(by_clock, (self.total - self.step) * self.seconds_per_step)

    @property
    def done(self) -> bool:
        """Whether the run is over."""
        if self.total is not None and self.step >= self.total:
            return True
        return self.deadline is not None and time.monotonic() + self.seconds_per_step > self.deadline


def learning_rate(config: TrainConfig, progress: float) -> float:
    """The student's learning rate at a progress of 0..1."""
    if config.schedule == "constant":
        return config.lr
    return config.lr * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
