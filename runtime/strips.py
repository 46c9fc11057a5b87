"""Strips of an endless web: which rows a strip owns, and which regions, so that each is found once.

A line-scan camera delivers a web strip by strip. The last rows of the strip before are put before each strip,
so that a defect on a border is seen whole. A strip owns the rows from the middle of those that it shares with
the strip before to the middle of those that it shares with the next one. A region belongs to the strip that
owns its center. Regions of another strip count neither for the score nor for the regions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.data.geometry import Geometry
from dmdd_edge.data.tiles import PEAK_PIXELS, top_mean
from dmdd_edge.errors import OptionError
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.result import Region

#: What a strip decided on a region in the rows that it shares with the next one.
_TAKEN, _LEFT = 1, 2
#: A region that the strip before has not seen belongs to a strip also if its center is this number of pixels
#: of the map before its first row: the two maps differ a little, and it must not be lost between them.
_SLACK = 2
#: Of rows that are computed, in rows.
_ROUNDING = 1e-6


@dataclass
class Border:
    """The rows that two strips share: what the first one decided there, for the second one.

    Their maps differ a little, so that a center near the middle could belong to both or to none. So the
    second strip follows what the first one decided on the same pixels.

    Attributes:
        rows: float64 n, the row along the web of each row of ``decided``.
        decided: int8 n x pixels across the web, at the scale of the map: ``_TAKEN`` in regions that the first
            strip owns, ``_LEFT`` in those that it leaves to the second one, 0 elsewhere.
    """

    rows: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    decided: NDArray[np.int8] = field(default_factory=lambda: np.zeros((0, 0), np.int8))

    def under(
        self, labels: NDArray[np.int32], rows: NDArray[np.float64], count: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Of each region the number of its pixels that the first strip has taken, and that it has left.

        Args:
            labels: int32 n x pixels across the web, the number of the region at each pixel.
            rows: float64 n, the row along the web of each of them.
            count: of the numbers.
        """
        if self.decided.shape[1] != labels.shape[1] or not (len(rows) and len(self.rows)):
            return np.zeros(count, np.intp), np.zeros(count, np.intp)
        order = np.argsort(self.rows)
        nearest = np.rint(np.interp(rows, self.rows[order], np.arange(len(order)))).astype(np.intp)
        before = self.decided[order[nearest]]
        taken, left = (np.bincount(labels[before == each], minlength=count) for each in (_TAKEN, _LEFT))
        return taken, left


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

    @property
    def owns_rows(self) -> bool:
        """Whether it owns any; the first ones do not if the overlap is twice as long, and are left out."""
        return self.end > self.first

    def to_json(self, mm_per_px: float | None = None) -> dict[str, int | float | bool]:
        """The rows of the web that it owns, as fields for JSON: the first one, how many, the first in mm.

        With the overlap, since a run with another one cannot continue these results.
        """
        row = self.web_y + self.first
        fields: dict[str, int | float | bool] = {
            "web_y": row,
            "rows": self.end - self.first,
            "overlap": self.overlap,
        }
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


def check_strips(rows: int | None, bundle: Bundle) -> None:
    """Refuse strips of a bundle whose maps are compared with good parts at the same place.

    A web has no such place.

    Args:
        rows: of ``--strip``; None without strips.
        bundle: in use.

    Raises:
        OptionError: they do not go together.
    """
    tiling = bundle.manifest.preprocess.tiling
    if rows is not None and tiling is not None and tiling.levels is not None:
        raise OptionError(
            f"--strip: {bundle.category} {bundle.version} is compared with good parts at the same place, and "
            "strips of a web have no such place.",
            "Train with --score map.",
        )


