"""``bench --compare A B``: two sides in one run, taking turns, and the ratio of their medians."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.backends.options import BackendOptions
from dmdd_edge.runtime.bench.latency import BATCHES, host_call
from dmdd_edge.runtime.bench.machine import cpu_name
from dmdd_edge.runtime.bench.percentiles import Spread
from dmdd_edge.runtime.bench.pictures import Pictures
from dmdd_edge.runtime.bench.ratio import CONFIDENCE, Ratio, separate_ratio
from dmdd_edge.runtime.bench.session import Settings
from dmdd_edge.runtime.bench.sides import LiveSide, PastSide, Side
from dmdd_edge.runtime.bench.subject import Subject
from dmdd_edge.runtime.bench.timing import Bench, Query
from dmdd_edge.runtime.bench.turns import take_turns
from dmdd_edge.runtime.bench.watch import Reason, Seen

#: What the ratio is, said wherever it is printed.
RATIO_IS = "median host call of B / median host call of A, averaged over rounds"


@dataclass(frozen=True)
class Comparison:
    """Two sides, compared.

    Attributes:
        ratio: B's median over A's.
        a, b: how the milliseconds of each are spread.
        subjects: bundle and back end of each, as a result names them.
        interleaved: whether they took turns in one run; false where a past result is a side.
        scenario: what was measured.
        seen: what went on meanwhile; reasons not to rely on it.
        images: what it was measured on.
        seconds: how long it took.
        round_ratios: of each round, in which both sides were opened anew; empty where they were not measured
            in one run.
    """

    ratio: Ratio
    a: Spread
    b: Spread
    subjects: tuple[dict[str, Any], dict[str, Any]]
    interleaved: bool
    scenario: str
    seen: Seen
    images: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    round_ratios: tuple[float, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The comparison as it is printed under ``--json``; latencies in milliseconds."""
        return {
            "type": "dmdd-edge bench comparison",
            "ratio": round(self.ratio.value, 5),
            "ratio_low": round(self.ratio.low, 5),
            "ratio_high": round(self.ratio.high, 5),
            "ratio_is": RATIO_IS,
            "confidence": CONFIDENCE,
            "rounds": len(self.round_ratios),
            "round_ratios": [round(ratio, 4) for ratio in self.round_ratios],
            "interleaved": self.interleaved,
            "scenario": self.scenario,
            "seconds": round(self.seconds, 3),
            "images": self.images,
            "a": {**self.subjects[0], "latency_ms": {"call": self.a.as_dict()}},
            "b": {**self.subjects[1], "latency_ms": {"call": self.b.as_dict()}},
            "reliable": self.seen.reliable,
            "unreliable_because": self.seen.texts,
            "meanwhile": self.seen.facts,
        }


def scenario_of(settings: Settings, asked: bool) -> str:
    """The scenario that a comparison measures: the one asked for, or ``single``.

    Args:
        settings: of the run.
        asked: whether scenarios were named.

    Raises:
        DmddError: another than ``single`` or ``multi`` was asked for, or several.
    """
    if not asked:
        return "single"
    if len(settings.scenarios) != 1 or settings.scenarios[0] not in BATCHES:
        raise OptionError(
            f"--compare measures one of {', '.join(BATCHES)}, not {', '.join(settings.scenarios)}.",
            "Add --scenario single, or leave it out.",
        )
    return settings.scenarios[0]


