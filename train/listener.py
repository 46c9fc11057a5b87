"""What the trainer tells while it works, and what it asks: the command line draws progress from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dmdd_edge.messages.phases import Cost

if TYPE_CHECKING:
    from dmdd_edge.train.schedule import Progress


class Stopped(KeyboardInterrupt):
    """Training ended early because the listener asked for it; the checkpoint is written."""


class Listener:
    """Hears of everything and asks for nothing; subclasses do more."""

    def say(self, text: str) -> None:
        """A line for the log."""

    def note(self, text: str) -> None:
        """A line for the log alone: what the command says in its own place, or what few ask for."""

    def expect(self, costs: Iterable[Cost]) -> None:
        """The phases to come, with what they are expected to take."""

    def preparing(self, what: str, done: int, total: int | None) -> None:
        """Progress of a phase other than the student's; ``total`` is None where it is unknown."""

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        """A training step was done."""

    def reserve(self) -> float | None:
        """Seconds that all after the student's training is expected to take; None where that is unknown."""
        return None

    def stop_asked(self) -> bool:
        """Whether training is to save a checkpoint and end now."""
        return False
