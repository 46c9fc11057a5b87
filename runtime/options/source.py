"""Where frames come from, and which of them are taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options, Rule, needs

#: The values of ``--genicam-driver``.
GENICAM_DRIVER_NAMES = ("auto", "viva", "aravis")

_FRAMES, _CAMERA = "Which frames", "Cameras and streams"


def parse_size(text: str) -> tuple[int, int]:
    """Read ``1920x1080`` as (1920, 1080).

    Raises:
        OptionError: the text is malformed.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise OptionError(f"--camera-size is {text!r}.", "Write WIDTHxHEIGHT in pixels, such as 1920x1080.")
    return int(width), int(height)


def parse_control(text: str) -> tuple[str, int]:
    """Read ``focus_absolute=30`` as ("focus_absolute", 30).

    Raises:
        OptionError: the text is malformed.
    """
    name, _, value = text.partition("=")
    try:
        if not name:
            raise ValueError
        return name.strip(), int(value)
    except ValueError:
        raise OptionError(
            f"--camera-control is {text!r}.", "Write NAME=NUMBER, such as focus_absolute=30."
        ) from None


def not_empty(folder: str) -> None:
    """Refuse an empty name, which would be the working directory."""
    if not folder:
        raise OptionError("--watch is empty.", "Give a folder, or leave it out.")


@dataclass(frozen=True, kw_only=True)
class WatchOptions(Options):
    """A folder that is watched instead of a source."""

    watch_existing: Annotated[
        bool,
        Option("Also process the images that are in the watched folder at the start.", panel=_FRAMES),
    ] = False
    watch_settle: Annotated[
        float,
        Option(
            "Seconds for which a dropped image must stay unchanged before it is read.", panel=_FRAMES, above=0
        ),
    ] = 0.3


@dataclass(frozen=True, kw_only=True)
class CameraOptions(Options):
    """How a camera or a stream is read."""

    fps: Annotated[
        float | None, Option("Process at most this many frames per second.", panel=_CAMERA, above=0)
    ] = None
    camera_size: Annotated[
        tuple[int, int] | None,
        Option(
            "Image size to request, such as 1920x1080.",
            panel=_CAMERA,
            parse=parse_size,
            minimum=1,
            example='"1920x1080"',
        ),
    ] = None
    camera_fps: Annotated[
        float | None, Option("Frames per second to request from the camera.", panel=_CAMERA, above=0)
    ] = None
    exposure: Annotated[
        float | None, Option("Exposure in milliseconds; locks it.", panel=_CAMERA, above=0)
    ] = None
    gain: Annotated[int | None, Option("Gain in the camera's units; locks it.", panel=_CAMERA)] = None
    white_balance: Annotated[int | None, Option("White balance in kelvin; locks it.", panel=_CAMERA)] = None
    camera_controls: Annotated[
        tuple[tuple[str, int], ...],
        Option(
            "Another V4L2 control, such as focus_absolute=30; may be repeated.",
            panel=_CAMERA,
            name="--camera-control",
            parse=parse_control,
            example='["focus_absolute=30"]',
        ),
    ] = ()
    genicam_driver: Annotated[
        str,
        Option(
            "Library that opens genicam:// cameras: auto, viva or aravis.",
            panel=_CAMERA,
            choices=GENICAM_DRIVER_NAMES,
        ),
    ] = "auto"
    stream_timeout: Annotated[
        float,
        Option(
            "Reconnect a stream or a genicam:// camera after this many seconds without an image.",
            panel=_CAMERA,
            above=0,
        ),
    ] = 10.0


@dataclass(frozen=True, kw_only=True)
class EveryOption(Options):
    """How files and frames are thinned."""

    every: Annotated[int, Option("Process every Nth frame only.", panel=_FRAMES, minimum=1)] = 1


@dataclass(frozen=True, kw_only=True)
class StripOption(Options):
    """How strips of a web follow each other."""

    strip: Annotated[
        int | None,
        Option(
            "Frames are consecutive strips of one web, such as of a line-scan camera: put this many rows of "
            "the strip before in front of each.",
            panel=_FRAMES,
            minimum=2,
            maximum=16384,
            range_in_help=False,
            metavar="ROWS",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RunLength(Options):
    """When a run ends, and what it waits for."""

    limit: Annotated[int | None, Option("End after this many frames.", panel=_FRAMES, minimum=1)] = None
    duration: Annotated[float | None, Option("End after this many seconds.", panel=_FRAMES, above=0)] = None
    watch: Annotated[
        str | None,
        Option(
            "Instead of a source: a folder that other software drops images into; each is processed once.",
            panel=_FRAMES,
            check=not_empty,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class FrameOptions(WatchOptions, StripOption, RunLength, EveryOption):
    """Which frames of a source are processed."""

    RULES: ClassVar[tuple[Rule, ...]] = (needs(("watch_existing", "watch_settle"), "watch"),)
