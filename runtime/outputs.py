"""Opens what a run or a station hands its results to: deliveries, files, the page, a window."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.options.archive import ArchiveOptions
from dmdd_edge.runtime.options.run import ResultOptions
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.sinks.file_options import FileOptions, existing_policy
from dmdd_edge.runtime.sinks.overlays import OverlayCache, Overlays
from dmdd_edge.runtime.sinks.resume import ResumeState

if TYPE_CHECKING:
    from dmdd_edge.runtime.archive.sink import ArchiveSink
    from dmdd_edge.runtime.delivery.delivery import Delivery
    from dmdd_edge.runtime.delivery.run_identity import RunIdentity
    from dmdd_edge.runtime.sinks.image_folder import ImageFolder
    from dmdd_edge.runtime.sinks.line_file import LineFile
    from dmdd_edge.runtime.sinks.show import Show
    from dmdd_edge.runtime.sinks.video import Video

#: Frames per second of a video of frames that have no rate.
_VIDEO_FPS = 10.0

_Sink = TypeVar("_Sink", bound=Sink)


class PageSink(Sink, Protocol):
    """A page, which shows the results that it receives."""

    @property
    def url(self) -> str:
        """Its address, for a browser on this machine."""
        ...

    @property
    def announcement(self) -> Sequence[str]:
        """Lines to print once at the start."""
        ...


@dataclass(frozen=True)
class Producer:
    """Who produces the results, a run or a station, as far as its outputs need to know.

    Attributes:
        page: opens its page at an address, with a token, and an archive for review.
        messages: fields of ``DeliveryOptions`` that describe it.
        live: whether frames come by themselves, so that a full disk must not hold it up.
        endless: whether it continues until the user ends it.
        root: the folder that the names of its frames are relative to.
        names: returns the names of the frames to come, as far as they are known.
        fps: frames per second; None where that is not known.
        counted: whether the number of its frames is known.
        inspections: whether the source of a frame is the name of an inspection.
    """

    page: Callable[[str, str | None, Path | None], PageSink]
    messages: Mapping[str, Any] = field(default_factory=dict)
    live: bool = True
    endless: bool = True
    root: Path = Path(os.devnull)
    names: Callable[[], Iterable[str]] = tuple
    fps: float | None = None
    counted: bool = False
    inspections: bool = False


@dataclass
class Outputs:
    """The open sinks of a run.

    Attributes:
        files: how files are written.
        sinks: every sink, in the order in which each receives a result.
        folders: those that write a file per frame, by what they write.
        single: those that write one file: what it holds, its path, and the sink.
        archive: the archive, when there is one.
        window: the window, when there is one.
        page_url: address of the page; empty without one.
        overlays: the last overlay, for all sinks that show it.
        resume: which frames an earlier run has finished; None when the run does not resume one.
    """

    files: FileOptions
    sinks: list[Sink] = field(default_factory=list)
    folders: dict[str, ImageFolder] = field(default_factory=dict)
    single: list[tuple[str, Path, LineFile | Video]] = field(default_factory=list)
    archive: ArchiveSink | None = None
    window: Show | None = None
    page_url: str = ""
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
    options: ResultOptions,
    producer: Producer,
    stack: ExitStack,
    stopping: Callable[[], bool],
    say: Callable[[str], None],
) -> Outputs:
    """Open everything that the options name.

    Args:
        options: where results go.
        producer: who produces them.
        stack: closes what outlives the sinks.
        stopping: whether the user wants the run to end.
        say: receives what a person should know, one line each.

    Raises:
        OptionError: one of them cannot be opened; those that were opened are closed.
    """
    outputs = Outputs(_file_options(options, producer, stack, stopping, say))
    with ExitStack() as undo:
        undo.callback(outputs.close)
        # Messages first: a frame whose line is in a results file has been accepted for delivery.
        identity = None if producer.live or producer.endless else _run_identity(options)
        for delivery in _deliveries(options, producer, "" if identity is None else identity.name, say):
            outputs.add(delivery)
        _open_image_folders(options, producer, outputs)
        _open_archive(options, producer, outputs)
        _open_single_files(options, producer, outputs)
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

            outputs.window = outputs.add(Show(producer.counted, stopping, outputs.overlays))
        if options.serve is not None:
            token = page_token(options.serve_token_env)
            page = outputs.add(producer.page(options.serve, token, options.archive))
            outputs.page_url = page.url
            for line in page.announcement:
                say(line)
        undo.pop_all()  # from here on the run closes them
    return outputs


def _open_image_folders(options: ResultOptions, producer: Producer, outputs: Outputs) -> None:
    from dmdd_edge.runtime.sinks.maps import Maps
    from dmdd_edge.runtime.sinks.raw_frames import RawFrames

    only, files, folders = options.save_only_anomalous, outputs.files, outputs.folders
    if options.save is not None:
        folders["overlays"] = outputs.add(
            Overlays(
                options.save,
                producer.root,
                only,
                files,
                options.save_format,
                options.save_size,
                options.save_caption,
                outputs.overlays,
            )
        )
    if options.save_maps is not None:
        folders["maps"] = outputs.add(Maps(options.save_maps, producer.root, only, files))
    if options.save_frames is not None:
        folders["frames"] = outputs.add(RawFrames(options.save_frames, producer.root, only, files))
    for folder in folders.values():
        folder.check_free(producer.names())


def _open_archive(options: ResultOptions, producer: Producer, outputs: Outputs) -> None:
    if options.archive is None:
        return
    from dmdd_edge.runtime.archive.sink import ArchiveSink

    files = outputs.files
    outputs.archive = outputs.add(
        ArchiveSink(
            options.pick(ArchiveOptions),
            fsync=files.fsync,
            live=files.live,
            inspections=producer.inspections,
            stopping=files.stopping,
            note=files.note,
        )
    )


def _open_single_files(options: ResultOptions, producer: Producer, outputs: Outputs) -> None:
    # After the images: a frame whose line is written has its images, unless they were left out.
    if options.video is not None:
        from dmdd_edge.runtime.sinks.video import Video

        fps = options.video_fps or producer.fps or _VIDEO_FPS
        video = outputs.add(Video(options.video, fps, producer.live, outputs.files, outputs.overlays))
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
    options: ResultOptions,
    producer: Producer,
    stack: ExitStack,
    stopping: Callable[[], bool],
    say: Callable[[str], None],
) -> FileOptions:
    from dmdd_edge.runtime.sinks.quota import DiskQuota

    live, endless = producer.live, producer.endless
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


def _run_identity(options: ResultOptions) -> RunIdentity | None:
    """What begins the ids of messages, so that a resumed run sends a frame again under the same id."""
    results = options.jsonl or options.csv
    if results is None or (options.mqtt is None and options.webhook is None):
        return None
    if os.path.exists(results) and not os.path.isfile(results):  # noqa: PTH110, PTH113 - false for odd names
        return None  # a pipe or a device is never resumed
    from dmdd_edge.runtime.delivery.run_identity import run_identity

    return run_identity(results, options.resume)


def _deliveries(
    options: ResultOptions, producer: Producer, run: str, say: Callable[[str], None]
) -> list[Delivery]:
    if options.mqtt is None and options.webhook is None:
        return []
    from dmdd_edge.runtime.delivery import DeliveryOptions, open_delivery

    settings = options.pick(DeliveryOptions, run=run, **producer.messages)
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
