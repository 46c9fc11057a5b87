"""A detector on a source: its results one after the other, for a ``for`` loop."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmdd_edge.arguments import check_callable, check_count, check_instance, wrong_type
from dmdd_edge.data.images import IMAGE_SUFFIXES
from dmdd_edge.runtime.feed import Feed, ReadAhead
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sources import Source, open_source
from dmdd_edge.runtime.sources.options import SourceOptions

if TYPE_CHECKING:
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.steps import Started

_log = logging.getLogger("dmdd_edge")


def check_stream(source: object, options: object, limit: object, on_error: object) -> None:
    """Check the arguments of ``Detector.stream``, before the first frame is taken.

    Raises:
        OptionError: one has a wrong type or value.
    """
    if isinstance(source, bytes) or not (
        isinstance(source, (str, os.PathLike)) or (hasattr(source, "live") and hasattr(source, "stop"))
    ):
        fix = "For images in memory call the detector itself: detector(images)."
        raise wrong_type("source", source, "a text, a path or an open source", fix)
    check_instance("options", options, (SourceOptions, type(None)), "SourceOptions or None")
    check_count("limit", limit, 1)
    if on_error is not None:
        check_callable("on_error", on_error)


def stream_results(
    detector: Detector,
    source: str | os.PathLike[str] | Source,
    options: SourceOptions | None,
    limit: int | None,
    on_error: Callable[[BrokenFrame], None] | None,
) -> Iterator[Result]:
    """The results of a source; the arguments and errors are those of ``Detector.stream``."""
    if isinstance(source, (str, os.PathLike)):
        source = open_source(os.fspath(source), options or SourceOptions())
    source.bits = detector.bundle.manifest.preprocess.bits
    source.say = _log.warning
    taken = Feed(source, lambda: detector, limit)
    feed = taken if source.live else ReadAhead(taken, room=detector.read_ahead)
    pending: deque[Started] = deque()
    try:
        while True:
            try:
                part = feed.next()
            except Exception:
                while pending:  # the source failed; the frames before that have their results
                    yield _result(detector, pending.popleft())
                raise
            if part is None:
                break
            (item,) = part.items
            if isinstance(item, BrokenFrame):
                (on_error or _warn)(item)
                continue
            pending.append(detector.start([item]))
            # A result must not wait for the next frame, which may be long in coming.
            while pending and (len(pending) >= detector.slots or not feed.ready):
                yield _result(detector, pending.popleft())
        while pending:
            yield _result(detector, pending.popleft())
    finally:
        source.stop()
        feed.close()


def _result(detector: Detector, started: Started) -> Result:
    """The result of one frame, with the frame's pixels unless ``plot`` can read them from a file again."""
    inferred = detector.collect(started)
    (result,) = detector.decide(inferred)
    path = Path(result.source)
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        return result
    return replace(result, image=inferred.prepared[0].frame.image)


def _warn(frame: BrokenFrame) -> None:
    _log.warning("Frame %d of %s was skipped: %s", frame.index, frame.source, frame.error.message)
