"""Makes each image as bright as the good images were on average.

Lamps age, the sun comes and goes, and a part is the same part in more or less light. The factor between an
image and the mean good image is estimated from all cells at once, robustly: what a defect changes, what
differs between good parts, and what is overexposed count little. The fused graph contains it, so that
whatever feeds the graph needs nothing, and light that changes within the limit hardly changes map and score.

All is arithmetic on a few hundred cells, without a branch (ours, not the paper's).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmdd_edge.data.spread import spread
from dmdd_edge.train.image_change import Image, ImageChange

#: Cells per side.
_CELLS = 32
#: Largest factor, and its inverse the smallest: what is darker or brighter still is left to the detector.
LIMIT = 1.25
#: A cell counts fully below the first share of full brightness and not at all above the second, where its
#: pixels may be overexposed.
_OVEREXPOSED = (0.88, 0.95)
#: Gray levels below full brightness from which a brighter image is darkened less and less.
_HIGHLIGHTS = 25.0
#: Deviation of a cell in any case: of full brightness, and of the cell's own.
_FLOOR, _SHARE = 0.01, 0.02
#: Factors that are tried, and rounds that refine the best one.
_TRIED, _ROUNDS = 11, 4
#: Share of the cells that a factor must explain, over the square of its logarithm: a tenth more or less light
#: must explain a percent.
_PRIOR = 1.0
#: Images from which the mean good image can be seen, and images that are examined.
_FEWEST, _PROBES = 8, 256
#: Share of the good images whose factor must be within the limit: else what they show differs, not the light.
_WITHIN = 0.95
#: Rounds in which the mean of the cells is corrected.
_CORRECTIONS = 3
_TINY = 1e-6


class Brightness(ImageChange):
    """Multiplies images to the brightness of the good ones.

    Args:
        size: side S of the images.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.pool = max(1, size // _CELLS)
        cells = size // self.pool
        #: Mean of the good images' cells, 0..1, and one over their variance.
        self.register_buffer("mean", torch.full((3, cells, cells), 0.5))
        self.register_buffer("certainty", torch.ones(3, cells, cells))

    mean: Tensor
    certainty: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Images as bright as the good ones.

        Args:
            images: N x 3 x S x S, BGR, 0..255.

        Returns:
            float32 of the same shape.
        """
        x = images.float()
        factor = self.factor(x)[:, None, None, None]
        # What is overexposed stays white: how bright it really is cannot be known.
        known = ((255.0 - x) / _HIGHLIGHTS).clamp(max=1.0)
        return (x * (factor.clamp(min=1.0) + (factor.clamp(max=1.0) - 1.0) * known)).clamp(max=255.0)

    def factor(self, images: Tensor) -> Tensor:
        """The factors of float32 images N x 3 x S x S, 0..255: float32 N, 1 / LIMIT..LIMIT."""
        return self._factor(F.avg_pool2d(images, self.pool) / 255.0)

    def _factor(self, cells: Tensor) -> Tensor:
        """Of cells N x 3 x c x c, 0..1: the one that most cells fit.

        An overexposed cell would be brighter if it could: it counts only where it is too bright for the
        factor.
        """
        low, high = _OVEREXPOSED
        clear = ((high - cells) / (high - low)).clamp(0.0, 1.0)
        tried = LIMIT ** torch.linspace(-1.0, 1.0, _TRIED, device=cells.device)
        _, misfit = self._fits(cells[:, None], clear[:, None], tried[None])
        misfit = misfit + _PRIOR * self.mean.numel() * torch.log(tried) ** 2
        best = (misfit <= misfit.amin(1, keepdim=True)).float()
        factor = (best * tried).sum(1) / best.sum(1)
        for _ in range(_ROUNDS):
            weight, _ = self._fits(cells, clear, factor)
            weight = weight * self.mean  # a dark cell says little about the light
            factor = _ratio(weight * self.mean, weight * cells)
        return factor.clamp(1.0 / LIMIT, LIMIT)

    def _fits(self, cells: Tensor, clear: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
        """How much each cell counts under a factor, ... x 3 x c x c, and how many cells do not fit it, ...

        Args:
            cells, clear: ... x 3 x c x c.
            factor: one for each of them, ...; a dimension of 1 is repeated.
        """
        excess = factor[..., None, None, None] * cells - self.mean
        counts = torch.maximum(clear, (excess > 0).float())
        missed = self.certainty * excess * excess
        fits = 1.0 / (1.0 + missed)
        return self.certainty * counts * fits * fits, (counts * missed * fits).sum((-3, -2, -1))

    @torch.no_grad()
    def fit(self, images: Image) -> str | None:
        """Measure the brightness of good images.

        Args:
            images: uint8 n x S x S x 3 BGR.

        Returns:
            why these images should not be made equally bright; None where they should.
        """
        if len(images) < _FEWEST:
            return f"fewer than {_FEWEST} images"
        chosen = images[spread(len(images), _PROBES)]
        cells = torch.cat([F.avg_pool2d(batch, self.pool) for batch in self.batches(chosen)]) / 255.0
        variance = cells.var(0)
        self.mean.copy_(cells.mean(0))
        certainty = 1.0 / (variance + (_FLOOR + _SHARE * self.mean) ** 2)
        # What is exactly the same in all images was not seen by the camera: a frame, or ignored pixels.
        self.certainty.copy_(torch.where(variance < _TINY**2, 0.0, certainty))
        for _ in range(_CORRECTIONS):
            # Cells that are overexposed in some images only make all others seem too bright or too dark.
            middle = self._factor(cells).median()
            self.mean.copy_(torch.where(self.mean < _OVEREXPOSED[0], self.mean / middle, self.mean))
        factors = self._factor(cells)
        within = (factors < LIMIT) & (factors > 1.0 / LIMIT)
        if float(within.float().mean()) < _WITHIN:
            return "the brightness of the good images differs too much"
        return None


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """Of the sums over N x 3 x c x c; 1 where there is nothing."""
    return (above.sum((1, 2, 3)) + _TINY) / (below.sum((1, 2, 3)) + _TINY)
