"""The mean joined map of many good images, with the product's weights and with even ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.tiles import Layout

Maps = NDArray[np.float32]

#: Images whose maps are added.
MOST = 100

#: Weights that fall to a tile's edge, as the product joins, and an even average with a step at each border.
WEIGHTS = ("falling weights", "even weights")


@dataclass
class MeanMaps:
    """Sums of joined maps.

    Attributes:
        count: images that were added.
        sums: by kind of weights, float32 rows x columns of the view.
    """

    count: int = 0
    sums: dict[str, Maps] = field(default_factory=dict)

    def add(self, layout: Layout, maps: Maps, scores: Maps) -> None:
        """Add the maps of all tiles of an image, n x S x S and n; no coarse one."""
        self.count += 1
        for name, joined_by in zip(WEIGHTS, (layout, replace(layout, overlap=0, margin=0)), strict=True):
            joined = joined_by.join(maps, scores)[0]
            self.sums[name] = self.sums.get(name, np.zeros_like(joined)) + joined

    def means(self) -> dict[str, Maps]:
        """The mean map by kind of weights."""
        return {name: total / np.float32(self.count) for name, total in self.sums.items()}

    def write(self, file: Path) -> None:
        """Keep the sums."""
        draft = file.with_suffix(".part")
        with draft.open("wb") as opened:
            arrays: dict[str, Any] = dict(self.sums)
            np.savez(opened, count=self.count, **arrays)
        draft.replace(file)

    @classmethod
    def read(cls, file: Path) -> MeanMaps:
        """What ``write`` kept; nothing where there is no file."""
        if not file.exists():
            return cls()
        with np.load(file) as stored:
            return cls(int(stored["count"]), {name: stored[name] for name in WEIGHTS})
