"""The connected regions of a ground truth, each of which counts the same for PRO."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def region_weights(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """One over the size of its region, for each True pixel of a bool H x W mask, in row order."""
    if not mask.any():
        return np.empty(0)
    _, regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    of_pixel = regions[mask]
    weights: NDArray[np.float64] = 1.0 / np.bincount(of_pixel)[of_pixel]
    return weights
