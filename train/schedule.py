"""How far a run has come: by steps, by epochs or by the clock, and the learning rate that follows from it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from dmdd_edge.train.config import TrainConfig

#: Steps before the clock's estimate of the run's length is used.
_MEASURE = 5


@dataclass
class Progress:
    """Progress through a run, 0..1.

    With ``steps`` or ``epochs`` it is step / total. With ``max_minutes`` alone, each step advances it by what
    the measured time a step leaves, so that the schedule ends as time runs out.

    Attributes:
        total: steps of the run, None when the clock decides.
        deadline: value of ``time.monotonic()`` at which the student's training must be over, or None.
        step: steps done.
        fraction: progress made, 0..1.
        seconds_per_step: running mean of the time a step takes.
    """

    total: int | None
    deadline: float | None
    step: int = 0
    fraction: float = 0.0
    seconds_per_step: float = 0.0

    @classmethod
    def plan(cls, config: TrainConfig, images: int, started: float, reserve: float) -> Progress:
        """The plan of a run.

        Args:
            config: with at least one length set.
            images: count of training images.
            started: ``time.monotonic()`` when the run began, preparation included.
            reserve: seconds to keep for what follows the student's training.
        """
        total = config.steps
        if config.epochs is not None:
            total = max(1, math.ceil(config.epochs * images / config.batch_size))
        deadline = None
        if config.max_minutes is not None:
            deadline = started + max(60.0 * config.max_minutes - reserve, 1.0)
        return cls(total, deadline)

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
