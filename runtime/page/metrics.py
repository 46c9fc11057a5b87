"""``/metrics``: the run in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from dmdd_edge._version import __version__
from dmdd_edge.runtime.drift.observation import MEASURES
from dmdd_edge.runtime.latencies import LATENCY_BOUNDS, Histogram
from dmdd_edge.runtime.page.history import History
from dmdd_edge.runtime.page.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(snapshot: Snapshot, history: History) -> str:
    """Everything that is counted, in the text format, version 0.0.4.

    Args:
        snapshot: the run now.
        history: has the newest score.
    """
    return text_of(_Metrics(snapshot, history))


def text_of(collector: Collector) -> str:
    """What a collector yields, in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry).decode()


class _Metrics(Collector):
    """Collects the metrics of one snapshot."""

    def __init__(self, snapshot: Snapshot, history: History) -> None:
        self._snapshot, self._history = snapshot, history

    def collect(self) -> Iterator[Metric]:
        run, newest = self._snapshot.run, self._history.newest
        summary, source = run.summary, run.source
        build = {
            "version": __version__,
            "category": run.category,
            "bundle": run.version,
            "backend": summary.backend,
        }
        info = GaugeMetricFamily(full("build_info"), "Program, bundle and backend in use.", labels=[*build])
        info.add_metric([*build.values()], 1)
        yield info
        frames = CounterMetricFamily(full("frames"), "Frames with a result, by status.", labels=["status"])
        for status in ("good", "anomalous", "unreliable"):
            frames.add_metric([status], getattr(summary, status))
        if summary.suspect is not None:
            frames.add_metric(["suspect"], summary.suspect)
        yield frames
        yield counter("frames_skipped", "Frames that could not be read or prepared.", summary.skipped)
        yield counter("frames_dropped", "Frames that a live source dropped.", summary.dropped)
        yield from _latency(run.latencies)
        yield gauge("threshold", "Threshold of the score in use.", run.threshold)
        if run.suspect_threshold is not None:
            text = "Lower threshold of the score in use: above it a frame is suspect."
            yield gauge("suspect_threshold", text, run.suspect_threshold)
        yield gauge("start_time_seconds", "When the run started, since 1970.", self._history.started)
        yield gauge("source_connected", "1 while the source is connected.", source.connected)
        yield counter("source_frames", "Frames that the source delivered.", source.frames)
        yield counter("source_reconnects", "Number of reconnections of the source.", source.reconnects)
        yield from drift_metrics([((), report) for report in summary.drift.values()], [])
        yield from archive_metrics(summary.archive)
        if newest is not None:
            yield gauge("score", "Score of the newest frame.", newest.result.score)
            text = "When the newest frame with a result was grabbed, since 1970."
            yield gauge("last_frame_time_seconds", text, newest.result.time)
        if source.frame_age is not None:
            yield gauge("source_frame_age_seconds", "Age of the source's newest frame.", source.frame_age)


def _latency(latencies: Histogram) -> Iterator[Metric]:
    yield histogram("latency_seconds", "Time from grabbing a frame to its result.", latencies)
    stages = SummaryMetricFamily(full("stage_seconds"), "Where that time went.", labels=["stage"])
    for stage, seconds in latencies.stages.items():
        stages.add_metric([stage], sum(latencies.counts), seconds)
    yield stages


def archive_metrics(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """What an archive keeps; nothing without one.

    Args:
        figures: of the archive, as in the summary.
    """
    if not figures:
        return
    kept = CounterMetricFamily(full("archive_kept"), "Images kept, by reason.", labels=["reason"])
    for reason, count in sorted(dict(figures["kept"]).items()):
        kept.add_metric([reason], count)
    yield kept
    yield counter("archive_lost", "Images that were to be kept and were not.", figures["lost"])
    yield gauge("archive_failing", "1 while the archive cannot be written.", bool(figures["problem"]))


def drift_metrics(
    reports: Sequence[tuple[tuple[str, ...], Mapping[str, Any]]], labels: list[str]
) -> Iterator[Metric]:
    """What the drift watches found.

    Args:
        reports: of the watches, each with the values of its labels.
        labels: names of the labels.
    """
    if not reports:
        return
    text = "1 while the drift watch warns of a measure."
    warnings = GaugeMetricFamily(full("drift"), text, labels=[*labels, "measure"])
    text = "How close a warning is, 0 to 1."
    sums = GaugeMetricFamily(full("drift_evidence"), text, labels=[*labels, "measure", "direction"])
    learning = GaugeMetricFamily(full("drift_learning"), "1 while it learns what is usual.", labels=labels)
    for place, report in reports:
        warned = {warning["measure"] for warning in report["warnings"]}
        for measure in MEASURES:
            warnings.add_metric([*place, measure], measure in warned)
        for measure, (up, down) in report["sums"].items():
            sums.add_metric([*place, measure, "up"], up)
            sums.add_metric([*place, measure, "down"], down)
        learning.add_metric(list(place), report["learning"])
    yield from (warnings, sums, learning)


def histogram(name: str, text: str, latencies: Histogram) -> Metric:
    """A histogram of latencies."""
    below = list(accumulate(latencies.counts))
    names = (*(f"{bound:g}" for bound in LATENCY_BOUNDS), "+Inf")
    whole = HistogramMetricFamily(full(name), text)
    whole.add_metric([], list(zip(names, below, strict=True)), latencies.seconds)
    return whole


def gauge(name: str, text: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(full(name), text, value)


def counter(name: str, text: str, value: float) -> Metric:
    """A counter without labels."""
    return CounterMetricFamily(full(name), text, value)


def full(name: str) -> str:
    """A metric's name with the program's."""
    return f"dmdd_edge_{name}"
