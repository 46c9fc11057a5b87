"""``/metrics``: the run in Prometheus' text format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import accumulate

from dmdd_edge._version import __version__
from dmdd_edge.runtime.page.history import LATENCY_BOUNDS, History
from dmdd_edge.runtime.page.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, Mapping[str, str], float]


def metrics_text(snapshot: Snapshot, history: History) -> str:
    """Everything that is counted, in the text format, version 0.0.4.

    Args:
        snapshot: the run now.
        history: the latencies and the newest score.
    """
    summary, source = snapshot.summary, snapshot.source
    newest = history.newest
    build = {
        "version": __version__,
        "category": snapshot.category,
        "bundle": snapshot.version,
        "backend": snapshot.backend,
    }
    statuses = {name: getattr(summary, name) for name in ("good", "anomalous", "unreliable")}
    parts = [
        _family("build_info", "gauge", "Program, bundle and backend in use.", [("", build, 1)]),
        _family(
            "frames_total",
            "counter",
            "Frames that were judged, by status.",
            [("", {"status": name}, count) for name, count in statuses.items()],
        ),
        _one("frames_skipped_total", "counter", "Frames that could not be judged.", summary.skipped),
        _one("frames_dropped_total", "counter", "Frames that a live source dropped.", summary.dropped),
        _latency(history),
        _one("threshold", "gauge", "Threshold of the score in use.", snapshot.threshold),
        _one("start_time_seconds", "gauge", "When the run started, since 1970.", history.started),
        _one("source_connected", "gauge", "1 while the source is connected.", source.connected),
        _one("source_frames_total", "counter", "Frames that the source delivered.", source.frames),
        _one("source_reconnects_total", "counter", "Times that the source came back.", source.reconnects),
    ]
    if newest is not None:
        parts.append(_one("score", "gauge", "Score of the newest frame.", newest.result.score))
        text = "When the newest judged frame was grabbed, since 1970."
        parts.append(_one("last_frame_time_seconds", "gauge", text, newest.result.time))
    if source.frame_age is not None:
        text = "Age of the source's newest frame."
        parts.append(_one("source_frame_age_seconds", "gauge", text, source.frame_age))
    return "".join(parts)


def _latency(history: History) -> str:
    kept = history.latencies()
    below = list(accumulate(kept.counts))
    buckets: list[Sample] = [
        ("_bucket", {"le": _number(bound)}, count)
        for bound, count in zip((*LATENCY_BOUNDS, math.inf), below, strict=True)
    ]
    whole: list[Sample] = [*buckets, ("_sum", {}, kept.total), ("_count", {}, below[-1])]
    stages: list[Sample] = []
    for stage, seconds in kept.stages.items():
        stages += [("_sum", {"stage": stage}, seconds), ("_count", {"stage": stage}, below[-1])]
    return _family(
        "latency_seconds", "histogram", "Time from grabbing a frame to its result.", whole
    ) + _family("stage_seconds", "summary", "Where that time went.", stages)


def _one(name: str, kind: str, text: str, value: float) -> str:
    return _family(name, kind, text, [("", {}, value)])


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    full = f"dmdd_edge_{name}"
    lines = [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
    for suffix, labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels.items())
        lines.append(
            f"{full}{suffix}{{{inside}}} {_number(value)}" if inside else f"{full}{suffix} {_number(value)}"
        )
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) else repr(float(value))
