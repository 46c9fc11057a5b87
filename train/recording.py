"""Records the messages of a training in the run's log and in TensorBoard while passing them on.

A log that cannot be written does not end a training: it is reported once, and the lines are lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.errors import TrainingError
from dmdd_edge.extras import install_command
from dmdd_edge.messages.phases import Cost, Phases, clock_text
from dmdd_edge.train import costs
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.run_folder import LOG as LOG

if TYPE_CHECKING:
    from dmdd_edge.train.schedule import Progress

_LOG_SECONDS = 10.0


class LogFile(logging.FileHandler):
    """A log file that may fail.

    Args:
        path: of the file; lines are added to it.
        failed: called once, with the reason, when a line cannot be written.
    """

    def __init__(self, path: Path, failed: Callable[[str], None]) -> None:
        super().__init__(path, encoding="utf-8", delay=True, errors="backslashreplace")
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._failed: Callable[[str], None] | None = failed

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or lose it."""
        try:
            if self.stream is None:
                self.stream = self._open()
            self.stream.write(self.format(record) + self.terminator)
            self.stream.flush()
        except OSError as error:
            if self._failed is not None:
                report, self._failed = self._failed, None
                report(str(error.strerror or error))

    def close(self) -> None:
        """Close the file; what could not be written stays unwritten."""
        with suppress(OSError):
            super().close()


@contextmanager
def recording(folder: Path, listener: Listener, tensorboard: bool) -> Iterator[Recorder]:
    """Record a training into a run's folder and pass everything on to the listener."""
    logger = logging.getLogger(f"dmdd_edge.train.{folder.name}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    path = folder / LOG
    handler = LogFile(
        path, lambda reason: listener.say(f"The log {path} cannot be written ({reason}). Training continues.")
    )
    logger.addHandler(handler)
    writer = _tensorboard_writer(folder) if tensorboard else None
    try:
        yield Recorder(listener, logger, writer)
    finally:
        logger.removeHandler(handler)
        handler.close()
        if writer is not None:
            writer.close()


def _tensorboard_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainingError(
            "TensorBoard is not installed.", fix=f"Install it: {install_command('tensorboard')}"
        ) from None
    return SummaryWriter(str(folder / "tensorboard"))


class Recorder(Listener):
    """Passes on the trainer's events, and writes them to the log and to TensorBoard.

    Args:
        listener: receives everything.
        logger: writes the log.
        writer: TensorBoard's, or None.
    """

    def __init__(self, listener: Listener, logger: logging.Logger, writer: Any) -> None:
        self.listener, self.logger, self.writer = listener, logger, writer
        self.phases = Phases()
        self._logged = 0.0

    def say(self, text: str) -> None:
        """A line for the log."""
        self.logger.info(text)
        self.listener.say(text)

    def note(self, text: str) -> None:
        """A line for the log alone."""
        self.logger.info(text)

    def expect(self, costs: Iterable[Cost]) -> None:
        """The phases to come."""
        phases = list(costs)
        self.phases.expect(phases)
        self.listener.expect(phases)

    def preparing(self, what: str, done: int, total: int | None) -> None:
        """Progress of a phase other than the student's."""
        if self.phases.update(what, done, total):
            self.logger.info("%s", what if total is None else f"{what}: {total}")
        self.listener.preparing(what, done, total)

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        """A training step was done."""
        if phase == costs.STUDENT:
            self.phases.update(phase, progress.step, progress.expected_steps)
        self.listener.step(phase, progress, losses, images_per_second)
        if self.writer is not None:
            for name, value in losses.items():
                self.writer.add_scalar(f"{phase}/{name}", value, progress.step)
        if time.monotonic() - self._logged > _LOG_SECONDS:
            self._logged = time.monotonic()
            left = self.phases.standing().left
            about = "" if left is None else f", about {clock_text(left)} left"
            self.logger.info("%s%s", describe_step(phase, progress, losses, images_per_second), about)

    def saved(self, what: str) -> None:
        """The run's folder holds a state that can be continued."""
        self.listener.saved(what)

    def reserve(self) -> float | None:
        """Seconds that the phases after the student's are expected to take here; None if unknown."""
        return self.phases.seconds_left_after(costs.STUDENT)

    def stop_asked(self) -> bool:
        """Whether the listener requests a stop."""
        return self.listener.stop_asked()


def describe_step(phase: str, progress: Progress, losses: dict[str, float], images_per_second: float) -> str:
    """A step in one line, for people."""
    shown = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
    speed = f", {images_per_second:.1f} images/s" if images_per_second > 0 else ""
    return f"{phase} step {progress.step}: {shown}{speed}"
