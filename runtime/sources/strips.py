"""A source whose frames are consecutive strips of one endless web; see ``dmdd_edge.runtime.strips``."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import Source, SourceState, take_all
from dmdd_edge.runtime.strips import Border, Strip

#: Gaps that are named; the rest are counted.
_NAMED = 5


class Strips:
    """Puts the last rows of the web before each strip.

    A strip is delivered when the next one has come or the source has ended, since only then it is known
    whether its last rows are seen again. Where rows are missing (frames that were dropped or cannot be read)
    and where the width changes, the overlap restarts: the rows before are mirrored, the gap is counted.
    A strip that owns no rows, as the first ones of less than half of the overlap, is not delivered: the next
    one shows its rows and owns them.

    Args:
        source: delivers the strips.
        overlap: rows of the web that are put before each strip.

    Attributes:
        total, root, live, bits, say, names: as of the source.
        skip: see ``Source``; a skipped strip is read all the same, since the next one needs its last rows.
    """

    def __init__(self, source: Source, overlap: int) -> None:
        self._source, self._overlap = source, overlap
        self.total, self.root, self.live = source.total, source.root, source.live
        self.skip: Callable[[str, int], bool] = take_all
        self._tail: NDArray[np.uint8] | None = None
        self._border: Border | None = None
        self._next_row = self._start = 0
        self._begun = False
        self._last_rows = 0
        self._last_id: int | None = None
        self._gaps = 0
        self._gap_before, self._dropped_before = False, 0
        self._wanted_in_all: int | None = None
        self._delivered = 0

    def __getattr__(self, name: str) -> Any:
        # What only some sources have, such as ``names`` and ``settings``.
        return getattr(self._source, name)

    @property
    def bits(self) -> int:
        """See ``Source``."""
        return self._source.bits

    @bits.setter
    def bits(self, bits: int) -> None:
        self._source.bits = bits

    @property
    def say(self) -> Callable[[str], None]:
        """See ``Source``."""
        return self._source.say

    @say.setter
    def say(self, say: Callable[[str], None]) -> None:
        self._source.say = say

    def end_after(self, frames: int) -> None:
        """Deliver this number of frames: the last one owns its last rows, since no other strip will."""
        self._wanted_in_all = frames

    def stop(self) -> None:
        """End the iteration soon; the strip that waits is still delivered."""
        self._source.stop()

    def state(self) -> SourceState:
        """The state of the source, with the number of gaps."""
        return replace(self._source.state(), gaps=self._gaps)

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        frames = iter(self._source)
        held: Frame | None = None
        try:
            for frame in frames:
                if isinstance(frame, BrokenFrame):
                    yield from self._wanted(held, follows=False)
                    held = None
                    self._break("a strip cannot be read", self._last_rows)
                    if not self.skip(frame.source, frame.index):
                        self._delivered += 1
                        yield frame
                    continue
                follows = self._follows(frame)
                yield from self._wanted(held, follows)
                held = self._joined(frame)
            yield from self._wanted(held, follows=False)
        finally:
            if isinstance(frames, Generator):
                frames.close()

    def _follows(self, frame: Frame) -> bool:
        """Whether a strip directly follows the one before; where it does not, the overlap restarts."""
        shape = frame.image.shape[1:]
        lost = frame.dropped
        if frame.frame_id is not None and self._last_id is not None:
            lost = max(lost, frame.frame_id - self._last_id - 1)
        self._last_id = frame.frame_id
        if not self._begun:
            return False
        if lost:
            self._break(f"{lost} strips are missing", lost * self._last_rows)
        elif self._tail is not None and shape != self._tail.shape[1:]:
            before, now = (" x ".join(map(str, each)) for each in (self._tail.shape[1:], shape))
            self._break(f"the width changes from {before} to {now} pixels", 0)
        return self._tail is not None

    def _break(self, why: str, rows: int) -> None:
        """The web is interrupted here; ``rows`` of it are estimated to be missing."""
        if not self._begun or self._tail is None:  # nothing came before, or it is noted already
            self._next_row += rows
            return
        self._tail = self._border = None
        self._gaps += 1
        if self._gaps <= _NAMED:
            more = " Further gaps are counted." if self._gaps == _NAMED else ""
            self.say(f"Gap in the web at row {self._next_row}: {why}; the overlap restarts.{more}")
        self._next_row += rows

    def _joined(self, frame: Frame) -> Frame:
        """The strip below the last rows of the web."""
        begin = time.perf_counter()
        image, overlap = frame.image, self._overlap
        if not self._begun and overlap > len(image):
            short = len(image) <= overlap // 2
            self.say(
                f"The strips have {len(image)} rows, and --strip {overlap} puts as many before each: most "
                "of a frame was seen before, and strips are judged late. "
                + ("The first ones have no result: their rows belong to that of a later one. " * short)
                + "Take longer strips, or fewer rows."
            )
        fresh = self._tail is None
        if self._tail is None:
            joined = np.asarray(cv2.copyMakeBorder(image, overlap, 0, 0, 0, cv2.BORDER_REFLECT), np.uint8)
            self._start = self._next_row
        else:
            joined = np.concatenate([self._tail, image])
        gap = fresh and self._begun
        web_y = self._next_row - overlap
        self._next_row += len(image)
        self._begun, self._last_rows = True, len(image)
        self._tail = joined[len(joined) - overlap :]
        cut = max(self._start - web_y, 0)
        first = max(overlap // 2 if not fresh else cut, cut)
        strip = Strip(web_y, overlap, cut, first, len(joined), gap, self._border)
        elapsed = 1000 * (time.perf_counter() - begin)
        return replace(frame, image=joined, strip=strip, capture_ms=frame.capture_ms + elapsed)

    def _wanted(self, held: Frame | None, follows: bool) -> Iterator[Frame]:
        """The strip that waits, now that it is known whether another one follows directly."""
        if held is None or held.strip is None:
            return
        strip = held.strip
        follows = follows and self._delivered + 1 != self._wanted_in_all
        self._border = Border() if follows else None
        if follows:
            end = max(strip.end - self._overlap + self._overlap // 2, strip.first)
            strip = replace(strip, end=end, lower=self._border)
        gap, dropped = strip.gap or self._gap_before, held.dropped + self._dropped_before
        self._gap_before, self._dropped_before = (False, 0) if strip.owns_rows else (gap, dropped)
        if strip.owns_rows and not self.skip(held.source, held.index):
            self._delivered += 1
            yield replace(held, strip=replace(strip, gap=gap), dropped=dropped)
