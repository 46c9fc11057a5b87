"""``/metrics`` of a station, in Prometheus' text format: labels name camera, recipe and inspection."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dmdd_edge._version import __version__
from dmdd_edge.runtime.page.metrics import (
    CONTENT_TYPE,
    archive_metrics,
    counter,
    drift_metrics,
    full,
    gauge,
    histogram,
    text_of,
)
from dmdd_edge.runtime.station.page.board import Board
from dmdd_edge.runtime.station.page.snapshot import StationSnapshot
from dmdd_edge.runtime.station.page.view import StationView

__all__ = ["CONTENT_TYPE", "station_metrics_text"]

_STATUSES = ("good", "anomalous", "unreliable", "failed")


def station_metrics_text(snapshot: StationSnapshot, view: StationView, board: Board) -> str:
    """Everything that is counted, in the text format, version 0.0.4."""
    return text_of(_StationMetrics(snapshot, view, board))


class _StationMetrics(Collector):
    """Collects the metrics of one snapshot."""

    def __init__(self, snapshot: StationSnapshot, view: StationView, board: Board) -> None:
        self._snapshot, self._view, self._board = snapshot, view, board

    def collect(self) -> Iterator[Metric]:
        build = {"version": __version__, "station": self._view.settings.name}
        info = GaugeMetricFamily(full("build_info"), "Program and station.", labels=[*build])
        info.add_metric([*build.values()], 1)
        yield info
        yield from self._station()
        yield from self._parts()
        yield from self._inspections()
        yield from self._cameras()
        inspections = self._view.settings.inspections
        reports = [((inspections[name].camera, name), each) for name, each in self._snapshot.drift.items()]
        yield from drift_metrics(reports, ["camera", "inspection"])
        yield from archive_metrics(self._snapshot.archive)

    def _station(self) -> Iterator[Metric]:
        state = self._snapshot.state
        yield gauge("station_online", "1 while parts are inspected at all.", state.online)
        yield gauge("station_ready", "1 while a trigger is accepted.", state.ready)
        yield gauge("station_fault", "1 while somebody must look.", state.fault)
        yield gauge("station_error_code", "Why, or why the last request was refused.", state.code)
        yield gauge("station_recipe", "Number of the recipe in force.", state.recipe)
        yield gauge("station_queued", "Triggers that wait.", state.queued)
        text = "1 while counts and part numbers can be kept."
        yield gauge("station_state_kept", text, not self._snapshot.problem)
        yield gauge("start_time_seconds", "When the station started, since 1970.", self._board.started)

    def _parts(self) -> Iterator[Metric]:
        """Over all restarts, as the station keeps them."""
        parts = CounterMetricFamily(full("parts"), "Parts, by their verdict.", labels=["recipe", "status"])
        passed = CounterMetricFamily(full("parts_passed"), "Parts that passed.", labels=["recipe"])
        late = CounterMetricFamily(full("parts_late"), "Parts whose verdict was late.", labels=["recipe"])
        for number, counts in self._snapshot.recipes.items():
            recipe = str(number)
            good = counts.parts - counts.anomalous - counts.unreliable - counts.suspect
            for status, value in zip(_STATUSES, (good, counts.anomalous, counts.unreliable), strict=False):
                parts.add_metric([recipe, status], value)
            if counts.suspect or self._snapshot.has_band:
                parts.add_metric([recipe, "suspect"], counts.suspect)
            passed.add_metric([recipe], counts.passed)
            late.add_metric([recipe], counts.late)
        yield from (parts, passed, late)
        yield counter("parts_missed", "Triggers that were not looked at.", self._snapshot.state.missed)
        text = "Time from a trigger to its verdict."
        yield histogram("part_latency_seconds", text, self._snapshot.latencies)

    def _inspections(self) -> Iterator[Metric]:
        labels = ["camera", "inspection"]
        text = "Results of an inspection, by status."
        results = CounterMetricFamily(full("inspections"), text, labels=[*labels, "status"])
        text = "Threshold of the score, of each inspection in force."
        thresholds = GaugeMetricFamily(full("threshold"), text, labels=[*labels, "category", "bundle"])
        text = "Lower threshold of the score, of each inspection in force that has a band."
        lower = GaugeMetricFamily(full("suspect_threshold"), text, labels=[*labels, "category", "bundle"])
        scores = GaugeMetricFamily(full("score"), "Score of the newest result.", labels=labels)
        for name, inspection in self._view.settings.inspections.items():
            place = [inspection.camera, name]
            for status in _STATUSES:
                results.add_metric([*place, status], getattr(self._snapshot.inspections[name], status))
            if (suspect := self._snapshot.inspections[name].suspect) or self._snapshot.has_band:
                results.add_metric([*place, "suspect"], suspect)
            newest = self._board.latest[name].newest
            if newest is not None:
                scores.add_metric(place, newest.result.score)
        recipe = self._snapshot.recipe
        for inspection, detector in () if recipe is None else recipe.inspections:
            bundle = detector.bundle
            labelled = [inspection.camera, inspection.name, bundle.category, bundle.version]
            thresholds.add_metric(labelled, detector.threshold.image)
            if detector.threshold.suspect is not None:
                lower.add_metric(labelled, detector.threshold.suspect)
        yield from (results, thresholds, *([lower] if lower.samples else []), scores)

    def _cameras(self) -> Iterator[Metric]:
        labels = ["camera"]
        connected = GaugeMetricFamily(full("source_connected"), "1 while it is connected.", labels=labels)
        frames = CounterMetricFamily(full("source_frames"), "Frames that it delivered.", labels=labels)
        dropped = CounterMetricFamily(full("source_dropped"), "Frames that no part got.", labels=labels)
        text = "Number of its reconnections."
        reconnects = CounterMetricFamily(full("source_reconnects"), text, labels=labels)
        ages = GaugeMetricFamily(full("source_frame_age_seconds"), "Age of its newest frame.", labels=labels)
        for name, camera in self._snapshot.cameras.items():
            connected.add_metric([name], camera.connected)
            frames.add_metric([name], camera.frames)
            dropped.add_metric([name], camera.dropped)
            reconnects.add_metric([name], camera.reconnects)
            if camera.frame_age is not None:
                ages.add_metric([name], camera.frame_age)
        yield from (connected, frames, dropped, reconnects, ages)
