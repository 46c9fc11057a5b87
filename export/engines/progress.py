"""The builder's progress as one rising number, and Ctrl-C that stops a build cleanly.

TensorRT reports nested phases, each with a number of steps. Its callbacks must not throw, so an interrupt is
stored and raised once the builder has returned.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorrt

#: Called with the share done (0..1, never decreasing) and the name of the innermost phase.
Progress = Callable[[float, str], None]


@dataclass
class _Phase:
    name: str
    parent: str | None
    steps: int
    done: int = 0


class PhaseTracker:
    """Turns phases and steps into one number.

    A nested phase fills the current step of the phase around it; so the number is right at every step
    boundary, whatever the names of the phases.

    Args:
        progress: called after each step; None for no reports.
    """

    def __init__(self, progress: Progress | None) -> None:
        self.stopped: BaseException | None = None
        self._progress = progress
        self._phases: list[_Phase] = []  # the open phases, outermost first
        self._share = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of ``steps`` steps begins, inside ``parent`` when that is not None."""
        self._phases.append(_Phase(name, parent, max(steps, 1)))

    def step(self, name: str, step: int) -> bool:
        """Step ``step`` (counted from 0) of a phase is done; False asks the builder to stop."""
        for phase in self._phases:
            if phase.name == name:
                phase.done = min(max(phase.done, step + 1), phase.steps)
        self._report()
        return self.stopped is None

    def finish(self, name: str) -> None:
        """A phase ends, with all open phases inside it."""
        ended = [phase for phase in self._phases if phase.name == name]
        closed = {name} if ended else set()
        for phase in self._phases:  # outer phases come first, so one pass reaches all inner ones
            if phase.parent in closed:
                closed.add(phase.name)
        self._phases = [phase for phase in self._phases if phase.name not in closed]
        if any(phase.parent is None for phase in ended):
            self._share = 1.0
            self._report()

    def _report(self) -> None:
        outer = next((phase for phase in self._phases if phase.parent is None), None)
        if outer is not None:
            self._share = max(self._share, min(self._share_of(outer), 1.0))
        if self._progress is None or self.stopped is not None:
            return
        try:
            self._progress(self._share, self._phases[-1].name if self._phases else "")
        except BaseException as error:  # must not reach the builder; raised once it has returned
            self.stopped = error

    def _share_of(self, phase: _Phase) -> float:
        inner = [p for p in self._phases if p.parent == phase.name and p is not phase]
        begun = max((self._share_of(p) for p in inner), default=0.0) if phase.done < phase.steps else 0.0
        return (phase.done + begun) / phase.steps


def make_monitor(trt: ModuleType, tracker: PhaseTracker) -> tensorrt.IProgressMonitor:
    """The builder's progress monitor that feeds ``tracker``.

    Args:
        trt: the module ``tensorrt`` or ``tensorrt_rtx``.
    """

    base: Any = trt.IProgressMonitor

    class Monitor(base):
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            tracker.start(phase_name, parent_phase or None, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return tracker.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            tracker.finish(phase_name)

    monitor: tensorrt.IProgressMonitor = Monitor()
    return monitor


@contextmanager
def interrupts_kept(tracker: PhaseTracker) -> Iterator[None]:
    """Store Ctrl-C in ``tracker`` while the builder runs: raised in a callback it would kill the process."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return

    def keep(number: int, frame: FrameType | None) -> None:
        tracker.stopped = tracker.stopped or KeyboardInterrupt()

    before = signal.signal(signal.SIGINT, keep)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if tracker.stopped is not None:
        raise tracker.stopped
