"""The rule of ``--stop-early``: which tile settles that its frame is anomalous."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.arguments import checked_number
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.data.geometry import Geometry
from dmdd_edge.data.tiles import top_mean
from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.regions import find_regions

#: Whether a tile settles that its frame is anomalous: from the part of the joined map at the tile, float32
#: 0..1, and from the score of the tile itself.
Settled = Callable[[NDArray[np.float32], float], bool]


def stop_rule(factor: float | None, threshold: EffectiveThreshold, geometry: Geometry) -> Settled | None:
    """The rule for frames of one geometry; None where all tiles are inspected.

    Further tiles and the coarse map only raise the joined map. So the score of the frame is at least the mean
    of the 100 largest values of a part of the map (or, where it is that of the tiles, the score of a tile),
    and a region of a part is in a region of the frame: the verdict is that of all tiles.

    Args:
        factor: the score has to be above the threshold times this; 1 or more.
        threshold: in use.
        geometry: of the frame.
    """
    tiling = geometry.tiling
    if factor is None or tiling is None:
        return None
    limit, of_tiles = factor * threshold.image, tiling.score == "tiles"

    def settled(part: NDArray[np.float32], score: float) -> bool:
        far = score > limit if of_tiles else float(part.max()) > limit and top_mean(part) > limit
        gate = threshold.gate
        return far and (not gate or bool(find_regions(part, threshold.pixel, geometry, gate)))

    return settled


def check_stop_early(
    factor: float | None, bundle: Bundle, threshold: EffectiveThreshold, say: Callable[[str], None]
) -> None:
    """Refuse a factor that is out of range or has no tiles to act on; warn if no score exceeds its limit.

    Raises:
        OptionError: it is below 1, or the bundle is not tiled.
    """
    if factor is None:
        return
    factor = checked_number("stop_early", factor, 1, 1000, "Give 1 or more, or None.")
    if bundle.manifest.preprocess.tiling is None:
        raise OptionError(
            f"--stop-early needs tiles, and {bundle.category} {bundle.version} is not tiled.",
            "Leave it out, or train with --tile.",
        )
    if factor * threshold.image >= 1:
        say(
            f"--stop-early {factor:g} times the threshold {threshold.image:.4f} is above every score: "
            "no image ends early."
        )
