"""A benchmark from its options, for the command line and for Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.datasets import load_category
from dmdd_edge.runtime.bench.circumstances import circumstances, open_gpu_watch
from dmdd_edge.runtime.bench.compare import compare, scenario_of
from dmdd_edge.runtime.bench.document import make_document, shown_trial
from dmdd_edge.runtime.bench.history import check_history
from dmdd_edge.runtime.bench.images import ImageSet, choose_images
from dmdd_edge.runtime.bench.interference import InterferenceWatch
from dmdd_edge.runtime.bench.operands import parse_operand
from dmdd_edge.runtime.bench.plot import check_plot
from dmdd_edge.runtime.bench.session import run_bench
from dmdd_edge.runtime.bench.settings import Settings, make_settings, preset_named
from dmdd_edge.runtime.bench.timed_detector import TimedDetector
from dmdd_edge.runtime.bench.timing import Bench, Series
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.options.bench import BenchOptions
from dmdd_edge.workspace import find_bundle


@dataclass
class BenchListener:
    """Who follows a benchmark; each function may be left out.

    Attributes:
        say: called with what begins, one line each.
        progress: called with the number of test images evaluated, and of all.
        on_images: called with the images once they are chosen.
        stop: polled; true ends the benchmark with what was measured so far.
    """

    say: Callable[[str], None] = lambda line: None
    progress: Callable[[int, int], None] = lambda done, total: None
    on_images: Callable[[ImageSet], None] = lambda images: None
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class BenchResult:
    """What was measured.

    Attributes:
        document: as ``bench --json`` prints it.
        series: latencies by scenario; empty after a comparison.
    """

    document: dict[str, Any]
    series: dict[str, Series] = field(default_factory=dict)


def settings_of(options: BenchOptions) -> Settings:
    """What is measured and how; also checks the files that will be written.

    Raises:
        DmddError: the options contradict each other, or a file cannot be written.
    """
    settings = make_settings(
        preset_named(options.preset),
        options.scenario,
        options.duration,
        options.warm_up,
        options.warm_up_count,
        batches=options.batches,
        rate=options.rate,
        accuracy=options.accuracy,
        data=options.data,
    )
    if options.history is not None:
        check_history(options.history)
    if options.plot is not None:
        check_plot(options.plot, settings.scenarios)
    return settings


def measure(options: BenchOptions, listener: BenchListener | None = None) -> BenchResult:
    """Measure a bundle, or compare two operands; nothing is printed.

    Args:
        options: what is measured; ``history`` and ``plot`` are checked and left to the caller.
        listener: follows the benchmark.

    Raises:
        DmddError: the bundle, the images or the backend fails.
    """
    listener = listener or BenchListener()
    settings = settings_of(options)
    gpu = open_gpu_watch()
    conditions = circumstances(gpu)
    tools = Bench(watch=InterferenceWatch(gpu), stop=listener.stop)
    backend_options = options.pick(BackendOptions)
    if options.compare is not None:
        return _compare(options, options.compare, settings, backend_options, tools, conditions, listener)
    path = find_bundle(options.category, options.model, options.models_dir)
    manifest = Bundle.open_unverified(path).manifest
    # The images first: a wrong path should not wait for a graph to load.
    images = choose_images(manifest, options.source, options.data, strip=options.strip)
    if options.accuracy and options.data is not None:
        load_category(options.data, manifest.category, for_training=False).require_test()
    listener.on_images(images)
    outcome = run_bench(
        path,
        options.backend,
        backend_options,
        settings,
        images,
        tools,
        say=listener.say,
        progress=listener.progress,
    )
    series = dict(outcome.latency)
    if outcome.stream is not None:
        series["stream"] = shown_trial(outcome.stream).series
    tiles = () if outcome.tile_batch is None else images.tiles_per_image(manifest)
    document = make_document(outcome, settings, images, conditions, tools.stop(), tiles)
    return BenchResult(document, series)


def _compare(
    options: BenchOptions,
    texts: tuple[str, str],
    settings: Settings,
    backend_options: BackendOptions,
    tools: Bench,
    conditions: dict[str, Any],
    listener: BenchListener,
) -> BenchResult:
    a, b = (
        parse_operand(text, options.category, options.model, options.models_dir, options.backend)
        for text in texts
    )

    def choose(timed: TimedDetector) -> ImageSet:
        return choose_images(timed.bundle.manifest, options.source, options.data, strip=options.strip)

    comparison = compare(
        (a, b),
        backend_options,
        settings,
        scenario_of(settings, bool(options.scenario)),
        choose,
        tools,
        say=listener.say,
        strip=options.strip,
    )
    name = settings.preset.name or None
    return BenchResult({**comparison.as_dict(), "like": name, "circumstances": conditions})
