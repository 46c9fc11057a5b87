"""The scenario ``stream``: frames arrive at a steady rate, as from a camera that does not wait.

Only the newest frame is held, as the runtime does with a live source: a frame that arrives while another is
still waiting replaces it, which is a drop. So a rate is sustained when each frame is taken before the next
one arrives. The frames are in memory; a camera driver's work to deliver them is not included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.timed_detector import TimedDetector
from dmdd_edge.runtime.bench.timing import Bench, Plan, Series

#: The boundary of a streamed frame: from its arrival to its result, waiting included.
ARRIVAL = "from_arrival"

#: The search ends when the lowest rate that drops is within this factor of the highest that does not.
_CLOSE = 1.04
#: Minimum seconds and frames of a trial of the search.
_TRIAL_SECONDS, _TRIAL_FRAMES = 1.0, 30
#: Factor between two trials until both outcomes have occurred; and after a failed confirmation.
_STEP, _BACK = 1.3, 0.95
_MOST_TRIALS = 24


@dataclass(frozen=True)
class Trial:
    """A measurement at one rate.

    Attributes:
        rate: frames per second.
        judged: frames with a result.
        dropped: frames replaced by a newer one.
        series: milliseconds from arrival to result.
    """

    rate: float
    judged: int
    dropped: int
    series: Series = field(repr=False)


@dataclass(frozen=True)
class Stream:
    """The result of the search, or of a single rate.

    Attributes:
        held: the rate sustained without drops for the whole duration, with its latencies; None without one.
        trials: all trials, in order; the last is the confirmation.
        asked: the requested rate; None when the highest was searched for.
    """

    held: Trial | None
    trials: tuple[Trial, ...]
    asked: float | None = None


def measure_stream(
    timed: TimedDetector, images: ImageSet, plan: Plan, bench: Bench, rate: float | None = None
) -> Stream:
    """Find the highest rate that is sustained without drops for the plan's seconds, or try the one given.

    Args:
        timed: what is measured.
        images: used in rotation.
        plan: how long the rate must be sustained; the trials of the search are shorter.
        bench: clock and watch.
        rate: frames per second; None searches.

    Raises:
        DmddError: the backend failed.
    """
    detector = timed.detector

    def process(number: int) -> None:
        detector.infer([detector.prepare(images.frame(number % len(images)))])

    def warm_up(number: int) -> Mapping[str, float]:
        process(number)
        return {}

    began = bench.clock.now()
    count = bench.warm_up(warm_up, plan)
    if rate is not None:
        trial = run_at(rate, plan.seconds, process, bench)
        whole = trial.dropped == 0 and not bench.stop()
        return Stream(trial if whole else None, (trial,), rate)
    guess = count / (bench.clock.now() - began) if count else 1.0
    return search(guess, plan.seconds, process, bench)


def search(guess: float, seconds: float, process: Callable[[int], None], bench: Bench) -> Stream:
    """Find the highest rate without drops: bracket it, halve the bracket, then confirm.

    Args:
        guess: initial rate, in frames per second.
        seconds: duration of the confirmation.
        process: processes a frame, given a running number.
        bench: clock and watch.
    """
    trials: list[Trial] = []
    held, lost = 0.0, math.inf

    def sustained(rate: float, at_least: float) -> bool:
        trial = run_at(rate, max(at_least, _TRIAL_FRAMES / rate), process, bench)
        trials.append(trial)
        return trial.dropped == 0

    rate, short = guess, min(max(seconds / 5, _TRIAL_SECONDS), seconds)
    while lost > held * _CLOSE and len(trials) < _MOST_TRIALS and not bench.stop():
        if sustained(rate, short):
            held = rate
            rate = rate * _STEP if lost == math.inf else math.sqrt(held * lost)
        else:
            lost = rate
            rate = rate / _STEP if held == 0 else math.sqrt(held * lost)
    rate = held or rate
    while len(trials) < 2 * _MOST_TRIALS and not bench.stop():
        # A longer run meets rarer disturbances, so the rate that it sustains is often a little lower.
        if sustained(rate, seconds) and not bench.stop():
            return Stream(trials[-1], tuple(trials))
        rate *= _BACK
    return Stream(None, tuple(trials))


def run_at(rate: float, seconds: float, process: Callable[[int], None], bench: Bench) -> Trial:
    """Feed frames at a rate.

    Args:
        rate: frames per second.
        seconds: how long; at least one frame arrives.
        process: processes a frame, given its number.
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
        # Epsilon: the sleep may wake just before the frame is due.
        newest = min(math.floor(now * rate + 1e-9), total - 1)
        if newest <= taken:
            bench.watch.sample()
            clock.sleep(max(began + (taken + 1) / rate - clock.now(), 0.0))
            continue
        dropped += newest - taken - 1
        taken = newest
        process(taken)
        judged += 1
        arrived = taken / rate
        series.add(arrived, {ARRIVAL: 1000 * (clock.now() - began - arrived)})
    series.seconds = clock.now() - began
    series.interference = bench.watch.stop()
    return Trial(rate, judged, dropped, series)
