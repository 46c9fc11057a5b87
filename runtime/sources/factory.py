"""Open a source from a user-supplied string."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dmdd_edge.arguments import check_instance, wrong_type
from dmdd_edge.errors import SourceError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.runtime.sources import replay
from dmdd_edge.runtime.sources.base import Source
from dmdd_edge.runtime.sources.devices import make_device
from dmdd_edge.runtime.sources.file_source import open_files
from dmdd_edge.runtime.sources.files import ImageFiles
from dmdd_edge.runtime.sources.live import LiveSource
from dmdd_edge.runtime.sources.live_device import Device, Paced
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.source_kinds import ALLOWED, check_options
from dmdd_edge.runtime.sources.strips import Strips
from dmdd_edge.runtime.sources.thinning import Thinner
from dmdd_edge.runtime.sources.urls import PLAYED, scheme_of
from dmdd_edge.runtime.sources.video import VIDEO_SUFFIXES
from dmdd_edge.runtime.sources.watched_folder import WatchFolder


def open_source(source: str, options: SourceOptions = SourceOptions()) -> Source:
    """Open the source that a user named.

    Args:
        source: an image, a video file, a folder (its subfolders included), a glob (``**`` included), ``-``
            for paths on standard input; live: a camera's index or device, csi://N, genicam://SERIAL, rtsp://,
            http(s)://, or ``replay:VIDEO`` for a video that is played like a camera.
        options: how it is read.

    Raises:
        SourceError: the source does not exist or is not readable, the device cannot be opened, an option does
            not apply to this kind of source, or results would be written into the source's folder.
    """
    if not isinstance(source, (str, os.PathLike)) or not isinstance(source := os.fspath(source), str):
        raise wrong_type("source", source, "a text, such as a path, '0' or an rtsp:// address")
    check_instance("options", options, SourceOptions, "SourceOptions")
    with _readable(source):
        opened = _open(source, options)
    return _apart(opened, options)


def open_sources(sources: Sequence[str], options: SourceOptions = SourceOptions()) -> Source:
    """Several sources as one: image files, folders and globs, in this order, each image once.

    Args:
        sources: as for ``open_source``; a single one may be of any kind.
        options: how they are read.

    Raises:
        SourceError: as for ``open_source``, or one of several is a video, a camera or a stream.
    """
    if len(sources) == 1:
        return open_source(sources[0], options)
    images: dict[str, Path] = {}
    passed_over: Counter[str] = Counter()
    for source in sources:
        with _readable(source):
            if not _is_of_images(source):
                raise SourceError(
                    f"{redacted(source)} cannot be one of several sources.",
                    "Only images, folders and globs can. Run a video, a camera or a stream by itself.",
                )
            check_options("files", options, source)
            opened = open_files(source, replace(options, every=1, strip=None))
        assert isinstance(opened, ImageFiles)
        passed_over += Counter(opened.state().passed_over)
        for path in opened.paths:
            if images.setdefault(os.path.abspath(path), path) is not path:  # noqa: PTH100 (links stay links)
                passed_over["named twice"] += 1
    root = Path(os.path.commonpath([os.path.dirname(name) for name in images]))  # noqa: PTH120
    names = [Path(name).relative_to(root).as_posix() for name in images]
    files = ImageFiles(
        list(images.values()), root, options.every, f"{len(sources)} sources", passed_over, names
    )
    return _apart(files, options)


@contextmanager
def _readable(source: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise SourceError(f"Cannot read {redacted(source)}: {error.strerror or error}.", ALLOWED) from None


def _is_of_images(source: str) -> bool:
    """Whether a source is an image, a folder or a glob, or does not exist."""
    path = Path(source)
    live = scheme_of(source) or source.startswith((*PLAYED, "/dev/video")) or source == "-"
    number = source.isdecimal() and not path.exists()
    return not (live or number or path.is_char_device() or path.suffix.lower() in VIDEO_SUFFIXES)


def _apart(opened: Source, options: SourceOptions) -> Source:
    """Return the source, of strips one that joins them, unless results would be written into its folder."""
    for name in ("save", "save_maps", "save_frames", "archive"):
        folder: Path | None = getattr(options, name)
        if folder is not None and os.path.realpath(folder) == os.path.realpath(opened.root):
            raise SourceError(
                f"{options.spelling(name)} {folder} is the folder of the source.",
                "Name another folder, for example out/.",
            )
    return opened if options.strip is None else Strips(opened, options.strip)


def _open(source: str, options: SourceOptions) -> Source:
    if not source.strip():
        raise SourceError(
            f"{'--watch' if options.watch else '--source'} is empty.",
            "Name a source; a shell variable may be empty. The current folder is '.'.",
        )
    if options.watch:
        check_options("a watched folder", options, source)
        return _watched(Path(source), options)
    device = make_device(source, options)
    if device is not None:
        return _live(device, options)
    check_options("files", options, source)
    return open_files(source, options)


def _live(device: Device, options: SourceOptions) -> Source:
    # A replayed video's clock starts with the run, so that every run of a rehearsal gets the same frames.
    drain = not isinstance(device, replay.ReplayDevice)
    # Single images are already requested at the wanted rate.
    limit = None if isinstance(device, Paced) else options.fps
    return LiveSource(device, Thinner(options.every, limit), drain, options.stream_timeout)


def _watched(folder: Path, options: SourceOptions) -> Source:
    return WatchFolder(folder, options.watch_settle, options.watch_existing, options.every, options.written)
