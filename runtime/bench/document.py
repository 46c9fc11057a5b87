"""A measurement as the JSON document that is printed, kept, and compared with later."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.bench.likes import BOUNDARIES, Like
from dmdd_edge.runtime.bench.offline import Offline, best
from dmdd_edge.runtime.bench.percentiles import Spread
from dmdd_edge.runtime.bench.pictures import Pictures
from dmdd_edge.runtime.bench.session import Outcome, Settings
from dmdd_edge.runtime.bench.stream import ARRIVAL, Stream, Trial
from dmdd_edge.runtime.bench.timing import Series
from dmdd_edge.runtime.bench.watch import worst

#: What a document of this kind says it is.
KIND = "dmdd-edge bench"

#: So many samples of a scenario are kept, taken evenly, so that a later comparison has something to go by.
KEPT_SAMPLES = 4000

_GPU_ONLY = ("h2d", "compute", "d2h", "device")


def make_document(
    outcome: Outcome,
    settings: Settings,
    pictures: Pictures,
    circumstances: dict[str, Any],
    interrupted: bool = False,
) -> dict[str, Any]:
    """Everything that was measured, and under what circumstances.

    Args:
        outcome: what was measured.
        settings: what was asked for.
        pictures: what it was measured on.
        circumstances: of the machine.
        interrupted: whether it was ended early.
    """
    scenarios = {
        name: latency_row(outcome, series, settings.like, pictures)
        for name, series in outcome.latency.items()
    }
    document: dict[str, Any] = {
        "type": KIND,
        **outcome.subject,
        "like": settings.like.name or None,
        "note": settings.note or None,
        "settings": {
            "scenarios": list(settings.scenarios),
            "seconds": settings.plan.seconds,
            "warm_up_seconds": settings.plan.warm_up_seconds,
            "warm_up_count": settings.plan.warm_up_count,
            "batches": list(settings.batches),
            "rate": settings.rate,
        },
        "images": pictures.as_dict(),
        "circumstances": circumstances,
        "scenarios": scenarios,
        "offline": _offline_row(outcome.offline) if outcome.offline else None,
        "stream": _stream_row(outcome.stream) if outcome.stream else None,
        "accuracy": outcome.accuracy.as_dict()
        if outcome.accuracy
        else {"reason": "not asked for: --accuracy"},
        "peak_memory_mb": outcome.peak_memory_mb,
        "interrupted": interrupted,
    }
    measured = [*outcome.latency.values(), *(row.series for row in outcome.offline if row.series)]
    if outcome.stream is not None:
        measured.append(shown_trial(outcome.stream).series)
    document["unreliable_because"] = worst(reason for series in measured for reason in series.seen.reasons)
    document["reliable"] = not document["unreliable_because"]
    return document


def latency_row(outcome: Outcome, series: Series, like: Like, pictures: Pictures) -> dict[str, Any]:
    """A scenario of latencies."""
    shown = [name for name in BOUNDARIES if name != ARRIVAL]
    spreads = {name: series.spread(name) for name in shown}
    headline = like.headline if spreads[like.headline] is not None else "call"
    row: dict[str, Any] = {
        "batch": series.batch,
        "queries": series.count,
        "seconds": round(series.seconds, 3),
        "throughput": round(series.throughput, 3),
        "headline": headline,
        "latency_ms": {name: None if found is None else found.as_dict() for name, found in spreads.items()},
        "not_measured": {
            name: why_not(name, outcome.subject["backend"]["name"], like, pictures, series)
            for name, found in spreads.items()
            if found is None
        },
        **_seen(series),
        "samples_ms": {
            name: thinned(found) for name in ("call", "from_frame") if (found := series.of(name)) is not None
        },
    }
    main = spreads[headline]
    if like.name == "mlperf" and main is not None:
        row["bounds_ms"] = _rounded(main)
    return row


def why_not(name: str, backend: str, like: Like, pictures: Pictures, series: Series) -> str:
    """Why a boundary was not measured."""
    if name in _GPU_ONLY:
        if backend == "cpu":
            return "the cpu backend computes on the host"
        if backend == "cuda":
            return "ONNX Runtime does not tell it"
        return f"the engine takes a batch of {series.batch} in parts"
    if not like.whole_way:
        return f"left out by --like {like.name}"
    return f"{pictures.kind} images have no files to decode"


def thinned(values: NDArray[np.float64]) -> list[float]:
    """At most ``KEPT_SAMPLES`` of the values, taken evenly, in order, to a tenth of a microsecond."""
    step = -(-len(values) // KEPT_SAMPLES)
    return [round(float(value), 4) for value in values[::step]]


def _rounded(spread: Spread) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in spread.bounds.items()}


def _seen(series: Series) -> dict[str, Any]:
    return {
        "reliable": series.seen.reliable,
        "unreliable_because": series.seen.texts,
        "meanwhile": series.seen.facts,
    }


def _offline_row(rows: list[Offline]) -> dict[str, Any]:
    top = best(rows)
    sweep = [
        {"batch": row.batch, "throughput": None, "reason": row.reason}
        if row.series is None
        else {
            "batch": row.batch,
            "throughput": round(row.series.throughput, 3),
            "queries": row.series.count,
            "seconds": round(row.series.seconds, 3),
            **_seen(row.series),
        }
        for row in rows
    ]
    reasons = worst(reason for row in rows if row.series for reason in row.series.seen.reasons)
    return {
        "throughput": None if top is None or top.series is None else round(top.series.throughput, 3),
        "batch": None if top is None else top.batch,
        "sweep": sweep,
        "reliable": not reasons,
        "unreliable_because": reasons,
    }


def _stream_row(stream: Stream) -> dict[str, Any]:
    shown = shown_trial(stream)
    spread = shown.series.spread(ARRIVAL)
    return {
        "asked_rate": stream.asked,
        "held_rate": None if stream.held is None else round(stream.held.rate, 3),
        "seconds": round(shown.series.seconds, 3),
        "judged": shown.judged,
        "dropped": shown.dropped,
        "latency_ms": {ARRIVAL: None if spread is None else spread.as_dict()},
        "trials": [
            {"rate": round(trial.rate, 3), "judged": trial.judged, "dropped": trial.dropped}
            for trial in stream.trials
        ],
        **_seen(shown.series),
    }


def shown_trial(stream: Stream) -> Trial:
    """The trial that is reported: the one that was held, else the last in which a frame was judged."""
    return stream.held or next(trial for trial in reversed(stream.trials) if trial.judged)
