"""``/metrics``: the run in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from dmdd_edge._version import __version__
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
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(snapshot, history))
    return generate_latest(registry).decode()


class _Metrics:
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
        info = GaugeMetricFamily(_full("build_info"), "Program, bundle and backend in use.", labels=[*build])
        info.add_metric([*build.values()], 1)
        yield info
        frames = CounterMetricFamily(_full("frames"), "Frames with a result, by status.", labels=["status"])
        for status in ("good", "anomalous", "unreliable"):
            frames.add_metric([status], getattr(summary, status))
        yield frames
        yield _counter("frames_skipped", "Frames that could not be read or prepared.", summary.skipped)
        yield _counter("frames_dropped", "Frames that a live source dropped.", summary.dropped)
        yield from _latency(run.latencies)
        yield _gauge("threshold", "Threshold of the score in use.", run.threshold)
        yield _gauge("start_time_seconds", "When the run started, since 1970.", self._history.started)
        yield _gauge("source_connected", "1 while the source is connected.", source.connected)
        yield _counter("source_frames", "Frames that the source delivered.", source.frames)
        yield _counter("source_reconnects", "Number of reconnections of the source.", source.reconnects)
        if newest is not None:
            yield _gauge("score", "Score of the newest frame.", newest.result.score)
            text = "When the newest frame with a result was grabbed, since 1970."
            yield _gauge("last_frame_time_seconds", text, newest.result.time)
        if source.frame_age is not None:
            yield _gauge("source_frame_age_seconds", "Age of the source's newest frame.", source.frame_age)


def _latency(latencies: Histogram) -> Iterator[Metric]:
    below = list(accumulate(latencies.counts))
    names = (*(f"{bound:g}" for bound in LATENCY_BOUNDS), "+Inf")
    text = "Time from grabbing a frame to its result."
    whole = HistogramMetricFamily(_full("latency_seconds"), text)
    whole.add_metric([], list(zip(names, below, strict=True)), latencies.seconds)
    yield whole
    stages = SummaryMetricFamily(_full("stage_seconds"), "Where that time went.", labels=["stage"])
    for stage, seconds in latencies.stages.items():
        stages.add_metric([stage], below[-1], seconds)
    yield stages


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_full(name), text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(_full(name), text, value)


def _full(name: str) -> str:
    return f"dmdd_edge_{name}"
