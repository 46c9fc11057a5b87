"""``bench --compare A B``: two sides in one run, taking turns, and the ratio of their medians."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.backends.options import BackendOptions
from dmdd_edge.runtime.bench.latency import BATCHES, host_call
from dmdd_edge.runtime.bench.machine import cpu_name
from dmdd_edge.runtime.bench.percentiles import Spread
from dmdd_edge.runtime.bench.pictures import Pictures
from dmdd_edge.runtime.bench.ratio import Ratio, paired_ratio, separate_ratio
from dmdd_edge.runtime.bench.session import Settings
from dmdd_edge.runtime.bench.sides import PastSide, Side
from dmdd_edge.runtime.bench.subject import Subject
from dmdd_edge.runtime.bench.timing import Bench, Query
from dmdd_edge.runtime.bench.turns import take_turns
from dmdd_edge.runtime.bench.watch import Reason, Seen

#: What the ratio is, said wherever it is printed.
RATIO_IS = "median host call of B / median host call of A"


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

    def as_dict(self) -> dict[str, Any]:
        """The comparison as it is printed under ``--json``; latencies in milliseconds."""
        return {
            "type": "dmdd-edge bench comparison",
            "ratio": round(self.ratio.value, 5),
            "ratio_low": round(self.ratio.low, 5),
            "ratio_high": round(self.ratio.high, 5),
            "ratio_is": RATIO_IS,
            "confidence": 0.95,
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
        raise DmddError(
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
    like, batch = settings.like, BATCHES[scenario]
    options = replace(options, spin=like.spin, cuda_graphs=like.cuda_graphs and options.cuda_graphs)
    documents: list[dict[str, Any]] = []
    queries: dict[int, Query] = {}
    images: dict[str, Any] = {}
    with ExitStack() as stack:
        for index, side in enumerate(sides):
            if isinstance(side, PastSide):
                documents.append({name: side.document[name] for name in ("bundle", "backend")})
                say(f"{'AB'[index]}: {side.text}, measured before")
                continue
            subject = stack.enter_context(Subject.open(side.path, side.backend, options, bench.clock))
            documents.append(subject.as_dict())
            pictures = choose(subject)
            images = pictures.as_dict()
            queries[index] = host_call(subject, pictures, batch)
            about = f"back end {subject.stopwatch.name}: {subject.stopwatch.description}"
            say(f"{'AB'[index]}: {side.text}, {about}")
        turns = take_turns(list(queries.values()), settings.plan, bench) if queries else None
    live = iter(() if turns is None else turns.values)
    a, b = (side.samples(scenario) if isinstance(side, PastSide) else next(live) for side in sides)
    seen = Seen() if turns is None else turns.seen
    interleaved = len(queries) == len(sides)
    if not interleaved:
        seen = Seen((*seen.reasons, *_apart(sides)), seen.facts)
    ratio = paired_ratio(a, b) if interleaved else separate_ratio(a, b)
    return Comparison(
        ratio,
        Spread.of(a),
        Spread.of(b),
        (documents[0], documents[1]),
        interleaved=interleaved,
        scenario=scenario,
        seen=seen,
        images=images,
        seconds=0.0 if turns is None else turns.seconds,
    )


def _apart(sides: tuple[Side, Side]) -> list[Reason]:
    """What is to be said of sides that were not measured in one run."""
    reasons = [Reason("not measured in one run: what was going on then may differ", "apart")]
    processors = [side.cpu if isinstance(side, PastSide) else cpu_name() for side in sides]
    if len(set(processors)) > 1:
        reasons.append(Reason(f"measured on different machines: {' and '.join(processors)}", "machines"))
    return reasons