def compare(
    sides: tuple[Side, Side],
    options: BackendOptions,
    settings: Settings,
    scenario: str,
    choose: Callable[[Subject], Pictures],
    bench: Bench,
    say: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Measure the sides that are live, taking turns, and compare.

    Args:
        sides: A and B.
        options: how back ends are to run.
        settings: for how long, and how GPUs are driven.
        scenario: ``single`` or ``multi``.
        choose: the images for a bundle.
        bench: clock and watch.
        say: told what begins.

    Raises:
        DmddError: a side cannot run, a past result lacks the scenario, or there were too few queries.
    """
    like = settings.like
    options = replace(options, spin=like.spin, cuda_graphs=like.cuda_graphs and options.cuda_graphs)
    past = {i: side.samples(scenario) for i, side in enumerate(sides) if isinstance(side, PastSide)}
    opener = _Opener(sides, options, BATCHES[scenario], choose, bench, say)
    turns = None if len(past) == len(sides) else take_turns(opener.open, settings.plan, bench, say=say)
    seen = Seen() if turns is None else turns.seen
    if turns is not None and not past:
        a, b, ratio = turns.values(0), turns.values(1), turns.ratio
    else:
        live = np.empty(0) if turns is None else turns.values(0)
        a, b = (past.get(index, live) for index in (0, 1))
        ratio = separate_ratio(a, b)
        seen = Seen((*seen.reasons, *_apart(sides, scenario, like.name)), seen.facts)
    return Comparison(
        ratio,
        Spread.of(a),
        Spread.of(b),
        (opener.documents[0], opener.documents[1]),
        interleaved=not past,
        scenario=scenario,
        seen=seen,
        images=opener.images,
        seconds=0.0 if turns is None else turns.seconds,
        round_ratios=() if turns is None or past else turns.ratios,
    )


class _Opener:
    """Opens the sides that are to be measured now, over and over.

    Attributes:
        documents: bundle and back end of each side, as a result names them, once it was opened.
        images: what it is measured on.
    """

    def __init__(
        self,
        sides: Sequence[Side],
        options: BackendOptions,
        batch: int,
        choose: Callable[[Subject], Pictures],
        bench: Bench,
        say: Callable[[str], None],
    ) -> None:
        self._sides, self._options, self._batch = sides, options, batch
        self._choose, self._bench, self._say = choose, bench, say
        self._pictures: dict[int, Pictures] = {}
        self.documents: dict[int, dict[str, Any]] = {}
        self.images: dict[str, Any] = {}
        for index, side in enumerate(sides):
            if isinstance(side, PastSide):
                self.documents[index] = {name: side.document[name] for name in ("bundle", "backend")}
                say(f"{'AB'[index]}: {side.text}, measured before")

    @contextmanager
    def open(self, forwards: bool) -> Iterator[list[Query]]:
        """See ``OpenSides``."""
        live = {index: side for index, side in enumerate(self._sides) if not isinstance(side, PastSide)}
        queries: dict[int, Query] = {}
        with ExitStack() as stack:
            for index in live if forwards else reversed(live):
                queries[index] = self._open(index, live[index], stack)
            yield [queries[index] for index in live]

    def _open(self, index: int, side: LiveSide, stack: ExitStack) -> Query:
        first = index not in self.documents
        opened = Subject.open(side.path, side.backend, self._options, self._bench.clock, verify=first)
        subject = stack.enter_context(opened)
        if first:
            self.documents[index] = subject.as_dict()
            self._pictures[index] = self._choose(subject)
            self.images = self._pictures[index].as_dict()
            about = f"backend {subject.stopwatch.name}: {subject.stopwatch.description}"
            self._say(f"{'AB'[index]}: {side.text}, {about}")
        return host_call(subject, self._pictures[index], self._batch)


def _apart(sides: tuple[Side, Side], scenario: str, like: str) -> list[Reason]:
    """What is to be said of sides that were not measured in one run."""
    reasons = [
        Reason(f"{side.text}: {text}", f"{side.text}: {text}")
        for side in sides
        if isinstance(side, PastSide)
        for text in side.unreliable_because(scenario)
    ]
    ways = [(side.like if isinstance(side, PastSide) else like) or "bench itself does" for side in sides]
    if len(set(ways)) > 1:
        reasons.append(Reason(f"measured in different ways: as {' and as '.join(ways)}", "ways"))
    reasons.append(Reason("not measured in one run: what was going on then may differ", "apart"))
    processors = [side.cpu if isinstance(side, PastSide) else cpu_name() for side in sides]
    if len(set(processors)) > 1:
        reasons.append(Reason(f"measured on different machines: {' and '.join(processors)}", "machines"))
    return reasons
