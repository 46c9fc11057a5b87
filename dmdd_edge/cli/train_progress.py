"""The progress of `dmdd-edge train`, and how Ctrl-C and SIGTERM end it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from dmdd_edge.cli.exit_codes import INTERRUPTED
from dmdd_edge.cli.progress import Work
from dmdd_edge.messages.phases import Cost
from dmdd_edge.train.listener import Listener

if TYPE_CHECKING:
    from dmdd_edge.train.schedule import Progress

_STUDENT = "student"


class Interrupts:
    """Lets a training step finish at the first Ctrl-C or SIGTERM; the second interrupts it.

    To be used in a ``with`` statement; outside the main thread it does nothing.

    Attributes:
        number: the signal that was received, or None.
        patient: whether the work in progress ends by itself soon once ``number`` is set.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.patient = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, frame: FrameType | None) -> None:
        first, self.number = self.number is None, number
        if not (first and self.patient):
            raise KeyboardInterrupt
        with suppress(OSError):  # a signal may interrupt another line: the console is not used here
            os.write(2, b"\nsaving a checkpoint after this step; press Ctrl-C again to stop at once\n")

    @property
    def exit_code(self) -> int:
        """The exit code of the program."""
        return 0 if self.number == signal.SIGTERM else INTERRUPTED


class TrainProgress(Listener):
    """Passes the trainer's progress to the bar, and interrupts to the trainer.

    Args:
        work: shows the progress.
        interrupts: decides whether to stop.
    """

    def __init__(self, work: Work, interrupts: Interrupts) -> None:
        self._work, self._interrupts = work, interrupts

    def say(self, text: str) -> None:
        """A line that stays."""
        self._work.say(text)

    def expect(self, costs: Iterable[Cost]) -> None:
        """The phases to come."""
        self._work.expect(costs)

    def preparing(self, what: str, done: int, total: int | None) -> None:
        """Progress of a phase other than the student's."""
        self._interrupts.patient = what == _STUDENT
        if self._interrupts.number is not None:
            raise KeyboardInterrupt  # received after the student's last step, whose checkpoint is written
        self._work.update(what, done, total)

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        """A training step was done."""
        shown = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
        if phase != _STUDENT:
            self._work.note = shown
            return
        note = f"{shown}, {images_per_second:.0f} images/s"
        self._work.update(_STUDENT, progress.step, progress.expected_steps, note)

    def stop_asked(self) -> bool:
        """Whether a signal was received."""
        return self._interrupts.number is not None


def after_stop(folder: Path, category: str) -> tuple[str, str | None]:
    """The state of a stopped training in words, and the next command; None if there is nothing to resume.

    Args:
        folder: of the run.
        category: its category.
    """
    from dmdd_edge.messages.commands import command, run_options
    from dmdd_edge.run_store.mirror import address_of, shown
    from dmdd_edge.train.run_folder import checkpoint_step, state_of

    resume = command("train", resume=True, **run_options(folder, category))
    state = state_of(folder)
    if state == "finished" and address_of(folder.parent) is not None:
        return f"The training is finished; the run is in {folder} and may not be sent yet.", resume
    if state in ("trained", "finished"):
        return "The training is finished; only the figures on the test images are missing.", resume
    if state == "unfinished":
        step = checkpoint_step(folder)
        what = "the checkpoint" if step is None else f"the checkpoint of step {step}"
        return f"Stopped; {what} is in {shown(folder)}.", resume
    return "Stopped before the first checkpoint; there is nothing to resume.", None
