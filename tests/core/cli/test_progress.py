"""What long commands say: whole bars at any width, and lines where there is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dmdd_edge.cli import progress
from dmdd_edge.cli.progress import Bar, Work
from dmdd_edge.messages.phases import Cost


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def screen(width: int) -> Console:
    """A terminal of that width, as text."""
    return Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False
    )


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_bar_is_whole_at_any_width(width: int) -> None:
    """A quarter of the student is done after an hour; a head of a third of it is to come."""
    clock, console = Clock(), screen(width)
    work = Work(console, clock=clock)
    work.expect([Cost("student", 300.0), Cost("head", 100.0)])
    work.update("student", 0, 400)
    clock.now = 3700.0
    work.update("student", 100, 400, "ngm 0.1234 aim 0.0567, 12 images/s")
    with console.capture() as captured:
        console.print(Bar(work))
    first, second = captured.get().splitlines()
    assert max(len(first), len(second)) <= width
    assert second.startswith("student 100 of 400; ngm 0.1234")
    if width == 40:  # no room for a bar
        assert first.startswith("18 %  1:01:40 elapsed, about 4:2")
        return
    # 3 x 3700 s for the rest, and a third of 14800 s for the head: 16033 s; to the half minute 4:27:00.
    bar, clocks = first.split(" ", 1)
    assert clocks == "18 %  1:01:40 elapsed, about 4:27:00 left"
    assert len(bar) >= 15
    assert bar.count("\u2501") == round(3700 / (3700 + 16033) * len(bar))
    assert set(bar) == {"\u2501", "\u2500"}


def test_a_log_gets_a_line_for_5_percent_or_30_seconds_and_no_more() -> None:
    clock = Clock()
    work = Work(screen(80), clock=clock)
    lines = []
    for done in range(1001):  # 1000 s: 20 lines for 5 % of 50 s each, 30 s are up before each of them
        work.update("student", done, 1000)
        if work.due():
            lines.append(work.line())
        clock.now += 1.0
    assert len(lines) == 33
    assert lines[0] == "3 %, 0:30 elapsed, about 16:00 left: student 30 of 1000"
    quick = Work(screen(80), clock=clock)
    said = []
    for done in range(101):  # 10 s: 5 % are up every half second, and yet few lines are written
        quick.update("student", done, 100)
        if quick.due():
            said.append(quick.line())
        clock.now += 0.1
    assert len(said) == 5


def test_a_phase_of_unknown_length_says_that_it_began_and_that_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.05)
    monkeypatch.setattr(progress, "_LEAST_SECONDS", 0.0)
    console = Console(file=io.StringIO(), width=140)
    said: list[str] = []

    class Said(Work):
        def say(self, text: str) -> None:
            said.append(text)
            super().say(text)

    with Said(console) as work:
        work.update("making damage")
        while len(said) < 3:  # written by the thread while the work says nothing
            pass
    assert all("elapsed: making damage" in line for line in said)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == said


def test_quiet_says_nothing() -> None:
    console = Console(file=io.StringIO(), width=140)
    with Work(console, quiet=True) as work:
        work.update("student", 1, 2)
        work.say("something")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""
