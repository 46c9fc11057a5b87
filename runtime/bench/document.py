"""A measurement as a JSON document, to be printed, stored and compared with, and as a Markdown row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.evaluation.metrics import PAPER_FIELDS
from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.interference import worst
from dmdd_edge.runtime.bench.scenarios import Offline, best
from dmdd_edge.runtime.bench.session import Outcome
from dmdd_edge.runtime.bench.settings import BOUNDARIES, Preset, Settings
from dmdd_edge.runtime.bench.statistics import Spread
from dmdd_edge.runtime.bench.stream import ARRIVAL, Stream, Trial
from dmdd_edge.runtime.bench.timing import Series

#: The document's ``type``.
KIND = "dmdd-edge bench"

#: Most samples per scenario in the document, chosen evenly; a later comparison needs them.
KEPT_SAMPLES = 4000

#: Columns of a Markdown row.
_COLUMNS = (
    "bundle",
    "backbone",
    "backend",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "images/s",
    "stream fps",
    "I-AUROC",
    "P-AUROC",
    "PRO",
    "MB",
    "machine",
    "reliable",
)

_GPU_ONLY = ("h2d", "compute", "d2h", "device")


def make_document(
    outcome: Outcome,
    settings: Settings,
    images: ImageSet,
    circumstances: dict[str, Any],
    interrupted: bool = False,
    tiles_per_image: Sequence[int] = (),
) -> dict[str, Any]:
    """All measurements, with their circumstances.

    Args:
        outcome: the measurements.
        settings: of the run.
        images: what was measured on.
        circumstances: of the machine.
        interrupted: whether the run ended early.
        tiles_per_image: the numbers that occur, ascending; empty where images are not tiled.
    """
    scenarios = {
        name: latency_row(outcome, series, settings.preset, images)
        for name, series in outcome.latency.items()
    }
    document: dict[str, Any] = {
        "type": KIND,
        **outcome.subject,
        "like": settings.preset.name or None,
        "note": settings.note or None,
        "settings": {
            "scenarios": list(settings.scenarios),
            "seconds": settings.plan.seconds,
            "warm_up_seconds": settings.plan.warm_up_seconds,
            "warm_up_count": settings.plan.warm_up_count,
            "batches": list(settings.batches),
            "rate": settings.rate,
        },
        "images": images.as_dict(),
        "circumstances": circumstances,
        "scenarios": scenarios,
        "offline": _offline_row(outcome.offline) if outcome.offline else None,
        "stream": _stream_row(outcome.stream) if outcome.stream else None,
        "accuracy": outcome.accuracy.as_dict()
        if outcome.accuracy
        else {"reason": "not requested: add --accuracy"},
        **_tiles_row(outcome, tiles_per_image),
        "peak_memory_mb": outcome.peak_memory_mb,
        "interrupted": interrupted,
    }
    measured = [*outcome.latency.values(), *(row.series for row in outcome.offline if row.series)]
    if outcome.stream is not None:
        measured.append(shown_trial(outcome.stream).series)
    document["unreliable_because"] = worst(
        reason for series in measured for reason in series.interference.reasons
    )
    document["reliable"] = not document["unreliable_because"]
    return document


def _tiles_row(outcome: Outcome, numbers: Sequence[int]) -> dict[str, Any]:
    """Number of tiles, and the time of one where every image has the same number; nothing without tiles."""
    if outcome.tile_batch is None:
        return {}
    single = outcome.latency.get("single")
    call = None if single is None or len(numbers) != 1 else single.of("call")
    return {
        "tiles": {
            "per_image": list(numbers),
            "batch": outcome.tile_batch,
            "ms_per_tile": None if call is None else round(float(np.median(call)) / numbers[0], 3),
        }
    }


def latency_row(outcome: Outcome, series: Series, preset: Preset, images: ImageSet) -> dict[str, Any]:
    """A scenario of latencies."""
    shown = [name for name in BOUNDARIES if name != ARRIVAL]
    spreads = {name: series.spread(name) for name in shown}
    headline = preset.headline if spreads[preset.headline] is not None else "call"
    row: dict[str, Any] = {
        "batch": series.batch,
        "queries": series.count,
        "seconds": round(series.seconds, 3),
        "throughput": round(series.throughput, 3),
        "headline": headline,
        "latency_ms": {
            name: None if spread is None else spread.as_dict() for name, spread in spreads.items()
        },
        "not_measured": {
            name: why_not(name, outcome.subject["backend"]["name"], preset, images, series)
            for name, spread in spreads.items()
            if spread is None
        },
        **_interference(series),
        "samples_ms": {
            name: thinned(values)
            for name in ("call", "from_frame")
            if (values := series.of(name)) is not None
        },
    }
    main = spreads[headline]
    if preset.name == "mlperf" and main is not None:
        row["bounds_ms"] = _rounded(main)
    return row


def why_not(name: str, backend: str, preset: Preset, images: ImageSet, series: Series) -> str:
    """Why a boundary was not measured."""
    if name in _GPU_ONLY:
        if backend == "cpu":
            return "the cpu backend computes on the host"
        if backend == "cuda":
            return "ONNX Runtime does not report it"
        return f"the engine splits a batch of {series.batch} into parts"
    if not preset.whole_way:
        return f"not part of the preset {preset.name}"
    return f"{images.kind} images have no files to decode"


def thinned(values: NDArray[np.float64]) -> list[float]:
    """At most ``KEPT_SAMPLES`` of the values, chosen evenly, in order, to a tenth of a microsecond."""
    step = -(-len(values) // KEPT_SAMPLES)
    return [round(float(value), 4) for value in values[::step]]


def _rounded(spread: Spread) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 4) for name, value in spread.bounds.items()}


def _interference(series: Series) -> dict[str, Any]:
    return {
        "reliable": series.interference.reliable,
        "unreliable_because": series.interference.texts,
        "meanwhile": series.interference.facts,
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
            **_interference(row.series),
        }
        for row in rows
    ]
    reasons = worst(reason for row in rows if row.series for reason in row.series.interference.reasons)
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
        **_interference(shown.series),
    }


def shown_trial(stream: Stream) -> Trial:
    """The trial that is reported: the sustained one, else the last with a result."""
    return stream.held or next(trial for trial in reversed(stream.trials) if trial.judged)


def markdown_row(document: dict[str, Any], header: bool = True) -> str:
    """A measurement as a row of a Markdown table; latencies of the host call, or of the preset's headline.

    Args:
        document: as ``make_document`` returns it.
        header: put the table's header above it.
    """
    row = "| " + " | ".join(summary_cells(document).values()) + " |\n"
    if not header:
        return row
    return "| " + " | ".join(_COLUMNS) + " |\n|" + "---|" * len(_COLUMNS) + "\n" + row


def summary_cells(document: dict[str, Any]) -> dict[str, str]:
    """The cells of a measurement's row by column; n/a where something was not measured.

    Args:
        document: as ``make_document`` returns it.
    """
    bundle, backend = document["bundle"], document["backend"]
    single = document["scenarios"].get("single") or next(iter(document["scenarios"].values()), None)
    latency = {} if single is None else single["latency_ms"][single["headline"]]
    offline, stream, accuracy = document["offline"], document["stream"], document["accuracy"]
    machine = document["circumstances"]["machine"]
    gpu = document["circumstances"]["gpu"].get("name")
    on_cpu = f"{machine['cpu']}, {machine['cores_allowed']} cores"
    cells = [
        f"{bundle['category']} {bundle['version']}",
        f"{bundle['backbone']}, {bundle['image_size']} px",
        f"{backend['name']}, {backend['precision']}"
        + (f", as {document['like']}" if document["like"] else ""),
        *(_number(latency.get(name), 2) for name in ("p50", "p90", "p99")),
        "n/a"
        if offline is None or offline["throughput"] is None
        else f"{_number(offline['throughput'], 1)} (batch {offline['batch']})",
        "n/a" if stream is None else _number(stream["held_rate"], 1),
        *(_percent(accuracy.get(name)) for name in PAPER_FIELDS),
        _number(backend["file_bytes"] / 1e6, 1),
        on_cpu if gpu is None or backend["name"] == "cpu" else str(gpu),
        "yes" if document["reliable"] else "no: " + "; ".join(document["unreliable_because"]),
    ]
    return {name: cell.replace("|", "/") for name, cell in zip(_COLUMNS, cells, strict=True)}


def _number(value: float | None, digits: int) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.2f}"
