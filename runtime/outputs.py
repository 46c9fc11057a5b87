"""Opens what a run hands its results to: deliveries, files, the page, a window."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.options.run import RunOptions
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.sinks.file_options import FileOptions, existing_policy
from dmdd_edge.runtime.sinks.overlays import OverlayCache, Overlays
from dmdd_edge.runtime.sinks.resume import ResumeState

if TYPE_CHECKING:
    from dmdd_edge.runtime.control import RunControl
    from dmdd_edge.runtime.delivery.delivery import Delivery
    from dmdd_edge.runtime.delivery.run_identity import RunIdentity
    from dmdd_edge.runtime.sinks.image_folder import ImageFolder
    from dmdd_edge.runtime.sinks.line_file import LineFile
    from dmdd_edge.runtime.sinks.show import Show
    from dmdd_edge.runtime.sinks.video import Video
    from dmdd_edge.runtime.sources import Source

#: Frames per second of a video of frames that have no rate.
_VIDEO_FPS = 10.0

_Sink = TypeVar("_Sink", bound=Sink)


@dataclass
class Outputs:
    """The open sinks of a run.

    Attributes:
        files: how files are written.
        sinks: every sink, in the order in which each receives a result.
        folders: those that write a file per frame, by what they write.
        single: those that write one file: what it holds, its path, and the sink.
        window: the window, when there is one.
        overlays: the last overlay, for all sinks that show it.
        resume: which frames an earlier run has finished; None when the run does not resume one.
    """

    files: FileOptions
    sinks: list[Sink] = field(default_factory=list)
    folders: dict[str, ImageFolder] = field(default_factory=dict)
    single: list[tuple[str, Path, LineFile | Video]] = field(default_factory=list)
    window: Show | None = None
    overlays: OverlayCache = field(default_factory=OverlayCache)
    resume: ResumeState | None = None

    def add(self, sink: _Sink) -> _Sink:
        """Take in a sink that has just been opened."""
        self.sinks.append(sink)
        return sink

    def close(self) -> None:
        """Close every sink, the last first; for a run that cannot begin."""
        with ExitStack() as stack:
            for sink in self.sinks:
                stack.callback(sink.close)

    def written(self) -> Iterator[tuple[str, Path, int]]:
        """What this run wrote: of what, where, and how many."""
        for what, folder in self.folders.items():
            yield what, folder.folder, folder.written
        for what, path, sink in self.single:
            yield what, path, sink.written


def open_outputs(
    options: RunOptions,
    control: RunControl,
    source: Source,
    endless: bool,
    stack: ExitStack,
    stopping: Callable[[], bool],
    say: Callable[[str], None],
) -> Outputs:
    """Open everything that the options name.

    Args:
        options: of the run.
        control: the run.
        source: where its frames come from.
        endless: whether the source continues until the user ends the run.
        stack: closes what outlives the sinks.
        stopping: whether the user wants the run to end.
        say: receives what a person should know, one line each.

    Raises:
        OptionError: one of them cannot be opened; those that were opened are closed.
    """
    outputs = Outputs(_file_options(options, source.live, endless, stack, stopping, say))
    with ExitStack() as undo:
        undo.callback(outputs.close)
        # Messages first: a frame whose line is in a results file has been accepted for delivery.
        identity = None if source.live or endless else _run_identity(options)
        for delivery in _deliveries(options, control, "" if identity is None else identity.name, say):
            outputs.add(delivery)
        _open_image_folders(options, source, outputs)
        _open_single_files(options, source, outputs)
        if identity is not None:
            try:
                identity.keep()
            except OSError as error:
                say(
                    f"{identity.path} cannot be written: {error.strerror or error}. A resumed run will send "
                    "repeated messages under other ids."
                )
        if options.show:
            from dmdd_edge.runtime.sinks.show import Show

            outputs.window = outputs.add(Show(source.total is not None, stopping, outputs.overlays))
        if options.serve is not None:
            from dmdd_edge.runtime.page import open_page

            page = outputs.add(open_page(options.serve, control, page_token(options.serve_token_env)))
            for line in page.announcement:
                say(line)
        undo.pop_all()  # from here on the run closes them
    return outputs


def _open_image_folders(options: RunOptions, source: Source, outputs: Outputs) -> None:
    from dmdd_edge.runtime.sinks.maps import Maps
    from dmdd_edge.runtime.sinks.raw_frames import RawFrames

    only, files, folders = options.save_only_anomalous, outputs.files, outputs.folders
    if options.save is not None:
        folders["overlays"] = outputs.add(
            Overlays(
                options.save,
                source.root,
                only,
                files,
                options.save_format,
                options.save_size,
                options.save_caption,
                outputs.overlays,
            )
        )
    if options.save_maps is not None:
        folders["maps"] = outputs.add(Maps(options.save_maps, source.root, only, files))
    if options.save_frames is not None:
        folders["frames"] = outputs.add(RawFrames(options.save_frames, source.root, only, files))
    for folder in folders.values():
        folder.check_free(getattr(source, "names", ()))


def _open_single_files(options: RunOptions, source: Source, outputs: Outputs) -> None:
    # After the images: a frame whose line is written has its images, unless they were left out.
    if options.video is not None:
        from dmdd_edge.runtime.sinks.video import Video

        fps = options.video_fps or (None if source.live else source.state().fps) or _VIDEO_FPS
        video = outputs.add(Video(options.video, fps, source.live, outputs.files, outputs.overlays))
        outputs.single.append(("frames", options.video, video))
    lines: list[LineFile] = []
    if options.csv is not None:
        from dmdd_edge.runtime.sinks.csv_file import CsvFile

        lines.append(outputs.add(CsvFile(options.csv, outputs.files)))
        outputs.single.append(("rows", options.csv, lines[-1]))
    if options.jsonl is not None:
        from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile

        lines.append(outputs.add(JsonLinesFile(options.jsonl, outputs.files)))
        outputs.single.append(("lines", options.jsonl, lines[-1]))
    if options.resume:
        outputs.resume = ResumeState([file.done for file in lines])


def _file_options(
    options: RunOptions,
    live: bool,
    endless: bool,
    stack: ExitStack,
    stopping: Callable[[], bool],
    say: Callable[[str], None],
) -> FileOptions:
    from dmdd_edge.runtime.sinks.quota import DiskQuota

    return FileOptions(
        live=live or endless,
        # A watched folder has no end, and yet each of its images is owed one result.
        existing=existing_policy(live or (endless and not options.resume), options.resume, options.overwrite),
        fsync=options.fsync,
        rotate=options.rotate_size,
        keep=None if options.keep is None else stack.enter_context(DiskQuota(options.keep, say)),
        stopping=stopping,
        note=say,
    )


def _run_identity(options: RunOptions) -> RunIdentity | None:
    """What begins the ids of messages, so that a resumed run sends a frame again under the same id."""
    results = options.jsonl or options.csv
    if results is None or (options.mqtt is None and options.webhook is None):
        return None
    if os.path.exists(results) and not os.path.isfile(results):  # noqa: PTH110, PTH113 - false for odd names
        return None  # a pipe or a device is never resumed
    from dmdd_edge.runtime.delivery.run_identity import run_identity

    return run_identity(results, options.resume)


def _deliveries(
    options: RunOptions, control: RunControl, run: str, say: Callable[[str], None]
) -> list[Delivery]:
    if options.mqtt is None and options.webhook is None:
        return []
    from dmdd_edge.runtime.delivery import DeliveryOptions, open_delivery

    settings = options.pick(
        DeliveryOptions, category=control.category, version=lambda: control.version, run=run
    )
    return open_delivery(options.mqtt, options.webhook, settings, say)


def page_token(variable: str | None) -> str | None:
    """The token that the user set; None makes the page draw one."""
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise OptionError(
            f"--serve-token-env names {variable}, which is not set.", f"Set it: export {variable}=..."
        )
    return value
