"""Some of many, evenly spread."""

from __future__ import annotations

import numpy as np


def spread(count: int, most: int) -> list[int]:
    """Indices of at most ``most`` of ``count`` things, ascending, evenly spread from the first to the last.

    Args:
        count: of things; all of them where there are no more than ``most``, and none of none.
        most: at least 1.
    """
    wanted = min(count, most)
    return np.linspace(0, count - 1, wanted).astype(int).tolist() if wanted else []
