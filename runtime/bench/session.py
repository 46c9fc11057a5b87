"""One run of ``dmdd-edge bench``: the scenarios that were asked for, on one bundle and back end."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.suggest import choose
from dmdd_edge.runtime.backends.options import BackendOptions
from dmdd_edge.runtime.bench.accuracy import Accuracy, measure_accuracy
from dmdd_edge.runtime.bench.latency import BATCHES, measure_latency
from dmdd_edge.runtime.bench.likes import Like
from dmdd_edge.runtime.bench.offline import SWEEP, Offline, sweep
from dmdd_edge.runtime.bench.pictures import Pictures
from dmdd_edge.runtime.bench.stream import Stream, measure_stream
from dmdd_edge.runtime.bench.subject import Subject
from dmdd_edge.runtime.bench.timing import Bench, Plan, Series

#: Every scenario, in the order in which they are run.
SCENARIOS = ("single", "multi", "offline", "stream")


@dataclass(frozen=True)
class Settings:
    """What is to be measured, and how.

    Attributes:
        like: the way of measuring.
        scenarios: see ``SCENARIOS``.
        plan: how long each scenario takes.
        batches: batch sizes of the scenario ``offline``.
        rate: frames a second of the scenario ``stream``; None searches the highest.
        accuracy: measure that, too.
        data: the data set for it.
    """

    like: Like
    scenarios: tuple[str, ...]
    plan: Plan
    batches: tuple[int, ...] = SWEEP
    rate: float | None = None
    accuracy: bool = False
    data: Path | None = None

    @property
    def note(self) -> str:
        """What to know when comparing with another tool's figures; empty for our own way of measuring."""
        note = self.like.note
        if note and self.plan.seconds < self.like.seconds:
            return f"{note}; but for {self.plan.seconds:g} s instead of {self.like.seconds:g} s"
        return note


@dataclass
class Outcome:
    """What was measured.

    Attributes:
        subject: bundle and back end, as a result names them.
        latency: the scenarios ``single`` and ``multi``.
        offline: by batch size.
        stream: the scenario of that name.
        accuracy: None where it was not asked for.
        peak_memory_mb: the most memory that the process had until accuracy was measured; the images in
            rotation are part of it.
    """

    subject: dict[str, Any]
    latency: dict[str, Series] = field(default_factory=dict)
    offline: list[Offline] = field(default_factory=list)
    stream: Stream | None = None
    accuracy: Accuracy | None = None
    peak_memory_mb: float = 0.0


def make_settings(
    like: Like,
    scenarios: Sequence[str] = (),
    duration: float | None = None,
    warm_up: float | None = None,
    warm_up_count: int | None = None,
    **others: Any,
) -> Settings:
    """Settings of what was asked for, with the way's own for what was not.

    Args:
        like: the way of measuring.
        scenarios: names, or names with commas between; none takes the way's own.
        duration, warm_up: seconds of each scenario.
        warm_up_count: queries of the warm-up, at least.
        others: further fields of ``Settings``.

    Raises:
        DmddError: there is no such scenario, a duration or a rate that cannot be, or an option that nothing
            asked for would heed.
    """
    names = [name.strip() for text in scenarios for name in text.split(",")]
    for name in names:
        if name not in SCENARIOS:
            raise OptionError(f"--scenario {name}: there is no such scenario.", choose(name, SCENARIOS))
    plan = Plan(
        like.seconds if duration is None else duration,
        like.fewest,
        like.warm_up_seconds if warm_up is None else warm_up,
        like.warm_up_count if warm_up_count is None else warm_up_count,
    )
    chosen = tuple(name for name in SCENARIOS if name in names) if names else like.scenarios
    made = Settings(like, chosen, plan, **others)
    _check(made)
    return made


def _check(settings: Settings) -> None:
    """Refuse what would be noticed, or not heeded, only after minutes."""
    rate = settings.rate
    if rate is not None and not 0 < rate < math.inf:
        raise OptionError(
            f"--rate is {rate:g}; it must be above 0.", "Frames a second, for example --rate 30."
        )
    if rate is not None and "stream" not in settings.scenarios:
        raise OptionError(
            f"--rate is of the scenario stream, not of {', '.join(settings.scenarios)}.",
            "Leave it out, or add --scenario stream.",
        )
    if settings.accuracy and settings.data is None:
        raise OptionError(
            "--accuracy needs a data set.", "Add --data DIR, which holds the category's test images."
        )


def run_bench(
    path: Path,
    backend: str,
    options: BackendOptions,
    settings: Settings,
    pictures: Pictures,
    bench: Bench,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Open the bundle and run the scenarios, one after the other.

    Args:
        path: the bundle.
        backend: ``auto``, or one by name.
        options: how it is to run; waiting and CUDA graphs are the way of measuring's.
        settings: what is measured.
        pictures: taken in rotation.
        bench: clock and watch; when its ``stop`` is true, what was measured so far is the outcome.
        say: told what begins.
        progress: told how many test images were judged, of how many.

    Raises:
        DmddError: the bundle does not verify, or the back end cannot run or failed.
    """
    like = settings.like
    options = replace(options, spin=like.spin, cuda_graphs=like.cuda_graphs and options.cuda_graphs)
    with Subject.open(path, backend, options, bench.clock) as subject:
        say(f"backend {subject.stopwatch.name}: {subject.stopwatch.description}")
        outcome = Outcome(subject.as_dict())
        for name in settings.scenarios:
            if name not in BATCHES or bench.stop():
                continue
            say(f"{name}: {settings.plan.seconds:g} s")
            found = measure_latency(subject, pictures, BATCHES[name], settings.plan, bench, like.whole_way)
            if found.count:
                outcome.latency[name] = found
        if "stream" in settings.scenarios and not bench.stop():
            search = "a search, then " if settings.rate is None else f"{settings.rate:g} frames a second, "
            say(f"stream: {search}{settings.plan.seconds:g} s")
            stream = measure_stream(subject, pictures, settings.plan, bench, settings.rate)
            # Of one that was stopped before a frame was judged there is nothing to tell.
            outcome.stream = stream if any(trial.judged for trial in stream.trials) else None
        used, overlaps = subject.stopwatch.name, subject.stopwatch.sidecar is not None
        if not overlaps:
            _offline(subject, settings, pictures, bench, outcome, say)
        outcome.peak_memory_mb = peak_memory_mb()
        if settings.accuracy and not bench.stop():
            say("accuracy")
            outcome.accuracy = measure_accuracy(subject, settings.data, progress, bench.stop)
    if overlaps and "offline" in settings.scenarios:
        # With a second slot, copies run beside the computation; alone, a batch is best left to one.
        with Subject.open(path, used, replace(options, slots=2), bench.clock) as subject:
            _offline(subject, settings, pictures, bench, outcome, say)
    return outcome


def peak_memory_mb() -> float:
    """The most memory that this process has had, in MB of 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _offline(
    subject: Subject,
    settings: Settings,
    pictures: Pictures,
    bench: Bench,
    outcome: Outcome,
    say: Callable[[str], None],
) -> None:
    if "offline" in settings.scenarios and not bench.stop():
        say(
            f"offline: batches of {', '.join(map(str, settings.batches))}, {settings.plan.seconds:g} s in all"
        )
        outcome.offline = sweep(subject, pictures, settings.batches, settings.plan, bench)
