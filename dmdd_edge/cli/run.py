"""``dmdd-edge run``: judge images with a bundle."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmdd_edge.cli.options import (
    BackendOption,
    CategoryOption,
    CudaDriverOption,
    EngineCacheOption,
    IoMemoryOption,
    JsonOption,
    ModelOption,
    ModelsDirOption,
    SourceOption,
)
from dmdd_edge.errors import DmddError

if TYPE_CHECKING:
    from dmdd_edge.runtime.sinks import Sink
    from dmdd_edge.runtime.summary import Summary

#: The exit code under --fail-on-anomaly.
ANOMALIES_FOUND = 3
#: The exit code after Ctrl-C.
INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("run")(run)


def run(
    source: SourceOption,
    category: CategoryOption = None,
    model: ModelOption = None,
    models_dir: ModelsDirOption = Path("models"),
    backend: BackendOption = "auto",
    build_engine: Annotated[
        bool,
        typer.Option("--build-engine", help="Build an engine for this GPU first, unless there is one."),
    ] = False,
    engine_cache: EngineCacheOption = None,
    cuda_driver: CudaDriverOption = "auto",
    io_memory: IoMemoryOption = "auto",
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Threshold of the score, 0..1, for this run."),
    ] = None,
    pixel_threshold: Annotated[
        float | None,
        typer.Option("--pixel-threshold", help="Threshold of the map, 0..1; default: the score's."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Write an overlay of each image into this folder."),
    ] = None,
    save_only_anomalous: Annotated[
        bool, typer.Option("--save-only-anomalous", help="Write no overlay of good images.")
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Write a row an image into this file."),
    ] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Judge only each N-th image.")] = 1,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="End after so many images."),
    ] = None,
    fail_on_anomaly: Annotated[
        bool,
        typer.Option(
            "--fail-on-anomaly", help="Exit with code 3 when an image is anomalous or cannot be judged."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Judge images, a video or a folder with an exported bundle.

    --json writes one JSON line an image to standard output, the summary last.
    """
    from dmdd_edge.cli.run_report import Report, print_start
    from dmdd_edge.runtime.backends.options import BackendOptions
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.loop import run_frames
    from dmdd_edge.runtime.signals import StopRequest
    from dmdd_edge.runtime.sinks.csv_file import CsvFile
    from dmdd_edge.runtime.sinks.json_lines import JsonLines
    from dmdd_edge.runtime.sinks.overlays import Overlays
    from dmdd_edge.runtime.sources import open_source
    from dmdd_edge.workspace import find_bundle

    if save_only_anomalous and save is None:
        raise DmddError("--save-only-anomalous needs --save.", "Add --save FOLDER.")
    # The source first: a wrong path should not wait for a graph to load.
    frames = open_source(source, every=every, save=save)
    # Of a source that ends, each frame counts and none is late: two are under way at once.
    slots = 1 if frames.total is None else 2
    options = BackendOptions(
        engine_cache=engine_cache, cuda_driver=cuda_driver, io_memory=io_memory, slots=slots
    )
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        path = find_bundle(category, model, models_dir)
        if build_engine:
            from dmdd_edge.cli.engine_build import build_missing_engine

            build_missing_engine(path, backend, options)
        detector = stack.enter_context(
            Detector.load(path, backend, threshold, pixel_threshold, options=options)
        )
        print_start(detector)
        overlays = None
        sinks: list[Sink] = [Report(each=not json)]
        if json:
            sinks.append(JsonLines(sys.stdout))
        if csv is not None:
            sinks.append(CsvFile(csv))
        if save is not None:
            overlays = Overlays(save, frames.root, save_only_anomalous)
            sinks.append(overlays)
        summary = run_frames(detector, frames, sinks, limit, stop=lambda: bool(stop))
    if overlays is not None:
        from dmdd_edge.cli.console import console

        console.print(f"{overlays.written} overlays in {save}", markup=False)
    _exit(summary, stop.received, fail_on_anomaly)


def _exit(summary: Summary, received: signal.Signals | None, fail_on_anomaly: bool) -> None:
    """End with the code that fits what happened."""
    if received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)
    if received is signal.SIGTERM:
        return  # how a service is stopped: that is no failure
    if summary.frames == 0 and summary.skipped:
        raise DmddError(
            f"none of the {summary.skipped} images could be judged.",
            "The reasons are given above, one an image.",
        )
    # A frame that cannot be judged is never good, so it must not pass a gate either.
    if fail_on_anomaly and summary.anomalous + summary.unreliable > 0:
        raise typer.Exit(ANOMALIES_FOUND)
