"""The events of a training, and the requests to it: the command line draws its progress from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dmdd_edge.messages.phases import Cost

if TYPE_CHECKING:
    from dmdd_edge.train.schedule import Progress


class Stopped(KeyboardInterrupt):
    """Training ended early because the listener requested it; the checkpoint is written."""


class Listener:
    """Receives all events and ignores them; subclasses override what they need."""

    def say(self, text: str) -> None:
        """A line for the log."""

    def note(self, text: str) -> None:
        """A line for the log only: the command prints it elsewhere, or few need it."""

    def expect(self, costs: Iterable[Cost]) -> None:
        """The phases to come, with their expected costs."""

    def preparing(self, what: str, done: int, total: int | None) -> None:
        """Progress of a phase other than the student's; ``total`` is None where it is unknown."""

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        """A training step was done."""

    def saved(self, what: str) -> None:
        """The run's folder holds a state that can be continued.

        Args:
            what: the state, for people, such as "the checkpoint of step 40".
        """

    def reserve(self) -> float | None:
        """Seconds that everything after the student's training is expected to take; None if unknown."""
        return None

    def stop_asked(self) -> bool:
        """Whether training must save a checkpoint and end now."""
        return False
