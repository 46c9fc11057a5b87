"""What can be asked of a source."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from dmdd_edge.errors import OptionError


@dataclass(frozen=True)
class SourceOptions:
    """What can be asked of a source; each field is the option of the same name on the command line.

    Attributes:
        every: take only each N-th frame, the first one included.
        fps: of a live source, hand out at most so many frames a second.
        save: where overlays go. Images under it are left out, since an earlier run wrote them.
        save_maps: where raw maps go; left out in the same way.
        save_frames: where raw frames go; left out in the same way.
        watch: the source is a folder that other software drops images into.
        watch_existing: take the images that are in a watched folder at the start, too.
        watch_settle: seconds that a dropped image must have kept its size and time before it is read.
        camera_size: width and height of a camera's picture, in pixels; the camera must offer it.
        camera_fps: frames a second to ask of a camera.
        exposure: exposure time of a camera in milliseconds; the automatic is turned off.
        gain: gain of a camera, in its own units; the automatic is turned off.
        white_balance: white balance of a camera in kelvin; the automatic is turned off.
        camera_controls: further V4L2 controls by name, as ``v4l2-ctl --list-ctrls`` writes them, in the
            order in which they are set.
        stream_timeout: seconds without an answer or a frame after which a stream is taken for lost.

    Raises:
        DmddError: a value is out of its range.
    """

    every: int = 1
    fps: float | None = None
    save: Path | None = None
    save_maps: Path | None = None
    save_frames: Path | None = None
    watch: bool = False
    watch_existing: bool = False
    watch_settle: float = 0.3
    camera_size: tuple[int, int] | None = None
    camera_fps: float | None = None
    exposure: float | None = None
    gain: int | None = None
    white_balance: int | None = None
    camera_controls: tuple[tuple[str, int], ...] = ()
    stream_timeout: float = 10.0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise OptionError(f"--every is {self.every}; it must be at least 1.", "1 takes every frame.")
        for name in ("fps", "watch_settle", "camera_fps", "exposure", "stream_timeout"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise OptionError(f"{option_name(name)} is {value:g}; it must be more than 0.")
        if self.camera_size is not None and min(self.camera_size) < 1:
            width, height = self.camera_size
            raise OptionError(f"--camera-size is {width}x{height}; both must be at least 1.")

    @property
    def written(self) -> tuple[Path, ...]:
        """The folders that the run itself writes images into."""
        folders = (self.save, self.save_maps, self.save_frames)
        return tuple(folder for folder in folders if folder is not None)

    def given(self) -> list[str]:
        """The names of the fields that differ from their defaults."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


def option_name(field: str) -> str:
    """How the command line spells a field: ``camera_fps`` is ``--camera-fps``."""
    return "--" + field.replace("_", "-")


def parse_size(text: str) -> tuple[int, int]:
    """Read ``1920x1080`` as (1920, 1080).

    Raises:
        DmddError: it is written otherwise.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise OptionError(f"--camera-size is {text}; it is written as 1920x1080.")
    return int(width), int(height)


def parse_control(text: str) -> tuple[str, int]:
    """Read ``focus_absolute=30`` as ("focus_absolute", 30).

    Raises:
        DmddError: it is written otherwise.
    """
    name, _, value = text.partition("=")
    try:
        if not name:
            raise ValueError
        return name.strip(), int(value)
    except ValueError:
        raise OptionError(
            f"--camera-control is {text}; it is written as NAME=NUMBER.", "For example focus_absolute=30."
        ) from None
