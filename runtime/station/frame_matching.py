"""Which frame of a triggered camera belongs to which part, when another camera begins the parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

#: What to do with the first part and the first frame that wait.
Verdict = Literal["match", "no frame", "no part"]
#: Number of the last parts whose distances limit the tolerance.
_RECENT = 16


class Tolerance:
    """How far the times of a part and its frame may be apart.

    Less than half the time between the last parts, whatever was set: the frame of the next part must not
    replace one that was lost. A single pair of triggers that were closer, as by a bouncing switch, does not
    count.

    Args:
        seconds: as set.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._parts: deque[float] = deque(maxlen=_RECENT)

    def part(self, time: float) -> None:
        """A part began at this time."""
        self._parts.append(time)

    @property
    def seconds(self) -> float:
        """The tolerance now."""
        between = sorted(later - earlier for earlier, later in pairwise(self._parts) if later > earlier)
        if not between:
            return self._seconds
        return min(self._seconds, 0.45 * between[min(1, len(between) - 1)])


def verdict(parts: Sequence[float], frames: Sequence[float], tolerance: float) -> Verdict:
    """Decide about the first part and the first frame.

    Both come in order. A frame that is too late for a part shows that the part's own frame was lost; one that
    is too early shows that its part never began. So one loss never shifts what follows.

    Args:
        parts: times of the parts that wait for a frame, in order; at least one.
        frames: times of the frames that wait for a part, in order; at least one.
        tolerance: seconds by which they may differ.

    Returns:
        ``match``: they belong together. ``no frame``: the part's frame was lost. ``no part``: the frame's
        part never began.
    """
    apart = frames[0] - parts[0]
    if apart > tolerance or (len(parts) > 1 and abs(frames[0] - parts[1]) < abs(apart)):
        return "no frame"
    if apart < -tolerance or (len(frames) > 1 and abs(frames[1] - parts[0]) < abs(apart)):
        return "no part"
    return "match"
