"""Takes from an image what no defect is: faint noise, and color finer than cameras and JPEG transmit.

On even surfaces the deep stages of a network see a sensor's noise and traces of JPEG clearly where a person
sees nothing, and a student that knows clean images only finds them unusual. JPEG and most cameras transmit
color at half the resolution, so an edge of color differs from camera to camera. The networks never see an
image without this, and the fused graph contains it (ours, not the paper's).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Shares of blue, green and red in the brightness (ITU-R BT.601).
_LUMA = (0.114, 0.587, 0.299)
#: Sides of the neighborhoods in pixels: of the brightness and of the color.
_NEAR, _WIDE = 3, 5


class Denoise(nn.Module):
    """Moves the brightness of each pixel towards that of its neighborhood, and takes its color from there.

    The brightness moves by some gray levels at most: what differs by less becomes even, and what differs by
    more stays as sharp as it is, less these levels (coring). On gray images the color has no part in it.

    Args:
        levels: the most, 0 to 255.
    """

    luma: Tensor

    def __init__(self, levels: float) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("luma", torch.tensor(_LUMA).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Smoothed images.

        Args:
            images: float N x 3 x S x S, BGR, 0..255.

        Returns:
            the same shape; bright colors may exceed the range a little.
        """
        brightness = (images * self.luma).sum(1, keepdim=True)
        color = _around(images - brightness, _WIDE)
        detail = brightness - _around(brightness, _NEAR)
        return brightness - detail.clamp(-self.levels, self.levels) + color


def _around(x: Tensor, side: int) -> Tensor:
    """Mean of each value's neighborhood inside the image."""
    return F.avg_pool2d(x, side, stride=1, padding=side // 2, count_include_pad=False)
