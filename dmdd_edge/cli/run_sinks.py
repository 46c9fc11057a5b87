"""Opens what ``dmdd-edge run`` hands its results to."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.suggest import choose
from dmdd_edge.storage import FSYNC_POLICIES

if TYPE_CHECKING:
    from dmdd_edge.runtime.control import RunControl
    from dmdd_edge.runtime.delivery.delivery import Delivery
    from dmdd_edge.runtime.delivery.run_identity import RunIdentity
    from dmdd_edge.runtime.sinks import Sink
    from dmdd_edge.runtime.sinks.file_options import FileOptions
    from dmdd_edge.runtime.sinks.image_folder import ImageFolder
    from dmdd_edge.runtime.sinks.line_file import LineFile
    from dmdd_edge.runtime.sinks.overlays import OverlayCache
    from dmdd_edge.runtime.sinks.resume import ResumeState
    from dmdd_edge.runtime.sinks.show import Show
    from dmdd_edge.runtime.sinks.video import Video
    from dmdd_edge.runtime.sources import Source

#: Frames a second of a video of frames that come at no rate of their own.
_VIDEO_FPS = 10.0


@dataclass(frozen=True)
class Outputs:
    """What was asked for; the fields are the options of ``run``."""

    json: bool
    jsonl: Path | None
    csv: Path | None
    save: Path | None
    save_maps: Path | None
    save_frames: Path | None
    save_only_anomalous: bool
    save_format: str
    save_size: int | None
    save_caption: bool
    video: Path | None
    video_fps: float | None
    resume: bool
    overwrite: bool
    rotate: int | None
    keep: str | None
    fsync: str
    mqtt: str | None
    webhook: str | None
    notify: str
    webhook_secret_env: str | None
    webhook_token_env: str | None
    spool: Path | None
    spool_limit: str
    serve: str | None
    serve_token_env: str | None
    show: bool

    def check(self) -> None:
        """Raise a ``DmddError`` where two options do not fit."""
        if self.save_only_anomalous and not (self.save or self.save_maps or self.save_frames):
            raise OptionError(
                "--save-only-anomalous needs --save, --save-maps or --save-frames.", "Add --save FOLDER."
            )
        both = self.save is not None and self.save_frames is not None and self.save_format == "png"
        if both and os.path.realpath(str(self.save)) == os.path.realpath(str(self.save_frames)):
            raise OptionError(
                f"--save and --save-frames both name {self.save}, and their files would have the same names.",
                "Name another folder for --save-frames.",
            )
        if self.resume and self.jsonl is None and self.csv is None:
            raise OptionError(
                "--resume needs a file that says which frames are done.", "Add --jsonl FILE or --csv FILE."
            )
        if self.resume and self.keep is not None:
            raise OptionError(
                "--resume and --keep do not go together: what --keep deleted would be judged again.",
                "Leave one of them out.",
            )
        if self.fsync not in FSYNC_POLICIES:
            raise OptionError(f"--fsync {self.fsync} is unknown.", choose(self.fsync, FSYNC_POLICIES))


@dataclass
class OpenSinks:
    """The sinks of a run, and those of them that are asked something afterwards.

    Attributes:
        all: every sink, in the order in which each is given a result.
        folders: those that write a file per frame.
        files: those that write one file: what it holds, its path, and the sink.
        window: the window, when there is one.
        resume: which frames need not be judged again.
    """

    all: list[Sink] = field(default_factory=list)
    folders: dict[str, ImageFolder] = field(default_factory=dict)
    files: list[tuple[str, Path, LineFile | Video]] = field(default_factory=list)
    window: Show | None = None
    resume: ResumeState | None = None

    def written(self) -> Iterator[tuple[str, Path, int]]:
        """What this run wrote: of what, where, and how many."""
        for what, folder in self.folders.items():
            yield what, folder.folder, folder.written
        for what, path, sink in self.files:
            yield what, path, sink.written


def rotation_size(rotate_size: str | None, rotate: str | None, say: Callable[[str], None]) -> int | None:
    """The size in bytes at which files are rotated, from --rotate-size or its earlier name --rotate.

    Args:
        rotate_size, rotate: the values of the two options.
        say: told that the earlier name was used.

    Raises:
        DmddError: both are given, one is not a size, or --rotate is an angle.
    """
    from dmdd_edge.runtime.sinks.sizes import parse_size

    if rotate is None:
        return None if rotate_size is None else parse_size(rotate_size, "--rotate-size")
    if rotate_size is not None:
        raise OptionError("--rotate and --rotate-size are the same option.", "Give --rotate-size only.")
    angle = re.fullmatch(r"\s*[+-]?(\d+)\s*(°|deg)?\s*", rotate)
    if angle and (angle[2] or rotate.strip()[0] in "+-" or int(angle[1]) <= 360):
        raise OptionError(
            f"--rotate {rotate}: run takes the rotation of the picture from the bundle.",
            f"Set it in training: dmdd-edge train --rotate {angle[1]}. "
            "For the size of result files give --rotate-size, such as --rotate-size 100MB.",
        )
    size = parse_size(rotate, "--rotate")
    say(f"--rotate {rotate} is now --rotate-size {rotate}; the old name will go.")
    return size


def open_sinks(
    asked: Outputs,
    control: RunControl,
    source: Source,
    endless: bool,
    stack: ExitStack,
    stopping: Callable[[], bool],
    say: Callable[[str], None],
) -> OpenSinks:
    """Open everything that was asked for.

    Args:
        asked: the options.
        control: the run.
        source: where its frames come from.
        endless: whether the source goes on until the user ends the run.
        stack: gives back what outlives the sinks, and the sinks too when one of them cannot be opened.
        stopping: whether the user wants the run to end.
        say: takes what a person should know.

    Raises:
        DmddError: one of them cannot be opened.
    """
    from dmdd_edge.runtime.sinks.overlays import OverlayCache

    opened, overlays = OpenSinks(), OverlayCache()
    with ExitStack() as undo:

        def add(sink: Any) -> Any:
            undo.callback(sink.close)
            opened.all.append(sink)
            return sink

        # Messages first: what a results file says is done has been taken for delivery.
        identity = None if source.live or endless else _run_identity(asked)
        for delivery in _deliveries(asked, control, "" if identity is None else identity.name, say):
            add(delivery)
        options = _file_options(asked, source.live, endless, stack, stopping, say)
        _open_files(asked, source, opened, add, options, overlays)
        if identity is not None:
            try:
                identity.keep()
            except OSError as error:
                say(
                    f"{identity.path} cannot be written: {error.strerror or error}. A resumed run will send "
                    "repeated messages under other ids."
                )
        if asked.show:
            from dmdd_edge.runtime.sinks.show import Show

            opened.window = add(Show(source.total is not None, stopping, overlays))
        if asked.serve is not None:
            from dmdd_edge.runtime.page import open_page

            page = add(open_page(asked.serve, control, _token(asked.serve_token_env)))
            for line in page.announcement:
                say(line)
        if asked.json:
            from dmdd_edge.runtime.sinks.json_lines import JsonLines

            add(JsonLines(sys.stdout, options))
        undo.pop_all()  # from here on the run closes them
    return opened


def _open_files(
    asked: Outputs,
    source: Source,
    opened: OpenSinks,
    add: Callable[[Any], Any],
    options: FileOptions,
    overlays: OverlayCache,
) -> None:
    from dmdd_edge.runtime.sinks.csv_file import CsvFile
    from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile
    from dmdd_edge.runtime.sinks.maps import Maps
    from dmdd_edge.runtime.sinks.overlays import FORMATS, Overlays
    from dmdd_edge.runtime.sinks.raw_frames import RawFrames
    from dmdd_edge.runtime.sinks.resume import ResumeState
    from dmdd_edge.runtime.sinks.video import Video

    # Pictures before lines: a frame whose line is written has its pictures, unless they were left out.
    only = asked.save_only_anomalous
    if asked.save is not None:
        if asked.save_format not in FORMATS:
            raise OptionError(
                f"--save-format: unknown format {asked.save_format!r}.",
                choose(asked.save_format, FORMATS),
            )
        opened.folders["overlays"] = add(
            Overlays(
                asked.save,
                source.root,
                only,
                options,
                asked.save_format,
                asked.save_size,
                asked.save_caption,
                overlays,
            )
        )
    if asked.save_maps is not None:
        opened.folders["maps"] = add(Maps(asked.save_maps, source.root, only, options))
    if asked.save_frames is not None:
        opened.folders["frames"] = add(RawFrames(asked.save_frames, source.root, only, options))
    for folder in opened.folders.values():
        folder.check_free(getattr(source, "names", ()))
    if asked.video is not None:
        fps = asked.video_fps or (None if source.live else source.state().fps) or _VIDEO_FPS
        opened.files.append(
            ("frames", asked.video, add(Video(asked.video, fps, source.live, options, overlays)))
        )
    lines: list[LineFile] = []
    if asked.csv is not None:
        lines.append(add(CsvFile(asked.csv, options)))
        opened.files.append(("rows", asked.csv, lines[-1]))
    if asked.jsonl is not None:
        lines.append(add(JsonLinesFile(asked.jsonl, options)))
        opened.files.append(("lines", asked.jsonl, lines[-1]))
    if asked.resume:
        opened.resume = ResumeState([file.done for file in lines])


def _file_options(
    asked: Outputs,
    live: bool,
    endless: bool,
    stack: ExitStack,
    stopping: Callable[[], bool],
    say: Callable[[str], None],
) -> FileOptions:
    from dmdd_edge.runtime.sinks.file_options import FileOptions, existing_policy
    from dmdd_edge.runtime.sinks.quota import DiskQuota
    from dmdd_edge.runtime.sinks.sizes import parse_size

    keep = None
    if asked.keep is not None:
        keep = stack.enter_context(DiskQuota(parse_size(asked.keep, "--keep"), say))
    return FileOptions(
        live=live or endless,
        # A watched folder goes on for ever, and yet each of its images is owed once.
        existing=existing_policy(live or (endless and not asked.resume), asked.resume, asked.overwrite),
        fsync=asked.fsync,  # type: ignore[arg-type]
        rotate=asked.rotate,
        keep=keep,
        stopping=stopping,
        note=say,
    )


def _run_identity(asked: Outputs) -> RunIdentity | None:
    """What begins the ids of messages, so that a resumed run sends a frame again under the same id."""
    results = asked.jsonl or asked.csv
    if results is None or (asked.mqtt is None and asked.webhook is None):
        return None
    if os.path.exists(results) and not os.path.isfile(results):  # noqa: PTH110, PTH113 - false for odd names
        return None  # a pipe or a device is never resumed
    from dmdd_edge.runtime.delivery.run_identity import run_identity

    return run_identity(results, asked.resume)


def _deliveries(asked: Outputs, control: RunControl, run: str, say: Callable[[str], None]) -> list[Delivery]:
    if asked.mqtt is None and asked.webhook is None:
        return []
    from dmdd_edge.runtime.delivery import DeliveryOptions, open_delivery
    from dmdd_edge.runtime.sinks.sizes import parse_size

    options = DeliveryOptions(
        category=control.category,
        version=lambda: control.version,
        notify=asked.notify,  # type: ignore[arg-type]
        spool=asked.spool,
        spool_limit=parse_size(asked.spool_limit, "--spool-limit"),
        fsync=asked.fsync,  # type: ignore[arg-type]
        webhook_secret_env=asked.webhook_secret_env,
        webhook_token_env=asked.webhook_token_env,
        run=run,
    )
    return open_delivery(asked.mqtt, asked.webhook, options, say)


def _token(variable: str | None) -> str | None:
    """The token that the user set; None makes the page draw one."""
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise OptionError(
            f"--serve-token-env names {variable}, which is not set.", f"Set it: export {variable}=..."
        )
    return value
