"""``dmdd-edge calibrate``: set the threshold on the line, from good parts, without training."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmdd_edge.cli import run_options as o
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
from dmdd_edge.errors import OptionError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.messages.commands import bundle_options, command

if TYPE_CHECKING:
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.runtime.backends.options import BackendOptions
    from dmdd_edge.runtime.sources.options import SourceOptions

#: Frames of a live source unless told otherwise: what a false-alarm rate of 1 % needs.
_LIVE_FRAMES = 100


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("calibrate")(calibrate)


def calibrate(
    source: Annotated[
        str | None,
        typer.Option(
            "--source", help="Good parts: folder, glob in quotes, video file, camera or stream, as for run."
        ),
    ] = None,
    category: CategoryOption = None,
    model: ModelOption = None,
    models_dir: ModelsDirOption = Path("models"),
    false_alarm_rate: Annotated[
        float, typer.Option("--false-alarm-rate", help="Share of good parts that may be called anomalous.")
    ] = 0.01,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to the threshold set at export.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Set the threshold even if the images do not look like good parts.")
    ] = False,
    backend: BackendOption = "auto",
    engine_cache: EngineCacheOption = None,
    cuda_driver: CudaDriverOption = "auto",
    io_memory: IoMemoryOption = "auto",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, help=f"End after so many frames; of a camera or a stream {_LIVE_FRAMES}."
        ),
    ] = None,
    fps: o.FpsOption = None,
    camera_size: o.CameraSizeOption = None,
    camera_fps: o.CameraFpsOption = None,
    exposure: o.ExposureOption = None,
    gain: o.GainOption = None,
    white_balance: o.WhiteBalanceOption = None,
    camera_control: o.CameraControlOption = None,
    stream_timeout: o.StreamTimeoutOption = 10.0,
    json: JsonOption = False,
) -> None:
    """Set a new threshold from images of good parts; kept beside the bundle."""
    from dmdd_edge.workspace import load_bundle

    if reset == (source is not None):
        raise OptionError(
            "calibrate takes either --source or --reset.", "Give --source FOLDER with images of good parts."
        )
    bundle = load_bundle(category, model, models_dir)
    if reset:
        _reset(bundle, json)
    else:
        assert source is not None
        chosen = bundle_options(bundle.category, model, models_dir)
        from dmdd_edge.runtime.backends.options import BackendOptions
        from dmdd_edge.runtime.sources.options import SourceOptions, parse_control, parse_size

        asked = SourceOptions(
            fps=fps,
            camera_size=None if camera_size is None else parse_size(camera_size),
            camera_fps=camera_fps,
            exposure=exposure,
            gain=gain,
            white_balance=white_balance,
            camera_controls=tuple(parse_control(text) for text in camera_control or ()),
            stream_timeout=stream_timeout,
        )
        options = BackendOptions(
            engine_cache=engine_cache, cuda_driver=cuda_driver, io_memory=io_memory, slots=2
        )
        _calibrate(bundle, source, asked, limit, false_alarm_rate, backend, options, yes, json, chosen)


def _reset(bundle: Bundle, json: bool) -> None:
    from dmdd_edge.bundle.calibration import remove_calibration
    from dmdd_edge.cli.console import console, print_json

    removed = remove_calibration(bundle)
    threshold = bundle.manifest.threshold.image
    if json:
        print_json(
            {
                "category": bundle.category,
                "version": bundle.version,
                "removed": removed,
                "threshold": threshold,
            }
        )
    what = "calibration removed" if removed else "there was no calibration"
    console.print(f"{bundle.category}: {what}; threshold {threshold:.4f} as exported", markup=False)


def _calibrate(
    bundle: Bundle,
    source: str,
    asked: SourceOptions,
    limit: int | None,
    alpha: float,
    backend: str,
    options: BackendOptions,
    yes: bool,
    json: bool,
    chosen: dict[str, object],
) -> None:
    from dmdd_edge.bundle.calibration import calibration_path, effective_threshold, write_calibration
    from dmdd_edge.bundle.threshold import check_alpha, threshold_from_normals
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.data.images import describe_passed_over
    from dmdd_edge.runtime.calibrate import score_normals
    from dmdd_edge.runtime.calibration_doubts import doubts
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.sources import open_source
    from dmdd_edge.storage import require_writable

    check_alpha(alpha)
    require_writable(calibration_path(bundle).parent, "--models-dir")
    frames = open_source(source, asked)
    frames.say = lambda line: console.print(line, markup=False)
    if frames.live and limit is None:
        limit = _LIVE_FRAMES
        console.print(f"taking {limit} frames; --limit takes more or fewer", markup=False)
    exported = bundle.manifest.threshold
    # The threshold is named, so that a broken older calibration cannot stand in the way of a new one.
    with (
        Detector.load(
            bundle.path, backend, exported.image, exported.pixel, verify=False, options=options
        ) as detector,
        Work() as work,
    ):
        scored, total = itertools.count(1), limit or frames.total
        found = score_normals(
            detector, frames, limit, on_frame=lambda: work.update("scoring good parts", next(scored), total)
        )
        used = detector.backend.name
    left_out = found.unreliable + found.skipped
    if not found.scores:
        raise OptionError(
            f"none of the {left_out} images could be judged; the first: {found.first_reason}.",
            "Take images of good parts under the light and focus of the line.",
        )
    # A bundle whose pixel threshold is not its image threshold takes its score from elsewhere than the map.
    peaks = found.peaks if exported.pixel != exported.image else None
    threshold = threshold_from_normals(found.scores, alpha, peaks=peaks)
    doubted = doubts(bundle, found)
    if doubted:
        _confirm(doubted, yes)
    calibration = write_calibration(bundle, threshold, source, used, found.unreliable, found.skipped)
    if json:
        effective = effective_threshold(bundle)
        document = calibration.model_dump(mode="json")
        document["exported"] = exported.image
        document["doubts"] = doubted
        document["pixel"] = effective.pixel
        document["path"] = str(calibration_path(bundle))
        print_json(document)
    if passed_over := frames.state().passed_over:
        console.print(f"passed over: {describe_passed_over(passed_over)}", markup=False)
    if left_out:
        console.print(
            f"left out: {found.unreliable} unreliable, {found.skipped} unreadable; "
            f"the first: {found.first_reason}",
            markup=False,
        )
    console.print(f"{bundle.category}: {threshold.describe()}", markup=False)
    undo = command("calibrate", **chosen, reset=True)
    console.print(f"it was {exported.image:.4f} at export; undo: {undo}")
    next_step(command("run", **chosen, source=redacted(source), engine_cache=options.engine_cache))


def _confirm(doubted: list[str], yes: bool) -> None:
    """Ask whether the images are good parts all the same.

    Raises:
        DmddError: the answer is no, or nobody can be asked.
    """
    from dmdd_edge.cli.console import console

    for line in doubted:
        console.print(f"doubtful: {line}", markup=False, style="yellow")
    if yes:
        return
    if sys.stdin is not None and sys.stdin.isatty() and console.is_terminal:
        if typer.confirm("Do all of these images show good parts?", err=True):
            return
        raise OptionError("The threshold was not changed.", "Give images of good parts only.")
    raise OptionError(
        "The images do not look like good parts only, so the threshold was not changed.",
        "Look at the images. If all of them show good parts, repeat the command with --yes.",
    )
