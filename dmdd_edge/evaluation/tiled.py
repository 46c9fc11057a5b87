"""Run a network of one size over a view of any size: tile by tile, in batches, and join."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.tiles import Layout

#: Tiles of one batch, unless another number is given.
TILE_BATCH = 8


def infer_tiles(
    predict: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]],
    view: NDArray[np.uint8],
    layout: Layout,
    batch: int = TILE_BATCH,
) -> tuple[NDArray[np.float32], float]:
    """The joined map and the score of one view; no more than one batch of tiles is held.

    Args:
        predict: from uint8 n x S x S x 3 BGR to maps, float32 n x S x S, and scores, float32 n, 0..1.
        view: uint8 rows x columns x 3 BGR, as ``Preprocess.prepare`` makes it.
        layout: of the view.
        batch: most tiles at once.

    Returns:
        float32 rows x columns, 0..1, and the score, 0..1; see ``Joining.result``.
    """
    joining = layout.joining()
    for start in range(0, layout.count, batch):
        joining.add(*predict(layout.cut(view, start, start + batch)))
    return joining.result()
