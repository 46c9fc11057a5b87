"""Collect images of good parts from any source, for the command line and for Python."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dmdd_edge.arguments import check_callable, check_instance
from dmdd_edge.errors import OptionError, SourceError
from dmdd_edge.messages.text import visible
from dmdd_edge.runtime.collect.collector import Collector, Counts, TakenImage
from dmdd_edge.runtime.collect.faults import Fault
from dmdd_edge.runtime.collect.folder import SetFolder
from dmdd_edge.runtime.collect.record import CameraFacts
from dmdd_edge.runtime.collect.spread import Spread
from dmdd_edge.runtime.collect.taking import Change, Each, Interval, Way, Wish
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.opened import Opened
from dmdd_edge.runtime.options.collect import CollectOptions
from dmdd_edge.runtime.sources import Source, open_source
from dmdd_edge.runtime.sources.live import LiveSource
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.urls import PLAYED
from dmdd_edge.runtime.sources.video import VideoFile

Say = Callable[[str], None]

#: Seconds between two images of ``--take interval`` unless the user says otherwise.
_INTERVAL = 5.0
#: Seconds between two looks at whether the user wants an end.
_POLL = 0.05


@dataclass(frozen=True)
class Collected:
    """What a call of ``collect_images`` did.

    Attributes:
        into: the folder of the set.
        counts: of images and refusals.
        target: how many images were wanted.
        ended_by: ``target``, ``source`` at its end, ``duration`` or ``stop``.
        spread: how varied the set is; None when it is empty.
        missing: what the set lacks, a line each.
        doubtful: images of the set that it would refuse today, by number; the first ones came before it
            had statistics.
        first_unreadable: why the first unreadable frame could not be read; empty without one.
        passed_over: what the source found and did not deliver, by kind.
    """

    into: Path
    counts: Counts
    target: int
    ended_by: str
    spread: Spread | None
    missing: tuple[str, ...] = ()
    doubtful: tuple[tuple[int, Fault], ...] = ()
    first_unreadable: str = ""
    passed_over: dict[str, int] = field(default_factory=dict)


def collect_images(
    options: CollectOptions,
    *,
    wish: Wish | None = None,
    on_image: Callable[[TakenImage], None] = lambda taken: None,
    stop: Callable[[], bool] = lambda: False,
    say: Say = logging.getLogger("dmdd_edge").info,
) -> Collected:
    """Collect images of good parts into a folder for ``train``; nothing is printed.

        from pathlib import Path
        from dmdd_edge import CollectOptions, collect_images

        options = CollectOptions(source="shots/", into=Path("parts/bracket_good"), target=200)
        outcome = collect_images(options, on_image=lambda image: print(image.number, image.text))
        print(outcome.counts.images, outcome.counts.refused, outcome.missing)

    Args:
        options: the source, the folder, and which images are taken.
        wish: for ``take="key"``: its ``ask`` takes the next frame, from any thread.
        on_image: called with each image that was kept or refused.
        stop: polled twenty times per second; true ends it.
        say: receives what a person should know, one line each; default: Python's log.

    Raises:
        OptionError: the folder is a file or holds other images, or an option does not fit to the source.
        SourceError: the source fails, or the camera sets itself and ``allow_auto`` is not given.
        StorageError: the disk refuses an image; those before it are kept.
    """
    check_instance("options", options, CollectOptions, "CollectOptions")
    for name, function in (("on_image", on_image), ("stop", stop), ("say", say)):
        check_callable(name, function)
    with OpenCollection(options, say, wish=wish) as collection:
        return collection.process(on_image, stop)


class OpenCollection(Opened):
    """A collection whose source and folder are open; to be used in a ``with`` block, and processed once.

    Args:
        options: as for ``collect_images``.
        say: receives what a person should know, one line each.
        wish: who may ask for images; None when nobody can.
        on_read: called with the number of images of the set read at the start, and of all.

    Attributes:
        collector: the set; ``undo`` of it removes the last image.
        source: where frames come from.
        way: how images are taken: all, key, interval, trigger or change.
        current: the newest frame of the source, taken or not.
        over: whether it has ended.
        first_unreadable: why the first unreadable frame could not be read; empty without one.
    """

    collector: Collector
    source: Source
    way: str

    def __init__(
        self,
        options: CollectOptions,
        say: Say,
        wish: Wish | None = None,
        on_read: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        super().__init__()
        self.options, self._say, self.wish, self._on_read = options, say, wish, on_read
        self._ended_by = ""
        self.current: Frame | None = None
        self.over = False
        self.first_unreadable = ""

    def _open(self, stack: ExitStack) -> None:
        options = self.options
        assert options.into is not None  # the options need one
        folder = SetFolder(options.into)
        name = options.watch if options.watch is not None else options.source
        assert name is not None
        into = Path(os.path.realpath(options.into))
        inside = Path(os.path.realpath(name)) in into.parents
        settings = options.pick(
            SourceOptions,
            watch=options.watch is not None,
            save_frames=options.into if inside else None,  # left out, since this program wrote it
        )
        self.source = source = open_source(name, settings)
        stack.callback(source.stop)
        if Path(os.path.realpath(source.root)) == into:
            raise OptionError(f"--into {options.into} is the source.", "Name another folder with --into.")
        source.say, source.bits = self._say, options.bits
        self._check_camera()
        self.way = _way(options, source, self.wish is not None)
        stored = stack.enter_context(folder.held())
        if stored.cleared:
            self._say(f"{stored.cleared} unfinished files of an earlier end were removed")
        self.collector = Collector(folder, source.live, options.bits, options.accept, self._camera)
        self.collector.load(stored, self._on_read)

    def process(
        self,
        on_image: Callable[[TakenImage], None] = lambda taken: None,
        stop: Callable[[], bool] = lambda: False,
        on_frame: Callable[[], None] = lambda: None,
    ) -> Collected:
        """Take images until the target is reached, the source ends, or the user wants an end.

        Args:
            on_image: called with each image that was kept or refused.
            stop: polled; true ends it.
            on_frame: called after each frame, also one that was not taken.
        """
        options, collector, source = self.options, self.collector, self.source
        way = self._make_way()
        ended = threading.Event()
        watch = threading.Thread(target=self._watch, args=(stop, ended), name="collect-watch", daemon=True)
        watch.start()
        try:
            if len(collector) < options.target:
                for frame in source:
                    if self._ended_by:
                        break
                    if isinstance(frame, BrokenFrame):
                        self.first_unreadable = self.first_unreadable or frame.error.message
                        collector.broken(frame)
                    else:
                        self.current = frame
                        if way.takes(frame):
                            on_image(collector.offer(frame))
                        if len(collector) >= options.target:
                            break
                    on_frame()
        finally:
            self.over = True
            ended.set()
            source.stop()
            watch.join()
        return self._outcome()

    def _outcome(self) -> Collected:
        collector, options = self.collector, self.options
        assert options.into is not None
        spread = collector.spread()
        reached = len(collector) >= options.target
        return Collected(
            into=options.into,
            counts=collector.counts(),
            target=options.target,
            ended_by="target" if reached else self._ended_by or "source",
            spread=spread,
            missing=() if spread is None else tuple(spread.missing()),
            doubtful=tuple(collector.doubtful()),
            first_unreadable=self.first_unreadable,
            passed_over=dict(self.source.state().passed_over),
        )

    def _watch(self, stop: Callable[[], bool], ended: threading.Event) -> None:
        """End the source when the user wants that, also while it waits for a frame."""
        duration = self.options.duration
        deadline = None if duration is None else time.monotonic() + duration
        while not ended.wait(_POLL):
            if stop():
                self._ended_by = "stop"
            elif deadline is not None and time.monotonic() >= deadline:
                self._ended_by = "duration"
            else:
                continue
            self.source.stop()
            return

    def _make_way(self) -> Way:
        if self.way == "interval":
            return Interval(self.options.interval or _INTERVAL)
        if self.way == "change":
            return Change()
        if self.way == "key":
            assert self.wish is not None
            return self.wish
        return Each()

    def _check_camera(self) -> None:
        """Refuse a camera that changes its image by itself.

        Raises:
            SourceError: it does, and the user does not want that.
        """
        source = self.source
        settings = source.settings() if isinstance(source, LiveSource) else None
        if settings is None:
            if isinstance(source, LiveSource) and not source.state().name.startswith(PLAYED):
                self._say(
                    f"{source.state().name} does not report its settings; lock exposure, gain and white "
                    "balance in it"
                )
            return
        if not settings.automatic or self.options.allow_auto:
            return
        listed = " and ".join(filter(None, [", ".join(settings.automatic[:-1]), settings.automatic[-1]]))
        raise SourceError(
            f"{source.state().name} sets its {listed} by itself, so the images would differ in light.",
            f"Lock it, for example with {settings.locks}, or take the images as they are: --allow-auto.",
        )

    def _camera(self) -> CameraFacts | None:
        """What the record of an image says of the camera."""
        source = self.source
        if not isinstance(source, LiveSource):
            return None
        settings, detail = source.settings(), visible(source.state().detail)
        if settings is None:
            return CameraFacts(detail=detail)
        values = {visible(name)[:200]: _plain(value) for name, value in settings.values.items()}
        return CameraFacts(detail=detail, values=values, automatic=settings.automatic)


def _plain(value: int | float | bool | str) -> int | float | bool | str:
    return visible(value)[:500] if isinstance(value, str) else value


def _way(options: CollectOptions, source: Source, asked: bool) -> str:
    """How images are taken from this source.

    Raises:
        OptionError: it cannot be done with it.
    """
    way, triggered = options.take, source.state().triggered
    if way == "auto":
        way = "all" if not source.live else "trigger" if triggered else "key"
    problem: tuple[str, str] | None = None
    if way in ("key", "interval") and not source.live:
        problem = (f"--take {way} applies to cameras and streams", "Leave it out: every image is taken.")
    elif way == "change" and not source.live and not isinstance(source, VideoFile):
        problem = (
            "--take change applies to cameras, streams and videos",
            "Leave it out: every image is taken.",
        )
    elif way == "trigger" and not triggered:
        problem = (
            f"{source.state().name} does not wait for triggers",
            "Switch its trigger on (genicam://SERIAL?TriggerMode=On), or choose another --take.",
        )
    elif way == "key" and not asked:
        problem = (
            "Nobody can ask for an image: there is no terminal and no --serve",
            "Choose --take interval, --take change or --take all, or add --serve 8080.",
        )
    if problem is not None:
        raise OptionError(f"{problem[0]}.", problem[1])
    return way
