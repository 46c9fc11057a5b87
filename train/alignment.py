"""Rotates and shifts images of a loose part until the part has one orientation and place in all of them.

A part that comes in any orientation looks different in every image; a detector has to learn all of them from
a few hundred. Where a part is long and alone on an even background, its orientation follows from its outline:
the axis along which its pixels spread most, the end that is heavier, the center. The fused graph contains it,
so whatever feeds the graph needs nothing, and the anomaly map is rotated back.

All is arithmetic on moments, without a branch, so that it is exported as it is (ours, not the paper's).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dmdd_edge.data.spread import spread
from dmdd_edge.train.head import resize
from dmdd_edge.train.image_change import Image, ImageChange
from dmdd_edge.train.synthesis import foreground

#: Cells per side, at least, on which the part's moments are computed.
_CELLS = 48
#: Gray levels that are added to the background's, to which differences are relative.
_DARK = 32.0
#: The part counts from this share of the level that separates it from the background, fully from the next.
_RAMP = (0.7, 1.3)
#: A part is long when it spreads this many times as far along its axis as across it.
_LONG = 1.8
#: Directions vary when the mean of their unit vectors is shorter than this (18 degrees), or that of the axes,
#: whose angle counts twice.
_ONE_WAY = 0.95
#: Third moment along the axis, over the third power of the spread, from which one end is the heavier one; and
#: below which rounding would decide.
_ENDS_DIFFER, _ALIKE = 0.03, 1e-4
#: The share of the side that an aligned part may fill.
_FILL = 0.96
#: Share of what differs from the background that the part must be.
_ONE_PIECE = 0.9
#: Side of what is noticed where the aligned image does not reach, in sides of the image; and what map and
#: score are then, when it is twice as large.
_BEYOND, _CERTAIN = 1 / 32, 0.98
#: Images that must be as described, and images that are examined.
_AGREE, _PROBES = 0.95, 64
#: Images from which the directions can be seen to vary.
_FEWEST = 8
#: Keeps an empty image, and a part that is as wide as long, from a division by zero.
_TINY = 1e-3


@dataclass(frozen=True)
class Pose:
    """Orientation and place of the parts, per image.

    Attributes:
        cosine, sine: of the direction of the part's axis, towards its thinner end; the y axis points down.
            float32 N, as are x and y.
        x, y: the middle of the part in pixels from the image's middle.
        beyond: how much each cell that the aligned image does not show differs from the background, 0..1;
            float32 N x h x w.
    """

    cosine: Tensor
    sine: Tensor
    x: Tensor
    y: Tensor
    beyond: Tensor


@dataclass(frozen=True)
class _Moments:
    """Of the parts of N images, in pixels.

    Attributes:
        x, y: center of mass, from the image's middle; N.
        cosine, sine: of the axis of the larger variance, of its two directions one with a cosine of 0 or
            above; N.
        along, across: places of the cells from the center; N x h x w.
        long, wide: variances along and across the axis; N.
        third: third moment along the axis; N.
    """

    x: Tensor
    y: Tensor
    cosine: Tensor
    sine: Tensor
    along: Tensor
    across: Tensor
    long: Tensor
    wide: Tensor
    third: Tensor


class Alignment(ImageChange):
    """Aligns images, and rotates maps back.

    Args:
        size: side S of the images.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.pool = next(step for step in (16, 8, 4, 2, 1) if size % step == 0 and size // step >= _CELLS)
        #: Level of the difference to the background where the part begins.
        self.register_buffer("level", torch.tensor(0.5))
        #: From the center of mass to the middle of the part's length, in pixels towards the thinner end.
        self.register_buffer("offset", torch.tensor(0.0))
        #: Pixels of the image per pixel of the aligned one; above 1 where a part would not fit else.
        self.register_buffer("scale", torch.tensor(1.0))
        #: Sum of ``Pose.beyond`` above which something else is in the image.
        self.register_buffer("limit", torch.tensor(1.0))

    level: Tensor
    offset: Tensor
    scale: Tensor
    limit: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, Pose]:
        """Align images.

        Args:
            images: N x 3 x S x S, BGR, 0..255.

        Returns:
            float32 of the same shape: the part's middle in the middle of the image, its axis along the rows,
            its thinner end on the right; beyond the image's border the border's pixels are repeated. And
            the poses of the parts.
        """
        x = images.float()
        pose = self.pose(x)
        u, v = self._middle()
        columns = _each(pose.cosine) * u - _each(pose.sine) * v
        rows = _each(pose.sine) * u + _each(pose.cosine) * v
        last = 0.5 * (self.size - 1)
        columns = (columns * self.scale + _each(pose.x)).clamp(-last, last)
        rows = (rows * self.scale + _each(pose.y)).clamp(-last, last)
        return self._sampled(x, columns, rows), pose

    def as_seen(self, images: Tensor) -> Tensor:
        """Aligned images; see the base."""
        return self(images)[0]

    def back(self, maps: Tensor, scores: Tensor, pose: Pose) -> tuple[Tensor, Tensor]:
        """Rotate the maps of aligned images back.

        What the aligned image does not show, such as a corner, is not left without an answer: where more than
        in good images differs from the background there, map and score are near 1.

        Args:
            maps: float32 N x S x S, 0..1.
            scores: float32 N, 0..1.
            pose: of the images.

        Returns:
            float32 N x S x S and N.
        """
        turned = self._sampled(maps[:, None], *self._in_aligned(pose, *self._middle()))[:, 0]
        excess = (pose.beyond.sum((1, 2)) / self.limit - 1.0).clamp(0.0, 1.0)
        beyond = _CERTAIN * _each(excess) * resize(pose.beyond[:, None], self.size)[:, 0]
        return torch.maximum(turned, beyond), torch.maximum(scores, _CERTAIN * excess)

    def pose(self, images: Tensor) -> Pose:
        """The poses of the parts in float32 images N x 3 x S x S, 0..255."""
        part = self.part(self.difference(images))
        found = self._moments(part)
        side = _thinner_end(found)
        cosine, sine = found.cosine * side, found.sine * side
        x, y = found.x + self.offset * cosine, found.y + self.offset * sine
        pose = Pose(cosine, sine, x, y, part)
        columns, rows = self._in_aligned(pose, *self._middle(self.pool))
        shown = torch.maximum(columns.abs(), rows.abs()) < 0.5 * self.size
        return replace(pose, beyond=torch.where(shown, 0.0, part))

    def _in_aligned(self, pose: Pose, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Columns and rows of places of the image in the aligned one; both in pixels from the middle."""
        u, v = (u - _each(pose.x)) / self.scale, (v - _each(pose.y)) / self.scale
        return _each(pose.cosine) * u + _each(pose.sine) * v, _each(pose.cosine) * v - _each(pose.sine) * u

    def part(self, difference: Tensor) -> Tensor:
        """How much each cell belongs to the part, from its ``difference``: of the same shape, 0..1."""
        low, high = _RAMP
        return ((difference / self.level - low) / (high - low)).clamp(0.0, 1.0)

    def difference(self, images: Tensor) -> Tensor:
        """How much each cell differs from the mean of those at the border: N x S/pool x S/pool, 0 and above.

        Relative to that mean, so that more or less light does not move the outline; on a dark background to a
        constant.
        """
        cells = F.avg_pool2d(images, self.pool) if self.pool > 1 else images
        border = [cells[:, :, 0], cells[:, :, -1], cells[:, :, :, 0], cells[:, :, :, -1]]
        background = torch.cat(border, 2).mean(2)
        bright = background.mean(1)[:, None, None] + _DARK
        return (cells - background[:, :, None, None]).abs().amax(1) / bright

    def _moments(self, part: Tensor) -> _Moments:
        u, v = self._middle(self.pool)
        mass = part.sum((1, 2)) + _TINY
        x, y = (part * u).sum((1, 2)) / mass, (part * v).sum((1, 2)) / mass
        du, dv = u - _each(x), v - _each(y)
        uu, uv, vv = ((part * product).sum((1, 2)) / mass for product in (du * du, du * dv, dv * dv))
        half, mean = 0.5 * (uu - vv), 0.5 * (uu + vv)
        radius = torch.sqrt(half * half + uv * uv) + _TINY
        # The angle of the axis is half of that of (half, uv).
        double = half / radius
        cosine = torch.sqrt((0.5 + 0.5 * double).clamp(min=0.0))
        sine = torch.sqrt((0.5 - 0.5 * double).clamp(min=0.0)) * torch.where(uv < 0, -1.0, 1.0)
        along = _each(cosine) * du + _each(sine) * dv
        across = _each(cosine) * dv - _each(sine) * du
        third = (part * along * along * along).sum((1, 2)) / mass
        return _Moments(x, y, cosine, sine, along, across, mean + radius, mean - radius, third)

    def _middle(self, step: int = 1) -> tuple[Tensor, Tensor]:
        """Columns 1 x 1 x n and rows 1 x n x 1 of cells of ``step`` pixels, in pixels from the middle."""
        count = self.size // step
        numbers = torch.arange(count, device=self.level.device, dtype=torch.float32)
        places = (numbers - 0.5 * (count - 1)) * step
        return places[None, None, :], places[None, :, None]

    def _sampled(self, images: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
        """Images N x C x S x S at places N x S x S, in pixels from the middle; 0 outside.

        ONNX Runtime samples with zeros outside three times as fast as with a repeated border.
        """
        grid = torch.stack([columns, rows], 3) * (2.0 / self.size)
        return F.grid_sample(images, grid, "bilinear", "zeros", align_corners=False)

    @torch.no_grad()
    def fit(self, images: Image) -> str | None:
        """Measure the parts of good images.

        Args:
            images: uint8 n x S x S x 3 BGR.

        Returns:
            why these images cannot or need not be aligned; None where they should be.
        """
        if len(images) < _FEWEST:
            return f"fewer than {_FEWEST} images"
        if not foreground.on_even_background(list(images)):
            return "no single part on an even background was found"
        chosen = images[spread(len(images), _PROBES)]
        difference = torch.cat([self.difference(batch) for batch in self.batches(chosen)])
        self.level.fill_(float(np.median([_otsu(item.numpy()) for item in difference.cpu()])))
        part = self.part(difference)
        pieces = [_largest_piece(item.numpy()) for item in part.cpu()]
        if not _mostly(torch.tensor([share >= _ONE_PIECE for _, share in pieces])):
            return "more than one thing differs from the background"
        found = self._moments(part)
        if not _mostly(found.long > _LONG**2 * found.wide.clamp(min=_TINY)):
            return "the part is not long enough for its orientation to be seen"
        if not self._directions_vary(found):
            return "the parts have the same orientation"
        self._fit_middle(found, torch.from_numpy(np.stack([piece for piece, _ in pieces])).to(part.device))
        beyond = self._beyond(images)
        # Not the largest: a single image with something in its corner would hide all later ones.
        usual = float(torch.quantile(beyond, _AGREE))
        self.limit.fill_(usual + (_BEYOND * self.size / self.pool) ** 2)
        return None

    @torch.no_grad()
    def noticed(self, images: Image) -> NDArray[np.bool_]:
        """Whether something is in an image where the aligned one does not reach, n.

        Args:
            images: uint8 n x S x S x 3 BGR.
        """
        return np.asarray((self._beyond(images) > self.limit).cpu().numpy())

    def _beyond(self, images: Image) -> Tensor:
        return torch.cat([self.pose(batch).beyond.sum((1, 2)) for batch in self.batches(images)])

    def _directions_vary(self, found: _Moments) -> bool:
        double = torch.stack([found.cosine**2 - found.sine**2, 2 * found.cosine * found.sine])
        if float(double.mean(1).norm()) < _ONE_WAY:
            return True
        # The axes agree; the ends may not, which cannot be seen on a part whose ends are alike.
        if not _mostly(found.third.abs() > _ENDS_DIFFER * found.long**1.5):
            return False
        ends = torch.stack([found.cosine, found.sine]) * _thinner_end(found)
        return float(ends.mean(1).norm()) < _ONE_WAY

    def _fit_middle(self, found: _Moments, inside: Tensor) -> None:
        """The middle of the part's length, and the scale at which each part fits, bool N x h x w."""
        side = _thinner_end(found)
        along, across = found.along * _each(side), found.across
        nowhere = torch.where(inside, 0.0, math.inf)
        last = (along - nowhere).amax((1, 2))
        first = (along + nowhere).amin((1, 2))
        self.offset.fill_(float((0.5 * (first + last)).median()))
        reach = torch.maximum((along - self.offset).abs(), across.abs())
        furthest = float((reach * inside).amax()) + 0.5 * self.pool
        self.scale.fill_(max(1.0, 2 * furthest / (_FILL * self.size)))


def _each(values: Tensor) -> Tensor:
    """N to N x 1 x 1."""
    return values[:, None, None]


def _thinner_end(found: _Moments) -> Tensor:
    """1 where the axis points to the thinner end or both are alike, else -1; N."""
    return torch.where(found.third < -_ALIKE * found.long**1.5, -1.0, 1.0)


def _mostly(holds: Tensor) -> bool:
    return float(holds.float().mean()) >= _AGREE


def _otsu(difference: NDArray[np.float32]) -> float:
    unit = max(float(difference.max()), _TINY) / 255
    level, _ = cv2.threshold(
        (difference / unit).round().astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU
    )
    return max(level, 1.0) * unit


def _largest_piece(part: NDArray[np.float32]) -> tuple[NDArray[np.bool_], float]:
    """The largest connected piece of what differs from the background, and its share of that."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats((part > 0.5).astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]
    if not len(areas):
        return np.zeros(part.shape, np.bool_), 0.0
    return labels == 1 + int(areas.argmax()), float(areas.max() / areas.sum())