def check_no_strips(threshold: EffectiveThreshold, bundle: Bundle) -> None:
    """Refuse a threshold that was set from strips where each image is decided on as it comes.

    A strip is decided on when the next one has come, so not by a station; and the score of a strip counts
    only what it owns, so the threshold would not keep its false-alarm rate.

    Args:
        threshold: in force.
        bundle: it is of.

    Raises:
        OptionError: the threshold was calibrated from strips.
    """
    if threshold.strip is not None and threshold.origin != "option":
        again = command(
            "calibrate", category=bundle.category, precision=bundle.precision or None, source="GOOD_PARTS"
        )
        raise OptionError(
            f"The threshold of {bundle.category} {bundle.version} was calibrated from strips of a web "
            f"(--strip {threshold.strip}), and a station inspects whole images.",
            f"Inspect the web with dmdd-edge run --strip {threshold.strip}, or set a threshold for whole "
            f"images: {again}",
        )


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
        The map, and the score: the mean of its largest values, those around a region in the rows of the
        other strips included. Without them a faint defect on a border would be in no strip as a whole.
    """
    axis, row_of = geometry.source_rows
    by_row = anomaly_map if axis == 0 else anomaly_map.T
    cut = row_of < strip.cut
    by_row[cut] = 0
    outside = (row_of < strip.first) | (row_of >= strip.end)
    inspected = by_row[~cut].size
    if geometry.ignored is not None:
        ignored = geometry.ignored if axis == 0 else geometry.ignored.T
        inspected -= int(np.count_nonzero(ignored[~cut]))
    most = max(min(PEAK_PIXELS, inspected), 1)
    above = (anomaly_map > level).view(np.uint8)
    if not above.any():
        score = top_mean(anomaly_map, most)
        by_row[outside] = 0
        return anomaly_map, score
    _, components, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    labels = np.asarray(components if axis == 0 else components.T, np.int32)
    start, length = (
        np.asarray(stats[1:, column], np.intp)
        for column in (
            (cv2.CC_STAT_TOP, cv2.CC_STAT_HEIGHT) if axis == 0 else (cv2.CC_STAT_LEFT, cv2.CC_STAT_WIDTH)
        )
    )
    ends = np.sort(np.stack([row_of[start], row_of[start + length - 1]]), axis=0)
    pixel = abs(row_of[1] - row_of[0])
    mine = _own(strip, labels, row_of, (ends[0] - pixel / 2, ends[1] + pixel / 2), geometry.source[0])
    by_row[~mine[labels]] = 0
    score = top_mean(anomaly_map, most)
    by_row[outside] *= labels[outside] > 0
    return anomaly_map, score


def _own(
    strip: Strip,
    labels: NDArray[np.int32],
    row_of: NDArray[np.float64],
    spans: tuple[NDArray[np.float64], NDArray[np.float64]],
    rows: int,
) -> NDArray[np.bool_]:
    """Which regions belong to a strip; what it decides on those that the next one sees is noted.

    Args:
        strip: whose map it is.
        labels: int32, the number of the region at each pixel of the map, along the web first; 0 is none.
        row_of: the row of the frame at each row of ``labels``.
        spans: first row and end of each region in the frame, from number 1 on.
        rows: of the frame.

    Returns:
        Of each number whether it is the strip's; true of 0.
    """
    top, bottom = spans
    center = (top + bottom) / 2
    mine, taken = np.ones(len(top), np.bool_), np.zeros(len(top), np.bool_)
    if strip.upper is not None:
        shared = np.flatnonzero(row_of < strip.overlap)
        took, left = strip.upper.under(labels[shared], row_of[shared] + strip.web_y, len(top) + 1)
        # What is only in part a region that the other strip took is mine: rather twice than never. So is
        # what leads on beyond the shared rows: a longer defect is a region of each strip that it crosses.
        taken = (took[1:] > 0) & (left[1:] == 0) & (bottom <= strip.overlap + _ROUNDING)
        first = strip.first - _SLACK * abs(row_of[1] - row_of[0])
        mine = np.where(took[1:] + left[1:] > 0, ~taken, center >= first)
    if strip.lower is not None:
        mine &= center < strip.end
        shared = np.flatnonzero(row_of >= rows - strip.overlap)
        decisions = np.concatenate([[0], np.where(mine | taken, _TAKEN, _LEFT)]).astype(np.int8)
        strip.lower.rows, strip.lower.decided = row_of[shared] + strip.web_y, decisions[labels[shared]]
    return np.concatenate([[True], mine])


def score_of_whole(score: float, anomaly_map: NDArray[np.float32], geometry: Geometry) -> float:
    """What the network says of the whole frame, where that decides; it counts in each strip.

    Args:
        score: of the frame.
        anomaly_map: the joined map, float32 rows x columns of the view.
        geometry: of the frame.

    Returns:
        0 where the score is that of the map.
    """
    tiling = geometry.tiling
    if tiling is None or tiling.coarse_score_gain is None or tiling.score == "tiles":
        return 0.0
    return score if score > top_mean(anomaly_map, geometry.layout.peak_pixels) else 0.0


def rows_not_inspected(strip: Strip, geometry: Geometry) -> str:
    """Why rows that a strip owns are not inspected, and by no other strip either; empty if all are.

    Args:
        strip: of the frame.
        geometry: of the frame.
    """
    rows, columns = geometry.shape
    _, y, _, height = geometry.box_to_source(0, 0, columns, rows)
    if y <= strip.first and y + height >= strip.end:
        return ""
    return (
        f"the strip owns rows {strip.first} to {strip.end} of the frame, and only rows {y} to {y + height} "
        "are inspected (region of interest, --fit crop): no strip inspects the others"
    )
