"""The progress of a long command: a bar on a terminal, elsewhere a line every 30 s or 5 %.

Both show the same: the phase and its progress, the time elapsed, and one estimate of the time left for all
that the command still has to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from dmdd_edge.cli import console as shared
from dmdd_edge.messages.phases import Cost, Phases, Standing, clock_text
from dmdd_edge.messages.reporter import Reporter

#: A log gets a line after this many seconds without one, and for each such share of the work...
LINE_SECONDS, LINE_SHARE = 30.0, 0.05
#: ...but not sooner than this after the last: a command of a few seconds does not flood a log.
_LEAST_SECONDS = 2.0
#: Columns of the bar, at least and at most.
_NARROWEST_BAR, _WIDEST_BAR = 4, 60
_REFRESHES = 4


class Work(Reporter):
    """Reports long work on standard error; to be used in a ``with`` statement.

    A separate thread writes the lines, so that work does not wait for a reader that does not read.

    Args:
        console: where to; by default what all commands share.
        quiet: report nothing.
        clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.phases = Phases(clock)
        self.note = ""
        self._console = console or shared.console
        self._clock = clock
        self._quiet = quiet
        self._wake = threading.Event()
        self._ended = False
        self._line_at = clock()
        self._line_share = 0.0
        self._new_phase = ""  # a phase of unknown length that started since the last line
        self._live: Live | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Work:
        if self._quiet:
            return self
        if self._console.is_terminal:
            self._live = Live(Bar(self), console=self._console, refresh_per_second=_REFRESHES, transient=True)
            self._live.start()
        else:
            self._thread = threading.Thread(target=self._write_lines, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended = True
        self._wake.set()
        if self._live is not None:
            self._live.stop()
        if self._thread is not None:
            self._thread.join(timeout=2.0)  # it may block on a pipe that nobody reads

    def expect(self, costs: Iterable[Cost]) -> None:
        """Name the phases to come and what they are expected to take."""
        self.phases.expect(costs)

    def update(self, phase: str, done: float = 0.0, total: float | None = None, note: str = "") -> None:
        """Report the progress of a phase; one that is named for the first time starts.

        Args:
            phase: its name, for people.
            done: units done.
            total: units of the phase; 1 for a share, None where it is unknown.
            note: further text, such as losses.
        """
        if self.phases.update(phase, done, total) and total is None:
            self._new_phase = phase
        self.note = note
        if self.due():
            self._wake.set()

    def say(self, text: str) -> None:
        """A line that stays, above the bar."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def due(self) -> bool:
        """Whether the log needs a line now."""
        silent = self._clock() - self._line_at
        if silent < _LEAST_SECONDS:
            return False
        share = self.phases.standing().share
        further = share is not None and share - self._line_share >= LINE_SHARE
        return silent >= LINE_SECONDS or further or bool(self._new_phase)

    def line(self) -> str:
        """The line for the log; the next one is due after a while."""
        standing = self.phases.standing()
        self._line_at, self._line_share, self._new_phase = self._clock(), standing.share or 0.0, ""
        share, clocks, doing = describe(standing, self.note)
        return f"{share}, {clocks}: {doing}" if share else f"{clocks}: {doing}"

    def _write_lines(self) -> None:
        while True:
            self._wake.wait(max(LINE_SECONDS - (self._clock() - self._line_at), 0.1))
            self._wake.clear()
            if self._ended:
                return
            if self.due():
                self.say(self.line())


def describe(standing: Standing, note: str = "") -> tuple[str, str, str]:
    """Progress in words: the share done, the times, and the phase."""
    share = "" if standing.share is None else f"{min(int(100 * standing.share), 99)} %"
    clocks = f"{clock_text(standing.elapsed)} elapsed"
    if standing.left is not None:
        clocks += f", about {clock_text(_rounded(standing.left))} left"
    doing = standing.phase or "starting"
    if standing.phase and standing.total == 1.0:
        doing += f" {100 * standing.done:.0f} %"
    elif standing.phase and standing.total:
        doing += f" {standing.done:.0f} of {standing.total:.0f}"
    return share, clocks, f"{doing}; {note}" if note else doing


def _rounded(seconds: float) -> float:
    """An estimate without digits it cannot support; never 0, which would mean that the work is done."""
    step = 1.0 if seconds < 20.0 else 5.0 if seconds < 300.0 else 30.0
    return max(step * round(seconds / step), 1.0)


class Bar:
    """Two lines that fit any width: bar, share and times, and the phase below.

    Args:
        work: the work that is shown.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        standing = self._work.phases.standing()
        share, clocks, doing = describe(standing, self._work.note)
        width = options.max_width
        text = f"{share:>4}  {clocks}"
        room = min(width - len(text) - 1, _WIDEST_BAR)
        line = Text(no_wrap=True)
        if room >= _NARROWEST_BAR:
            full = round(room * (standing.share or 0.0))
            done, rest = ("#", "-") if options.ascii_only else ("\u2501", "\u2500")
            line.append(done * full, "bar.complete").append(rest * (room - full), "bar.back").append(" ")
        line.append(text)
        for part in (line, Text(doing, no_wrap=True)):
            part.truncate(width, overflow="ellipsis")
            yield part
