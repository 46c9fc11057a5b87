"""The options of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypedDict

from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options, Rule, UsageError, needs
from dmdd_edge.options.groups import BundleOptions
from dmdd_edge.runtime.options.archive import ArchiveOptions
from dmdd_edge.runtime.options.areas import MinArea, PixelSize
from dmdd_edge.runtime.options.backend import BackendName, CudaOptions
from dmdd_edge.runtime.options.delivery import MessageOptions
from dmdd_edge.runtime.options.files import OutputOptions
from dmdd_edge.runtime.options.source import CameraOptions, FrameOptions

_LIVE = "Watching a run"


def _factor(text: str) -> float | None:
    if text == "off":
        return None
    try:
        return float(text)
    except ValueError:
        raise OptionError(f"--stop-early is {text!r}.", "Give a number of 1 or more, or off.") from None


SuspectAs = Literal["good", "anomalous"]


@dataclass(frozen=True, kw_only=True)
class SourceNames(Options):
    """What is processed."""

    sources: Annotated[
        tuple[str, ...],
        Option("Images, folders and globs, or one of what --source takes.", argument=True, metavar="SOURCE"),
    ] = ()
    source: Annotated[
        str | None,
        Option(
            "Image, video, folder (with its subfolders), glob in quotes, - for a list of paths; camera "
            "(0, /dev/video0, csi://0, genicam://SERIAL), rtsp://, http(s)://, or replay:VIDEO.",
            number=True,
        ),
    ] = None


class GivenLimits(TypedDict):
    """Limits of one run, as ``Detector.load`` takes them; None leaves each to the bundle."""

    threshold: float | None
    pixel_threshold: float | None
    suspect_threshold: float | None
    suspect_as: SuspectAs | None
    min_area: str | None
    mm_per_px: float | None


@dataclass(frozen=True, kw_only=True)
class ThresholdOptions(Options):
    """Thresholds of one run."""

    threshold: Annotated[
        float | None, Option("Threshold of the score, 0..1, for this run.", minimum=0, maximum=1)
    ] = None
    pixel_threshold: Annotated[
        float | None,
        Option("Threshold of the map, 0..1; default: the bundle's.", minimum=0, maximum=1),
    ] = None
    suspect_threshold: Annotated[
        float | None,
        Option(
            "Scores between this and the threshold are suspect, 0..1; default: the bundle's, if it has one.",
            minimum=0,
            maximum=1,
        ),
    ] = None
    suspect_as: Annotated[
        SuspectAs | None,
        Option("Count suspect parts as good or as anomalous; default: they are suspect.", parse=str),
    ] = None
    min_area: MinArea = None
    mm_per_px: PixelSize = None

    def given_limits(self) -> GivenLimits:
        """What ``Detector.load`` takes of them."""
        return {
            "threshold": self.threshold,
            "pixel_threshold": self.pixel_threshold,
            "suspect_threshold": self.suspect_threshold,
            "suspect_as": self.suspect_as,
            "min_area": self.min_area,
            "mm_per_px": self.mm_per_px,
        }


@dataclass(frozen=True, kw_only=True)
class StopEarly(Options):
    """Whether the inspection of a large image ends with the tile that makes it anomalous."""

    stop_early: Annotated[
        float | None,
        Option(
            "End a tiled image once its score is surely above FACTOR times the threshold; off: never.",
            metavar="FACTOR|off",
            parse=_factor,
            show_default="off",
            minimum=1,
            maximum=1000,
            example="1.2",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class LiveOptions(Options):
    """How a run is watched."""

    serve: Annotated[
        str | None, Option("Show the run in a browser: 8080, or 127.0.0.1:8080.", panel=_LIVE, number=True)
    ] = None
    serve_token_env: Annotated[
        str | None,
        Option("Environment variable with the token that may change the threshold there.", panel=_LIVE),
    ] = None
    show: Annotated[bool, Option("Show the overlays in a window.", panel=_LIVE)] = False
    drift: Annotated[
        bool,
        Option(
            "Warn when light, focus, position, scores or alarms are not as they were.",
            panel=_LIVE,
            name="--drift/--no-drift",
        ),
    ] = True
    drift_frames: Annotated[
        int,
        Option(
            "Frames from one false warning of drift to the next, on average.",
            panel=_LIVE,
            minimum=10_000,
            maximum=1_000_000_000,
            range_in_help=False,
        ),
    ] = 1_000_000
    drift_state: Annotated[
        Path | None,
        Option("Keep in this file what the drift watch has learned, for the next run.", panel=_LIVE),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        needs(("serve_token_env",), "serve"),
        needs(("drift_frames", "drift_state"), "drift"),
    )


@dataclass(frozen=True, kw_only=True)
class ChallengeOption(Options):
    """Whether the challenge set is run first."""

    challenge: Annotated[
        bool, Option("First run the challenge set, and report how many known-bad parts are found.", _LIVE)
    ] = False


@dataclass(frozen=True, kw_only=True)
class ResultOptions(LiveOptions, MessageOptions, ArchiveOptions, OutputOptions):
    """Where results go: files, an archive, messages, the page, a window."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        needs(
            ("fsync",),
            "jsonl",
            "csv",
            "video",
            "save",
            "save_maps",
            "save_frames",
            "archive",
            "mqtt",
            "webhook",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class RunOptions(
    ChallengeOption,
    ResultOptions,
    CameraOptions,
    FrameOptions,
    StopEarly,
    ThresholdOptions,
    CudaOptions,
    BackendName,
    BundleOptions,
    SourceNames,
):
    """What a run processes, with which bundle, and where its results go; see ``run``.

    One of ``source``, ``sources`` and ``watch`` is needed.
    """

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (("sources", "source", "watch"),)

    def check(self) -> None:
        """Raise an ``OptionError`` where two options do not fit together."""
        super().check()
        if self.source is None and not self.sources and self.watch is None:
            raise UsageError(
                "A source is missing.", "Name it as an argument or with --source, or give --watch."
            )
        if self.strip is not None and self.stop_early is not None:
            raise OptionError(
                "--stop-early can end at a tile that belongs to another strip.",
                "Leave --stop-early or --strip out.",
            )
