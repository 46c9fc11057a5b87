"""One run of ``dmdd-edge bench``: the requested scenarios, on one bundle and backend."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dmdd_edge.data.datasets import load_category
from dmdd_edge.evaluation.metrics import Metrics
from dmdd_edge.evaluation.test_set import evaluate_predictor, load_test_set
from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.scenarios import BATCHES, Offline, measure_latency, sweep
from dmdd_edge.runtime.bench.settings import Preset, Settings
from dmdd_edge.runtime.bench.stream import Stream, measure_stream
from dmdd_edge.runtime.bench.timed_detector import TimedDetector
from dmdd_edge.runtime.bench.timing import Bench, Series
from dmdd_edge.runtime.options.backend import BackendOptions


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of the measured file and backend on a category's complete test set.

    Attributes:
        metrics: None where it could not be measured.
        images: number of images evaluated.
        reason: why it was not measured; else empty.
        skipped: files that could not be read, and why.
        remarks: what was left out or used with a reservation, a line each.
    """

    metrics: Metrics | None
    images: int = 0
    reason: str = ""
    skipped: tuple[tuple[Path, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Its part of a result; ratios 0..1."""
        if self.metrics is None:
            return {"reason": self.reason}
        names = ("image_auroc", "pixel_auroc", "pro", "pro_per_image")
        return {
            **{name: getattr(self.metrics, name) for name in names},
            "images": self.images,
            "skipped": len(self.skipped),
            "remarks": list(self.remarks),
        }


@dataclass
class Outcome:
    """The measurements of a run.

    Attributes:
        subject: bundle and backend, as a result names them.
        latency: the scenarios ``single`` and ``multi``.
        offline: by batch size.
        stream: the scenario of that name.
        accuracy: None where it was not requested.
        peak_memory_mb: the process's peak memory before accuracy was measured, images in rotation included.
        tile_batch: most tiles of one batch; None where images are not tiled.
    """

    subject: dict[str, Any]
    latency: dict[str, Series] = field(default_factory=dict)
    offline: list[Offline] = field(default_factory=list)
    stream: Stream | None = None
    accuracy: Accuracy | None = None
    peak_memory_mb: float = 0.0
    tile_batch: int | None = None


class _StoppedError(Exception):
    """The user stops the run."""


def preset_options(options: BackendOptions, preset: Preset) -> BackendOptions:
    """The options of a backend with a preset's way of waiting for the GPU and launching runs."""
    return replace(options, spin=preset.spin, cuda_graphs=preset.cuda_graphs and options.cuda_graphs)


def run_bench(
    path: Path,
    backend: str,
    options: BackendOptions,
    settings: Settings,
    images: ImageSet,
    bench: Bench,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Open the bundle and run the scenarios, one after the other.

    Args:
        path: the bundle.
        backend: ``auto``, or one by name.
        options: how it runs; the preset decides on waiting and CUDA graphs.
        settings: what is measured.
        images: used in rotation.
        bench: clock and watch; when its ``stop`` is true, the outcome is what was measured so far.
        say: called with what begins.
        progress: called with the number of test images done, and of all.

    Raises:
        DmddError: the bundle does not verify, or the backend cannot run or failed.
    """
    preset = settings.preset
    options = preset_options(options, preset)
    with TimedDetector.open(path, backend, options, bench.clock, strip=images.strip) as timed:
        say(f"backend {timed.stopwatch.name}: {timed.stopwatch.description}")
        outcome = Outcome(timed.as_dict(), tile_batch=timed.detector.tile_batch)
        for name in settings.scenarios:
            if name not in BATCHES or bench.stop():
                continue
            say(f"{name}: {settings.plan.seconds:g} s")
            series = measure_latency(timed, images, BATCHES[name], settings.plan, bench, preset.whole_way)
            if series.count:
                outcome.latency[name] = series
        if "stream" in settings.scenarios and not bench.stop():
            search = "a search, then " if settings.rate is None else f"{settings.rate:g} frames/s, "
            say(f"stream: {search}{settings.plan.seconds:g} s")
            stream = measure_stream(timed, images, settings.plan, bench, settings.rate)
            # A stream that was stopped before its first result has nothing to report.
            outcome.stream = stream if any(trial.judged for trial in stream.trials) else None
        used, overlaps = timed.stopwatch.name, timed.stopwatch.sidecar is not None
        if not overlaps:
            _offline(timed, settings, images, bench, outcome, say)
        outcome.peak_memory_mb = peak_memory_mb()
        if settings.accuracy and not bench.stop():
            say("accuracy")
            outcome.accuracy = measure_accuracy(timed, settings.data, progress, bench.stop)
    if overlaps and "offline" in settings.scenarios:
        # With a second slot, copies overlap the computation; a single query is fastest with one.
        with TimedDetector.open(
            path, used, replace(options, slots=2), bench.clock, strip=images.strip
        ) as timed:
            _offline(timed, settings, images, bench, outcome, say)
    return outcome


def measure_accuracy(
    timed: TimedDetector,
    data: Path | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Accuracy:
    """Evaluate the category's test images with the measured file and backend.

    Args:
        timed: what is measured.
        data: a data set that contains the bundle's category; None without one.
        progress: called with the number of images done, and of all.
        stop: polled between images; true ends it without figures, since those of a part would mislead.

    Raises:
        DmddError: the data set cannot be read, or the backend failed.
    """
    if data is None:
        return Accuracy(None, reason="no data set: add --data DIR")
    manifest = timed.bundle.manifest
    category = load_category(data, manifest.category, for_training=False)
    if not category.test:
        return Accuracy(None, reason=f"{data} has no test images of {manifest.category}")
    test = load_test_set(category, manifest.preprocess, manifest.image_size)
    total = len(test.items)

    def on_image(done: int) -> None:
        if stop():
            raise _StoppedError
        progress(done, total)

    try:
        evaluation = evaluate_predictor(timed.stopwatch.infer, test, on_image)
    except _StoppedError:
        return Accuracy(None, reason="stopped")
    remarks = tuple(category.remarks())
    return Accuracy(evaluation.metrics, total, skipped=tuple(category.skipped), remarks=remarks)


def peak_memory_mb() -> float:
    """The peak memory of this process so far, in MB of 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _offline(
    timed: TimedDetector,
    settings: Settings,
    images: ImageSet,
    bench: Bench,
    outcome: Outcome,
    say: Callable[[str], None],
) -> None:
    if "offline" in settings.scenarios and not bench.stop():
        sizes = ", ".join(map(str, settings.batches))
        say(f"offline: batches of {sizes}, {settings.plan.seconds:g} s in all")
        outcome.offline = sweep(timed, images, settings.batches, settings.plan, bench)
