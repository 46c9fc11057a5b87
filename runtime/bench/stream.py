"""The scenario ``stream``: frames come at a steady rate, as from a camera, and are not waited for.

Only the newest frame is kept, as the runtime does with a live source: one that arrives while another is
still waiting takes its place, which is a drop. So a rate is held when each frame is taken before the next one
comes. The frames lie in memory; what a camera's driver does to deliver them is not part of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dmdd_edge.runtime.bench.pictures import Pictures
from dmdd_edge.runtime.bench.subject import Subject
from dmdd_edge.runtime.bench.timing import Bench, Plan, Series
from dmdd_edge.runtime.frame import Frame

#: The boundary of a frame: from its arrival to its result, waiting included.
ARRIVAL = "from_arrival"

#: The search ends when the lowest rate that drops is within this factor of the highest that does not.
_CLOSE = 1.04
#: A trial of the search takes at least so many seconds and so many frames.
_TRIAL_SECONDS, _TRIAL_FRAMES = 1.0, 30
#: Factor between two trials while nothing, or nothing but drops, was seen; and after a failed confirmation.
_STEP, _BACK = 1.3, 0.95
_MOST_TRIALS = 24


@dataclass(frozen=True)
class Trial:
    """A rate that was tried.

    Attributes:
        rate: frames a second.
        judged: frames that were judged.
        dropped: frames that were replaced by a newer one.
        series: milliseconds from arrival to result.
    """

    rate: float
    judged: int
    dropped: int
    series: Series = field(repr=False)


@dataclass(frozen=True)
class Stream:
    """What the search, or a single rate, gave.

    Attributes:
        held: the rate held without drops for the whole time, with its latencies; None when none was.
        trials: everything that was tried, in order; the last is the confirmation.
        asked: the rate that was asked for; None when the highest was searched.
    """

    held: Trial | None
    trials: tuple[Trial, ...]
    asked: float | None = None


def measure_stream(
    subject: Subject, pictures: Pictures, plan: Plan, bench: Bench, rate: float | None = None
) -> Stream:
    """Find the highest rate that is held without drops for the plan's seconds, or try the one given.

    Args:
        subject: what is measured.
        pictures: taken in rotation.
        plan: how long the rate must be held; the trials of the search are shorter.
        bench: clock and watch.
        rate: frames a second; None searches.

    Raises:
        DmddError: the back end failed.
    """
    detector = subject.detector

    def judge(number: int) -> None:
        frame = Frame(pictures.frames[number % len(pictures)])
        detector.judge([detector.prepare(frame)])

    def first(number: int) -> Mapping[str, float]:
        judge(number)
        return {}

    began = bench.clock.now()
    count = bench.warm_up(first, plan)
    if rate is not None:
        trial = run_at(rate, plan.seconds, judge, bench)
        whole = trial.dropped == 0 and not bench.stop()
        return Stream(trial if whole else None, (trial,), rate)
    guess = count / (bench.clock.now() - began) if count else 1.0
    return search(guess, plan.seconds, judge, bench)


def search(guess: float, seconds: float, judge: Callable[[int], None], bench: Bench) -> Stream:
    """Find the highest rate without drops: bracket it, halve the bracket, then confirm.

    Args:
        guess: a rate to begin with, in frames a second.
        seconds: how long the confirmation takes.
        judge: judges a frame, given a running number.
        bench: clock and watch.
    """
    trials: list[Trial] = []
    held, lost = 0.0, math.inf

    def tried(rate: float, at_least: float) -> bool:
        trial = run_at(rate, max(at_least, _TRIAL_FRAMES / rate), judge, bench)
        trials.append(trial)
        return trial.dropped == 0

    rate, short = guess, min(max(seconds / 5, _TRIAL_SECONDS), seconds)
    while lost > held * _CLOSE and len(trials) < _MOST_TRIALS and not bench.stop():
        if tried(rate, short):
            held = rate
            rate = rate * _STEP if lost == math.inf else math.sqrt(held * lost)
        else:
            lost = rate
            rate = rate / _STEP if held == 0 else math.sqrt(held * lost)
    rate = held or rate
    while len(trials) < 2 * _MOST_TRIALS and not bench.stop():
        # A longer run meets rarer disturbances, so the rate that it holds is often a little lower.
        if tried(rate, seconds) and not bench.stop():
            return Stream(trials[-1], tuple(trials))
        rate *= _BACK
    return Stream(None, tuple(trials))


def run_at(rate: float, seconds: float, judge: Callable[[int], None], bench: Bench) -> Trial:
    """Let frames come at a rate.

    Args:
        rate: frames a second.
        seconds: how long; at least one frame comes.
        judge: judges a frame, given its number.
        bench: clock and watch; its ``stop`` ends the trial early.
    """
    clock, series = bench.clock, Series()
    total = max(round(rate * seconds), 1)
    judged = dropped = 0
    taken = -1
    bench.watch.start()
    began = clock.now()
    while taken < total - 1 and not bench.stop():
        now = clock.now() - began
        # A hair more: a sleep until a frame's arrival must not end just before it.
        newest = min(math.floor(now * rate + 1e-9), total - 1)
        if newest <= taken:
            bench.watch.sample()
            clock.sleep(max(began + (taken + 1) / rate - clock.now(), 0.0))
            continue
        dropped += newest - taken - 1
        taken = newest
        judge(taken)
        judged += 1
        arrived = taken / rate
        series.add(arrived, {ARRIVAL: 1000 * (clock.now() - began - arrived)})
    series.seconds = clock.now() - began
    series.seen = bench.watch.stop()
    return Trial(rate, judged, dropped, series)
