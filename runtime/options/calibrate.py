"""The options of a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from dmdd_edge.options import Option, Options, Rule, needs
from dmdd_edge.options.groups import AllowLossOption, BundleOptions, check_rate, check_suspect_rate
from dmdd_edge.runtime.options.areas import MinArea, PixelSize
from dmdd_edge.runtime.options.backend import BackendName, CudaOptions
from dmdd_edge.runtime.options.source import CameraOptions, StripOption

#: Frames of a live source unless the user sets a limit: what a false-alarm rate of 1 % needs.
LIVE_FRAMES = 100


@dataclass(frozen=True, kw_only=True)
class GoodParts(Options):
    """Where images of good parts come from."""

    source: Annotated[
        str | None,
        Option("Good parts: folder, glob in quotes, video file, camera or stream, as for run.", number=True),
    ] = None


@dataclass(frozen=True, kw_only=True)
class FeedbackParts(Options):
    """Where judged parts and their verdicts are."""

    from_feedback: Annotated[
        Path | None,
        Option("Set the threshold from this archive: its random sample and its reviewed alarms."),
    ] = None
    unreviewed: Annotated[
        Literal["good", "bad"] | None,
        Option(
            "What alarms without a verdict count as; by default they are refused where they matter.",
            choices=("good", "bad"),
        ),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        needs(("unreviewed",), "from_feedback"),
        Rule(
            ("min_area", "mm_per_px"),
            lambda values: values["from_feedback"] is None,
            "has no effect with --from-feedback, which keeps the smallest area",
            "give --source instead of --from-feedback",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _ThresholdRate(Options):
    false_alarm_rate: Annotated[
        float, Option("Share of good parts that may be called anomalous.", check=check_rate)
    ] = 0.01
    suspect_rate: Annotated[
        float | None,
        Option(
            "Share of good parts that may be suspect or anomalous, above --false-alarm-rate. Without it no "
            "part is suspect; --from-feedback keeps the rate in force.",
            check=check_suspect_rate,
        ),
    ] = None
    min_area: MinArea = None
    mm_per_px: PixelSize = None
    limit: Annotated[
        int | None,
        Option(f"End after this many frames; of a camera or a stream {LIVE_FRAMES}.", minimum=1),
    ] = None


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(
    CameraOptions,
    StripOption,
    CudaOptions,
    BackendName,
    AllowLossOption,
    _ThresholdRate,
    BundleOptions,
    FeedbackParts,
    GoodParts,
):
    """Which bundle gets a new threshold, and from which images; see ``calibrate``."""
