"""Where the parts of a set are, and whether another part is where they are."""

from __future__ import annotations

import numpy as np

from dmdd_edge.runtime.collect.faults import MARKED_FROM, Fault, Usual
from dmdd_edge.runtime.collect.position import Position, position_of
from dmdd_edge.runtime.collect.sketch import Sketch

#: Images after which a reference is chosen among them: the one that is most like all of them.
SETTLED = 8
#: Parts that are placed at random cannot be moved: their spread exceeds this share of the longer side or this
#: turn in degrees, or their match is below this.
_FREE_SHIFT, _FREE_TURN, _FREE_MATCH = 0.04, 12.0, 0.6
#: What never counts as moved: a share of the longer side, degrees, and how much worse images match.
_SHIFT, _TURN, _MISMATCH = 0.012, 1.5, 0.1


class Positions:
    """The places of the parts, in the order in which they came.

    Attributes:
        listed: of each image; None where it cannot be compared with the reference.
        reference: number of the image that the others are compared with; None before it is chosen.
    """

    def __init__(self) -> None:
        self.listed: list[Position | None] = []
        self.reference: int | None = None
        self._first: list[tuple[int, Sketch]] = []
        self._reference: Sketch | None = None
        self._usual: tuple[int, dict[str, Usual] | None] = (-1, None)

    @property
    def free(self) -> bool:
        """Whether the parts are placed at random, so that none of them can be moved or turned."""
        return self._reference is not None and self._figures() is None

    def spread(self) -> tuple[float, float] | None:
        """How far the parts are from the middle of all: pixels and degrees, nine of ten; None where free."""
        known = [place for place in self.listed if place is not None]
        if self._figures() is None or not known:
            return None
        x, y, turn = (np.asarray([getattr(place, name) for place in known]) for name in ("x", "y", "turn"))
        shift = np.hypot(x - np.median(x), y - np.median(y))
        return float(np.quantile(shift, 0.9)), float(np.quantile(np.abs(turn - np.median(turn)), 0.9))

    def of(self, sketch: Sketch) -> Position | None:
        """Where an image's part is; None without a reference, or where parts are placed at random."""
        if self._reference is None or self.free:
            return None
        return position_of(sketch, self._reference)

    def add(self, number: int, sketch: Sketch, position: Position | None) -> None:
        """Add an image's place; the reference is chosen when there are enough.

        Args:
            number: of the image.
            sketch: of the image.
            position: as ``of`` gave it.
        """
        self.listed.append(position)
        if self._reference is not None:
            return
        self._first.append((number, sketch))
        if len(self._first) == SETTLED:
            self.reference, self._reference = _most_typical(self._first)
            self.listed = [position_of(one, self._reference) for _, one in self._first]
            self._first.clear()

    def remove_last(self) -> None:
        """Take the place that was added last out again."""
        self.listed.pop()
        if self._first:
            self._first.pop()
        self._usual = (-1, None)

    def faults(self, position: Position | None) -> list[Fault]:
        """Whether a part is elsewhere than those of the set."""
        usual = self._figures()
        if usual is None or self._reference is None:
            return []
        if position is None:
            return [Fault("moved", "moved or turned so far that it does not match the others", 1.5)]
        side = max(self._reference.gray.shape) * self._reference.scale
        along = {"x": _SHIFT * side, "y": _SHIFT * side, "turn": _TURN}
        excess = {name: usual[name].excess(getattr(position, name), least) for name, least in along.items()}
        shift = np.hypot(position.x - usual["x"].middle, position.y - usual["y"].middle)
        turn = position.turn - usual["turn"].middle
        mismatch = (1 - position.match) / max(_MISMATCH, 3 * (1 - usual["match"].low))
        moved = max(abs(excess["x"]), abs(excess["y"]))
        choices = [
            (moved, f"moved: {shift:.1f} px from where the others are"),
            (abs(excess["turn"]), f"turned: {abs(turn):.1f} degrees against the others"),
            (mismatch, f"moved or turned: it matches the others by {position.match:.2f} only"),
        ]
        weight, text = max(choices)
        return [Fault("moved", text, float(weight))] if weight >= MARKED_FROM else []

    def _figures(self) -> dict[str, Usual] | None:
        """What is usual; None where the parts are placed at random, or there is no reference yet."""
        if self._usual[0] != len(self.listed):
            self._usual = (len(self.listed), self._figured())
        return self._usual[1]

    def _figured(self) -> dict[str, Usual] | None:
        known = [place for place in self.listed if place is not None]
        if self._reference is None or len(known) < 0.8 * len(self.listed):
            return None
        usual = {n: Usual.of([getattr(place, n) for place in known]) for n in ("x", "y", "turn", "match")}
        side = max(self._reference.gray.shape) * self._reference.scale
        if (
            max(usual["x"].spread, usual["y"].spread) > _FREE_SHIFT * side
            or usual["turn"].spread > _FREE_TURN
            or usual["match"].middle < _FREE_MATCH
        ):
            return None
        return usual


def _most_typical(first: list[tuple[int, Sketch]]) -> tuple[int, Sketch]:
    """The image that is nearest to the median of all, with its number."""
    middle = np.median(np.stack([sketch.gray for _, sketch in first]), axis=0)
    return min(first, key=lambda one: float(np.abs(one[1].gray - middle).mean()))
