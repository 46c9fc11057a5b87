"""``bench --compare A B``: two operands interleaved in one run, and the ratio of their medians."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dmdd_edge.errors import BackendError, OptionError
from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.interference import Interference, Reason
from dmdd_edge.runtime.bench.interleave import interleave
from dmdd_edge.runtime.bench.operands import LiveOperand, Operand, PastOperand
from dmdd_edge.runtime.bench.scenarios import BATCHES, host_call
from dmdd_edge.runtime.bench.session import preset_options
from dmdd_edge.runtime.bench.settings import Settings
from dmdd_edge.runtime.bench.statistics import CONFIDENCE, Ratio, Spread, separate_ratio
from dmdd_edge.runtime.bench.timed_detector import TimedDetector
from dmdd_edge.runtime.bench.timing import Bench, Query
from dmdd_edge.runtime.machine import cpu_name
from dmdd_edge.runtime.options.backend import BackendOptions

#: The ratio's definition, printed with it everywhere.
RATIO_IS = "median host call of B / median host call of A, averaged over rounds"

_ENGINE_NEEDED = (
    "fp16 runs only as an engine, on an NVIDIA GPU. Measure there, after export --target tensorrt or rtx; "
    "here compare with @fp32."
)


@dataclass(frozen=True)
class Comparison:
    """Two operands, compared.

    Attributes:
        ratio: B's median over A's.
        a, b: distribution of the milliseconds of each.
        subjects: bundle and backend of each, as a result names them.
        interleaved: whether they were interleaved in one run; false where a past result is an operand.
        scenario: what was measured.
        interference: what disturbed the run; reasons why the ratio is unreliable.
        images: what it was measured on.
        seconds: how long it took.
        round_ratios: of each round, for which both operands were opened again; empty where they were not
            measured in one run.
    """

    ratio: Ratio
    a: Spread
    b: Spread
    subjects: tuple[dict[str, Any], dict[str, Any]]
    interleaved: bool
    scenario: str
    interference: Interference
    images: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    round_ratios: tuple[float, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The comparison as ``--json`` prints it; latencies in milliseconds."""
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
            "reliable": self.interference.reliable,
            "unreliable_because": self.interference.texts,
            "meanwhile": self.interference.facts,
        }


def scenario_of(settings: Settings, requested: bool) -> str:
    """The scenario that a comparison measures: the requested one, or ``single``.

    Args:
        settings: of the run.
        requested: whether the user named scenarios.

    Raises:
        OptionError: the user named several, or one other than ``single`` and ``multi``.
    """
    if not requested:
        return "single"
    if len(settings.scenarios) != 1 or settings.scenarios[0] not in BATCHES:
        raise OptionError(
            f"--compare measures one of {', '.join(BATCHES)}, not {', '.join(settings.scenarios)}.",
            "Add --scenario single, or leave it out.",
        )
    return settings.scenarios[0]


def compare(
    operands: tuple[Operand, Operand],
    options: BackendOptions,
    settings: Settings,
    scenario: str,
    choose: Callable[[TimedDetector], ImageSet],
    bench: Bench,
    say: Callable[[str], None] = lambda text: None,
    strip: int | None = None,
) -> Comparison:
    """Measure the live operands, interleaved, and compare.

    Args:
        operands: A and B.
        options: how backends run.
        settings: for how long, and how GPUs are driven.
        scenario: ``single`` or ``multi``.
        choose: the images for a bundle.
        bench: clock and watch.
        say: called with what begins.
        strip: as for ``choose_images``, of the images that ``choose`` gives.

    Raises:
        DmddError: an operand cannot run, a past result lacks the scenario, or there were too few queries.
    """
    options = preset_options(options, settings.preset)
    past = {i: item.samples(scenario) for i, item in enumerate(operands) if isinstance(item, PastOperand)}
    opener = _Opener(operands, options, BATCHES[scenario], choose, bench, say, strip)
    run = None if len(past) == len(operands) else interleave(opener.open, settings.plan, bench, say=say)
    interference = Interference() if run is None else run.interference
    if run is not None and not past:
        a, b, ratio = run.values(0), run.values(1), run.ratio
    else:
        live = np.empty(0) if run is None else run.values(0)
        a, b = (past.get(index, live) for index in (0, 1))
        ratio = separate_ratio(a, b)
        reasons = (*interference.reasons, *_reservations(operands, scenario, settings.preset.name))
        interference = Interference(reasons, interference.facts)
    return Comparison(
        ratio,
        Spread.of(a),
        Spread.of(b),
        (opener.documents[0], opener.documents[1]),
        interleaved=not past,
        scenario=scenario,
        interference=interference,
        images=opener.images,
        seconds=0.0 if run is None else run.seconds,
        round_ratios=() if run is None or past else run.ratios,
    )


