"""``dmdd-edge run``: judge images, videos, cameras and streams with a bundle."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmdd_edge.cli import run_options as o
from dmdd_edge.cli.exit_codes import ANOMALIES_FOUND, INTERRUPTED
from dmdd_edge.cli.options import (
    BackendOption,
    CategoryOption,
    CudaDriverOption,
    EngineCacheOption,
    IoMemoryOption,
    JsonOption,
    ModelOption,
    ModelsDirOption,
)
from dmdd_edge.errors import OptionError, SourceError

if TYPE_CHECKING:
    from dmdd_edge.cli.run_sinks import OpenSinks
    from dmdd_edge.runtime.sources import Source
    from dmdd_edge.runtime.summary import Summary


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("run")(run)


def run(
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="Image, video, folder (with its subfolders), glob in quotes, - for a list of paths; camera "
            "(0, /dev/video0, csi://0), rtsp://, http(s)://, or replay:VIDEO.",
        ),
    ] = None,
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
        typer.Option("--pixel-threshold", help="Threshold of the map, 0..1; default: the bundle's."),
    ] = None,
    every: o.EveryOption = 1,
    limit: o.LimitOption = None,
    duration: o.DurationOption = None,
    watch: o.WatchOption = None,
    watch_existing: o.WatchExistingOption = False,
    watch_settle: o.WatchSettleOption = 0.3,
    fps: o.FpsOption = None,
    camera_size: o.CameraSizeOption = None,
    camera_fps: o.CameraFpsOption = None,
    exposure: o.ExposureOption = None,
    gain: o.GainOption = None,
    white_balance: o.WhiteBalanceOption = None,
    camera_control: o.CameraControlOption = None,
    stream_timeout: o.StreamTimeoutOption = 10.0,
    jsonl: o.JsonlOption = None,
    csv: o.CsvOption = None,
    save: o.SaveOption = None,
    save_maps: o.SaveMapsOption = None,
    save_frames: o.SaveFramesOption = None,
    save_only_anomalous: o.OnlyAnomalousOption = False,
    save_format: o.SaveFormatOption = "png",
    save_size: o.SaveSizeOption = None,
    save_caption: o.SaveCaptionOption = True,
    video: o.VideoOption = None,
    video_fps: o.VideoFpsOption = None,
    resume: o.ResumeOption = False,
    overwrite: o.OverwriteOption = False,
    rotate_size: o.RotateSizeOption = None,
    rotate: o.RotateOption = None,
    keep: o.KeepOption = None,
    fsync: o.FsyncOption = "second",
    mqtt: o.MqttOption = None,
    webhook: o.WebhookOption = None,
    notify: o.NotifyOption = "all",
    webhook_secret_env: o.WebhookSecretOption = None,
    webhook_token_env: o.WebhookTokenOption = None,
    spool: o.SpoolOption = None,
    spool_limit: o.SpoolLimitOption = "64MB",
    serve: o.ServeOption = None,
    serve_token_env: o.ServeTokenOption = None,
    show: o.ShowOption = False,
    quiet: o.QuietOption = False,
    verbose: o.VerboseOption = False,
    fail_on_anomaly: o.FailOption = False,
    json: JsonOption = False,
) -> None:
    """Judge images, a video, a folder, a camera or a stream with an exported bundle.

    --json writes one JSON line per frame to standard output, the summary last.
    """
    from dmdd_edge.cli.console import console
    from dmdd_edge.cli.run_report import Report, print_end, print_start
    from dmdd_edge.cli.run_sinks import Outputs, open_sinks, rotation_size
    from dmdd_edge.runtime.backends.options import BackendOptions
    from dmdd_edge.runtime.control import RunControl
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.hints import FirstFrames
    from dmdd_edge.runtime.loop import run_frames
    from dmdd_edge.runtime.signals import StopRequest
    from dmdd_edge.runtime.sources import open_source
    from dmdd_edge.runtime.sources.options import SourceOptions, parse_control, parse_size
    from dmdd_edge.runtime.version_watch import VersionWatch
    from dmdd_edge.workspace import find_bundle

    if (source is None) == (watch is None):
        raise typer.BadParameter("one of the two is needed.", param_hint="'--source' or '--watch'")
    if duration is not None and duration <= 0:
        raise OptionError(f"--duration is {duration:g}; it must be more than 0.", "It counts seconds.")
    if quiet and verbose:
        raise typer.BadParameter("only one of the two can be given.", param_hint="'--quiet' or '--verbose'")

    def say(line: str) -> None:
        console.print(line)

    outputs = Outputs(
        json=json,
        jsonl=jsonl,
        csv=csv,
        save=save,
        save_maps=save_maps,
        save_frames=save_frames,
        save_only_anomalous=save_only_anomalous,
        save_format=save_format,
        save_size=save_size,
        save_caption=save_caption,
        video=video,
        video_fps=video_fps,
        resume=resume,
        overwrite=overwrite,
        rotate=rotation_size(rotate_size, rotate, say),
        keep=keep,
        fsync=fsync,
        mqtt=mqtt,
        webhook=webhook,
        notify=notify,
        webhook_secret_env=webhook_secret_env,
        webhook_token_env=webhook_token_env,
        spool=spool,
        spool_limit=spool_limit,
        serve=serve,
        serve_token_env=serve_token_env,
        show=show,
    )
    outputs.check()
    asked = SourceOptions(
        every=every,
        fps=fps,
        save=save,
        save_maps=save_maps,
        save_frames=save_frames,
        watch=watch is not None,
        # What was dropped while nobody watched is owed too; what was judged is known by the results.
        watch_existing=watch_existing or (resume and watch is not None),
        watch_settle=watch_settle,
        camera_size=None if camera_size is None else parse_size(camera_size),
        camera_fps=camera_fps,
        exposure=exposure,
        gain=gain,
        white_balance=white_balance,
        camera_controls=tuple(parse_control(text) for text in camera_control or ()),
        stream_timeout=stream_timeout,
    )

    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest(hangup=True))
        path = find_bundle(category, model, models_dir)
        # The source before the graph: a wrong path should not wait for that to load.
        frames = open_source(str(watch) if source is None else source, asked)
        stack.callback(frames.stop)
        frames.say = say
        # Frames that come at their own pace are judged one at a time, which has the shortest delay.
        endless = frames.live or watch is not None
        slots = 1 if endless or frames.total == 1 else 2
        options = BackendOptions(
            engine_cache=engine_cache, cuda_driver=cuda_driver, io_memory=io_memory, slots=slots
        )
        if build_engine:
            from dmdd_edge.cli.engine_build import build_missing_engine

            build_missing_engine(path, backend, options)

        def load() -> Detector:
            return Detector.load(path, backend, threshold, pixel_threshold, options=options)

        detector = load()
        control = RunControl(detector, frames, load, say)
        stack.callback(lambda: control.detector.close())
        if not quiet:
            print_start(detector, verbose)
            if detail := frames.state().detail:
                say(f"camera: {detail}")
        versions = VersionWatch(path, control.version)
        sinks = open_sinks(outputs, control, frames, endless, stack, lambda: bool(stop), say)
        # A resumed run counts against --limit only what it judges itself.
        total = frames.total
        if total is not None and limit is not None and not resume:
            total = min(total, limit)
        sinks.all.insert(0, Report(not quiet and (verbose or not json), verbose, total))
        known = [count for count in (total, limit) if count is not None]
        sinks.all.insert(1, FirstFrames(control, min(known) if known else None, say))
        if sinks.resume is not None:
            frames.skip = sinks.resume.skip
        ends = None if duration is None else time.monotonic() + duration

        def ended() -> bool:
            if stop.take_hangup() or versions.changed():
                control.request_reload()
            out_of_time = ends is not None and time.monotonic() >= ends
            return bool(stop) or out_of_time or (sinks.window is not None and sinks.window.ended)

        summary = run_frames(detector, frames, sinks.all, limit, ended, control)
    print_end(sinks)
    _exit(summary, sinks, frames, endless, stop.received, fail_on_anomaly, say)


def _exit(
    summary: Summary,
    sinks: OpenSinks,
    source: Source,
    endless: bool,
    received: signal.Signals | None,
    fail_on_anomaly: bool,
    say: Callable[[str], None],
) -> None:
    """End with the code that fits what happened."""
    from dmdd_edge.cli.gate import check_all_judged, failures

    if received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)
    if received is signal.SIGTERM and not fail_on_anomaly:
        return  # how a service is stopped: that is no failure
    before = Counter[str]() if sinks.resume is None else sinks.resume.skipped
    if summary.frames == 0 and summary.skipped and not before:
        raise SourceError(
            f"none of the {summary.skipped} frames could be judged.",
            "The reasons are given above, one per frame.",
        )
    if summary.frames == 0 and not before and (source.live or fail_on_anomaly):
        state = source.state()
        reason = f": {state.message}" if state.message else ""
        raise SourceError(
            f"No frame came from {state.name} in {summary.seconds:.0f} s{reason}.",
            "Nothing was judged, so nothing passes. Check the source.",
        )
    state = source.state()
    if fail_on_anomaly:
        if failed := failures(summary, before, lossless=not source.live):
            found = ", ".join(f"{count} {status}" for status, count in failed.items())
            say(f"--fail-on-anomaly: {found}; exit code {ANOMALIES_FOUND}")
            raise typer.Exit(ANOMALIES_FOUND)
        check_all_judged(summary, state, endless)
    elif source.live and state.message and received is None:
        # Frames were judged, and then none came any more: whoever reads only the exit code must know.
        say(f"{state.name} was lost when the run ended: {state.message}")
