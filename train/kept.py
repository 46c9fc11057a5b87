"""Passes on the events of a training, and sends each state that is whole to the store of its run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dmdd_edge.messages.phases import Cost
from dmdd_edge.train.listener import Listener

if TYPE_CHECKING:
    from dmdd_edge.run_store.keeper import Keeper
    from dmdd_edge.train.schedule import Progress


class Kept(Listener):
    """A listener in front of another one.

    Args:
        listener: receives everything.
        keeper: sends what is saved.
    """

    def __init__(self, listener: Listener, keeper: Keeper) -> None:
        self._listener, self._keeper = listener, keeper

    def say(self, text: str) -> None:
        """A line for the log."""
        self._listener.say(text)

    def note(self, text: str) -> None:
        """A line for the log only."""
        self._listener.note(text)

    def expect(self, costs: Iterable[Cost]) -> None:
        """The phases to come."""
        self._listener.expect(costs)

    def preparing(self, what: str, done: int, total: int | None) -> None:
        """Progress of a phase other than the student's."""
        self._keeper.check(self.say)
        self._listener.preparing(what, done, total)

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        """A training step was done."""
        self._keeper.check(self.say)
        self._listener.step(phase, progress, losses, images_per_second)

    def saved(self, what: str) -> None:
        """Send what is saved, while the training continues."""
        self._keeper.saved(what)
        self._listener.saved(what)

    def reserve(self) -> float | None:
        """Seconds that everything after the student's training is expected to take."""
        return self._listener.reserve()

    def stop_asked(self) -> bool:
        """Whether training must save a checkpoint and end now."""
        return self._listener.stop_asked()
