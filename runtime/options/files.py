"""Which files a run writes, and how."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options, Rule, needs
from dmdd_edge.runtime.options.sizes import parse_size, written_size
from dmdd_edge.storage import Fsync

_FILES = "Files"
OverlayFormat = Literal["png", "jpg", "webp"]
_IMAGES = ("save", "save_maps", "save_frames")


def _refuse_angle(text: str) -> None:
    """Refuse ``--rotate 90``: of ``train`` that is the rotation of the image."""
    angle = re.fullmatch(r"\s*[+-]?(\d+)\s*(°|deg)?\s*", text)
    if angle and (angle[2] or text.strip()[0] in "+-" or int(angle[1]) <= 360):
        raise OptionError(
            f"--rotate {text}: run takes the rotation of the image from the bundle.",
            f"Set it in training: dmdd-edge train --rotate {angle[1]}. "
            "For the size of result files give --rotate-size, such as --rotate-size 100MB.",
        )


@dataclass(frozen=True, kw_only=True)
class LineFiles(Options):
    """Files with a line per frame."""

    jsonl: Annotated[Path | None, Option("Write one JSON line per frame to this file.", panel=_FILES)] = None
    csv: Annotated[Path | None, Option("Write one row per frame to this file.", panel=_FILES)] = None


@dataclass(frozen=True, kw_only=True)
class ImageFolders(Options):
    """Folders for the images of a run."""

    save: Annotated[Path | None, Option("Write an overlay of each frame into this folder.", panel=_FILES)] = (
        None
    )
    save_maps: Annotated[
        Path | None,
        Option("Write each anomaly map into this folder, as a float32 TIFF.", panel=_FILES),
    ] = None
    save_frames: Annotated[
        Path | None,
        Option("Write each processed frame into this folder, as a PNG without overlay.", panel=_FILES),
    ] = None


@dataclass(frozen=True, kw_only=True)
class FsyncOption(Options):
    """How durable results are."""

    fsync: Annotated[
        Fsync,
        Option("When results are forced onto the disk: never, second or always.", panel=_FILES, parse=str),
    ] = "second"


@dataclass(frozen=True, kw_only=True)
class ResultFiles(ImageFolders, LineFiles):
    """The files of a run, and how they are written."""

    save_only_anomalous: Annotated[
        bool, Option("Write no overlay, map or frame of good frames.", panel=_FILES)
    ] = False
    save_format: Annotated[
        OverlayFormat,
        Option(
            "Format of the overlays: png, jpg or webp. The last two are much smaller.",
            panel=_FILES,
            parse=str,
        ),
    ] = "png"
    save_size: Annotated[
        int | None,
        Option(
            "Longer side of the overlays in pixels at most; default: the frame's, up to 2560.",
            panel=_FILES,
            minimum=64,
            show_default=False,
        ),
    ] = None
    save_caption: Annotated[
        bool,
        Option(
            "Write the verdict below each overlay.", panel=_FILES, name="--save-caption/--no-save-caption"
        ),
    ] = True
    video: Annotated[
        Path | None,
        Option("Write the overlays as a video. Browsers play .webm; also .mkv, .avi and .mp4.", panel=_FILES),
    ] = None
    video_fps: Annotated[
        float | None,
        Option(
            "Frames per second of the video; default: the source's, or 10.", panel=_FILES, show_default=False
        ),
    ] = None
    resume: Annotated[
        bool,
        Option(
            "Resume a run over files where it stopped: each frame is in the result files once.", panel=_FILES
        ),
    ] = False
    overwrite: Annotated[
        bool, Option("Replace earlier result files and images with these names.", panel=_FILES)
    ] = False
    rotate_size: Annotated[
        int | None,
        Option(
            "Start a new file at this size, such as 100MB.",
            panel=_FILES,
            parse=partial(parse_size, option="--rotate-size"),
            example='"100MB"',
            written=written_size,
            minimum=1,
            earlier=("--rotate",),
            check_earlier=_refuse_angle,
        ),
    ] = None
    keep: Annotated[
        int | None,
        Option(
            "Delete the oldest files of this run above this total size, such as 2GB.",
            panel=_FILES,
            parse=partial(parse_size, option="--keep"),
            example='"2GB"',
            written=written_size,
            minimum=1,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class OutputOptions(FsyncOption, ResultFiles):
    """The files of a run, and how durable they are."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        needs(("save_only_anomalous",), *_IMAGES),
        needs(("save_format", "save_size", "save_caption"), "save"),
        needs(("video_fps",), "video"),
        needs(("rotate_size",), "jsonl", "csv", "video"),
        needs(("keep",), "jsonl", "csv", "video", *_IMAGES),
    )

    def check(self) -> None:
        """Raise an ``OptionError`` where two options do not fit together."""
        super().check()
        both = self.save is not None and self.save_frames is not None and self.save_format == "png"
        if both and os.path.realpath(str(self.save)) == os.path.realpath(str(self.save_frames)):
            raise OptionError(
                f"--save and --save-frames both name {self.save}, and their files would have the same names.",
                "Name another folder for --save-frames.",
            )
        if self.jsonl is not None and self.csv is not None:
            same = os.path.realpath(str(self.jsonl)) == os.path.realpath(str(self.csv))
            if same and not self.jsonl.is_char_device():
                raise OptionError(
                    f"--jsonl and --csv both name {self.jsonl}.", "Name another file for --csv."
                )
        if self.resume and self.jsonl is None and self.csv is None:
            raise OptionError(
                "--resume needs a file that says which frames are done.", "Add --jsonl FILE or --csv FILE."
            )
        if self.resume and self.overwrite:
            raise OptionError("--resume and --overwrite contradict each other.", "Give one of them.")
        if self.resume and self.keep is not None:
            raise OptionError(
                "--resume and --keep do not go together: frames whose results --keep deleted would be "
                "processed again.",
                "Leave one of them out.",
            )
