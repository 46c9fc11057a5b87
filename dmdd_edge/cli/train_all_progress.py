"""The progress of `dmdd-edge train --all`: one table on a terminal; elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dmdd_edge.cli import console as shared
from dmdd_edge.cli.progress import LINE_SECONDS
from dmdd_edge.evaluation.decisions import result_lines
from dmdd_edge.jobs.schedule import Report
from dmdd_edge.jobs.standing import Standing, counts
from dmdd_edge.messages.phases import clock_text

#: Share of the work after which the time left is estimated.
_TELLING = 0.02
_REFRESHES = 2


class AllProgress(Report):
    """Shows how the categories stand; to be used in a ``with`` statement.

    Args:
        standings: of the categories.
        quiet: show nothing.
        console: where to; by default what all commands share.
        clock: seconds, as the schedule's.
    """

    def __init__(
        self,
        standings: Sequence[Standing],
        *,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._standings, self._quiet, self._clock = standings, quiet, clock
        self._console = console or shared.console
        self._here = [standing for standing in standings if standing.state == "waiting"]
        self._began = self._line_at = clock()
        self._live: Live | None = None

    def __enter__(self) -> AllProgress:
        if not self._quiet and self._console.is_terminal:
            self._live = Live(self, console=self._console, refresh_per_second=_REFRESHES, transient=True)
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def changed(self, standing: Standing) -> None:
        """A line for each category that starts (without a terminal) or ends."""
        if standing.state == "running" and self._live is None:
            self.say(f"{standing.name}: started{_place(standing)}")
        elif standing.state != "running":
            self.say(ended_line(standing))

    def tick(self) -> None:
        """Without a terminal: a line when the last one is long ago."""
        if self._live is None and self._clock() - self._line_at >= LINE_SECONDS:
            self._line_at = self._clock()
            running = ", ".join(
                f"{standing.name} {_percent(standing)}{_phase(standing)}" for standing in self._running()
            )
            self.say(f"{self.summary()}: {running}" if running else self.summary())

    def summary(self) -> str:
        """How many categories are in which state, and the time."""
        states = ", ".join(f"{number} {state}" for state, number in counts(self._standings).items())
        elapsed = self._clock() - self._began
        share = sum(
            1.0 if standing.seconds or standing.state == "failed" else standing.share or 0.0
            for standing in self._here
        ) / max(len(self._here), 1)
        text = f"{number_of(len(self._standings))}: {states}; {clock_text(elapsed)} elapsed"
        if _TELLING <= share < 1.0:
            text += f", about {clock_text(elapsed * (1.0 - share) / share)} left"
        return text

    def _running(self) -> list[Standing]:
        return [standing for standing in self._standings if standing.state == "running"]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.summary(), no_wrap=True, overflow="ellipsis")
        table = Table(box=None, pad_edge=False)
        for name, justify in (("category", "left"), ("", "right"), ("MiB", "right"), ("state", "left")):
            table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
        failed = [standing for standing in self._standings if standing.state == "failed"]
        shown = [*self._running(), *failed]
        room = max((options.max_height or console.height) - 4, 1)
        for standing in shown[:room]:
            state = f"failed: {standing.reason}" if standing.state == "failed" else _phase(standing)
            memory = f"{standing.memory:.0f}" if standing.memory else ""
            table.add_row(standing.name, _percent(standing).strip(), memory, " ".join(state.split()))
        yield table
        if len(shown) > room:
            yield Text(f"and {len(shown) - room} more")


def number_of(categories: int) -> str:
    """The number of categories, in words."""
    return f"{categories} {'category' if categories == 1 else 'categories'}"


def ended_line(standing: Standing) -> str:
    """How a category ended, in a line."""
    name, took = standing.name, clock_text(standing.seconds)
    if standing.state == "failed":
        return f"{name}: failed: {standing.reason}"
    if standing.state != "done":
        return f"{name}: {standing.state} after {took}"
    version = standing.result.get("version")
    parts = [f"{name}: done in {took}", f"bundle {version}" if version else "no threshold, so no bundle"]
    if metrics := standing.result.get("metrics"):
        parts += result_lines(metrics)[:1]
    return "; ".join(parts)


def _phase(standing: Standing) -> str:
    return f"{standing.phase}{_place(standing)}"


def _place(standing: Standing) -> str:
    return f" on {standing.place}" if standing.place else ""


def _percent(standing: Standing) -> str:
    return "" if standing.share is None else f"{100 * standing.share:.0f} % "