class _Opener:
    """Opens the live operands, once per round.

    Attributes:
        documents: bundle and backend of each operand, as a result names them, once it was opened.
        images: what it is measured on.
    """

    def __init__(
        self,
        operands: Sequence[Operand],
        options: BackendOptions,
        batch: int,
        choose: Callable[[TimedDetector], ImageSet],
        bench: Bench,
        say: Callable[[str], None],
        strip: int | None,
    ) -> None:
        self._operands, self._options, self._batch = operands, options, batch
        self._choose, self._bench, self._say, self._strip = choose, bench, say, strip
        self._images: dict[int, ImageSet] = {}
        self.documents: dict[int, dict[str, Any]] = {}
        self.images: dict[str, Any] = {}
        for index, operand in enumerate(operands):
            if isinstance(operand, PastOperand):
                self.documents[index] = {name: operand.document[name] for name in ("bundle", "backend")}
                say(f"{'AB'[index]}: {operand.text}, measured before")

    @contextmanager
    def open(self, forwards: bool) -> Iterator[list[Query]]:
        """See ``OpenOperands``."""
        live = {i: item for i, item in enumerate(self._operands) if not isinstance(item, PastOperand)}
        queries: dict[int, Query] = {}
        with ExitStack() as stack:
            for index in live if forwards else reversed(live):
                queries[index] = self._open(index, live[index], stack)
            yield [queries[index] for index in live]

    def _open(self, index: int, operand: LiveOperand, stack: ExitStack) -> Query:
        first = index not in self.documents
        options = self._options
        if operand.precision is not None:
            options = replace(options, precision=operand.precision)
        try:
            timed = stack.enter_context(
                TimedDetector.open(
                    operand.path, operand.backend, options, self._bench.clock, verify=first, strip=self._strip
                )
            )
        except BackendError as error:
            fix = _ENGINE_NEEDED if operand.precision == "fp16" else error.fix
            raise BackendError(f"--compare {operand.text}: {error.message.rstrip('.')}.", fix) from error
        if first:
            self.documents[index] = timed.as_dict()
            self._images[index] = self._choose(timed)
            self.images = self._images[index].as_dict()
            backend = f"backend {timed.stopwatch.name}: {timed.stopwatch.description}"
            self._say(f"{'AB'[index]}: {operand.text}, {backend}")
        return host_call(timed, self._images[index], self._batch)


def _reservations(operands: tuple[Operand, Operand], scenario: str, preset: str) -> list[Reason]:
    """Reservations about operands that were not measured in one run."""
    past = [operand for operand in operands if isinstance(operand, PastOperand)]
    reasons = [
        Reason(f"{operand.text}: {text}", f"{operand.text}: {text}")
        for operand in past
        for text in operand.unreliable_because(scenario)
    ]
    presets = [item.preset if isinstance(item, PastOperand) else preset for item in operands]
    if len(set(presets)) > 1:
        names = " and ".join(name or "none" for name in presets)
        reasons.append(Reason(f"measured with different presets: {names}", "presets"))
    reasons.append(Reason("not measured in one run, so conditions may differ", "apart"))
    processors = [item.cpu if isinstance(item, PastOperand) else cpu_name() for item in operands]
    if len(set(processors)) > 1:
        reasons.append(Reason(f"measured on different machines: {' and '.join(processors)}", "machines"))
    return reasons
