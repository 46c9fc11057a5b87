"""What reads ahead: it leaves no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.feed import Feed, ReadAhead
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.sources import Source


def test_closing_waits_for_the_frame_that_is_being_read() -> None:
    """A thread inside OpenCV aborts the program when that ends around it."""
    reading, release = threading.Event(), threading.Event()
    left: list[bool] = []

    def frames() -> Iterator[BrokenFrame]:
        yield BrokenFrame("a", 0, DmddError("damaged"))
        reading.set()
        release.wait(60)
        left.append(True)

    feed = ReadAhead(Feed(cast(Source, frames()), lambda: cast(Detector, Any), limit=None), room=4)
    assert feed.next() is not None
    assert reading.wait(60)
    threading.Timer(0.2, release.set).start()
    feed.close()
    assert left == [True]
