"""Strips of an endless web: which rows a strip owns, and which regions, so that each is found once.

A line-scan camera delivers a web strip by strip. The last rows of the strip before are put before each strip,
so that a defect on a border is seen whole. A strip owns the rows from the middle of those that it shares with
the strip before to the middle of those that it shares with the next one. A region belongs to the strip that
owns its center. What belongs to another strip counts neither for the score nor for the regions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.geometry import Box, Geometry
from dmdd_edge.data.tiles import top_mean
from dmdd_edge.runtime.result import Region

#: Two boxes are the same region in two strips if they share this part of the smaller box at least.
_SAME = 0.25

#: What a strip did with a region in the rows that it shares with the next one.
_Decision = Literal["taken", "left"]


@dataclass
class Border:
    """The rows that two strips share: what the first one decided there, for the second one.

    Their maps differ a little, so that a center near the middle could belong to both or to none. So the
    second strip follows what the first one decided on the same region.

    Attributes:
        boxes: regions that reach into these rows, x and y along the web, and whether the first strip owns it.
    """

    boxes: list[tuple[Box, _Decision]] = field(default_factory=list)

    def find(self, box: Box) -> tuple[Box, _Decision] | None:
        """The region that is most likely the same one, or None."""
        shares = [(_share(box, other), (other, decision)) for other, decision in self.boxes]
        best = max(shares, key=lambda item: item[0], default=None)
        return None if best is None or best[0] < _SAME else best[1]


@dataclass(frozen=True)
class Strip:
    """Which part of a web a frame shows; of the frames of a run with ``--strip``.

    Attributes:
        web_y: row along the web of the frame's first row; row 0 is the first one of the run.
        overlap: rows at the top that the strip before has too.
        cut: how many of them are not of the web but mirrored, at the start and after a gap; they are ignored.
        first, end: the rows of the frame that it owns, ``end`` not included.
        gap: whether rows of the web before this strip are missing.
        upper, lower: shared with the strip before and the next one; None at a start, an end and a gap.
    """

    web_y: int
    overlap: int
    cut: int
    first: int
    end: int
    gap: bool = False
    upper: Border | None = field(default=None, repr=False, compare=False)
    lower: Border | None = field(default=None, repr=False, compare=False)

    def to_json(self, mm_per_px: float | None = None) -> dict[str, int | float | bool]:
        """The rows of the web that it owns, as fields for JSON: the first one, how many, the first in mm."""
        row = self.web_y + self.first
        fields: dict[str, int | float | bool] = {"web_y": row, "rows": self.end - self.first}
        if mm_per_px is not None:
            fields["web_mm"] = float(f"{row * mm_per_px:.9g}")
        return {**fields, "gap": True} if self.gap else fields

    def along_web(self, regions: tuple[Region, ...], mm_per_px: float | None) -> tuple[Region, ...]:
        """The regions of this frame with their first rows along the web."""
        found = []
        for region in regions:
            row = self.web_y + region.y
            length = None if mm_per_px is None else row * mm_per_px
            found.append(replace(region, web_y=row, web_mm=length))
        return tuple(found)


def keep_own(
    anomaly_map: NDArray[np.float32], geometry: Geometry, strip: Strip, level: float
) -> tuple[NDArray[np.float32], float]:
    """Set to 0 what belongs to other strips; once per strip, in the order of the web.

    Args:
        anomaly_map: float32 rows x columns of the view, 0..1; changed.
        geometry: of the frame and the map.
        strip: of the frame.
        level: a region is what is above it.

    Returns:
        The map, and the score: the mean of its largest values.
    """
    axis, row_of = geometry.source_rows
    by_row = anomaly_map if axis == 0 else anomaly_map.T
    by_row[row_of < strip.cut] = 0
    outside = (row_of < strip.first) | (row_of >= strip.end)
    above = (anomaly_map > level).view(np.uint8)
    if not above.any():
        by_row[outside] = 0
        return anomaly_map, top_mean(anomaly_map)
    count, components, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    labels = np.asarray(components, np.int32)
    lost = np.ones(count, np.bool_)
    for label in range(1, count):
        x, y, width, height = (int(value) for value in stats[label][:4])
        lost[label] = not _owns(strip, geometry.box_to_source(x, y, width, height), geometry.source[0])
    lost[0] = False
    others = lost[labels]
    background = labels == 0 if axis == 0 else labels.T == 0
    (others if axis == 0 else others.T)[outside] |= background[outside]
    anomaly_map[others] = 0
    return anomaly_map, top_mean(anomaly_map)


def _owns(strip: Strip, box: Box, rows: int) -> bool:
    """Whether a region of a frame with ``rows`` rows belongs to its strip; what it decides is noted."""
    x, y, width, height = box
    along = (x, y + strip.web_y, width, height)
    bottom, center = y + height, y + height / 2
    before = None if strip.upper is None or y >= strip.overlap else strip.upper.find(along)
    taken = False
    if before is None:
        mine = strip.upper is None or center >= strip.first
    else:
        other, decision = before
        # A defect that is longer than the overlap is a region of each strip that it crosses.
        leads_on = other[1] + other[3] >= strip.web_y + strip.overlap and bottom > strip.overlap
        taken = decision == "taken" and not leads_on
        mine = not taken
    mine = mine and (strip.lower is None or center < strip.end)
    if strip.lower is not None and bottom > rows - strip.overlap:
        strip.lower.boxes.append((along, "taken" if mine or taken else "left"))
    return mine


def _share(a: Box, b: Box) -> float:
    """The part of the smaller of two boxes that is in the other one."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / min(a[2] * a[3], b[2] * b[3])
