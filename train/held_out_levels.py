"""The levels of places that a run's held-out images give, and those without one of them.

An image that gave the levels is never above them, so a threshold from it would be too low. Each held-out
image is therefore compared with the levels of the others, which keeps the stated false-alarm rate: were the
new part one of the held-out ones, each compared with all others, the scores of all would be exchangeable.
The levels of the others would contain the new part too; without it they are lower or equal, so the scores
that set the threshold are higher or equal.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmdd_edge.data.place_levels import Peaks, PlaceLevels
from dmdd_edge.errors import TrainingError
from dmdd_edge.storage import write_atomically
from dmdd_edge.train.archives import DAMAGED

#: The file in a run's folder.
LEVELS = "levels.npz"


@dataclass(frozen=True)
class HeldOutLevels:
    """What each of some held-out images shows at each place.

    Attributes:
        numbers: of the images, in the order of the run's held-out ones.
        peaks: ``cell_peaks`` of the joined maps of their tiles, uint8 n x rows x columns; n at least 2.
        source: rows and columns of the images.
        coarse: likewise of the maps of the whole images; None without a coarse pass.
    """

    numbers: tuple[int, ...]
    peaks: Peaks
    source: tuple[int, int]
    coarse: Peaks | None = None

    def levels(self) -> PlaceLevels:
        """The levels of all."""
        return PlaceLevels.of(self.peaks, self.source, self.coarse)

    def of_others(self, held_out: Sequence[Path]) -> dict[Path, PlaceLevels]:
        """For each image that gave the levels, those of the others.

        Args:
            held_out: the run's held-out images.
        """
        return {
            held_out[number]: PlaceLevels.of(
                np.delete(self.peaks, index, axis=0),
                self.source,
                None if self.coarse is None else np.delete(self.coarse, index, axis=0),
            )
            for index, number in enumerate(self.numbers)
        }

    def write(self, folder: Path) -> None:
        """Write them into a run's folder, whole or not at all."""
        data = io.BytesIO()
        arrays = {"numbers": np.array(self.numbers), "peaks": self.peaks, "source": np.array(self.source)}
        if self.coarse is not None:
            arrays["coarse"] = self.coarse
        np.savez_compressed(data, allow_pickle=False, **arrays)
        write_atomically(folder / LEVELS, data.getvalue())

    @classmethod
    def read(cls, folder: Path) -> HeldOutLevels:
        """What ``write`` wrote.

        Raises:
            TrainingError: it is missing or damaged.
        """
        try:
            with np.load(folder / LEVELS, allow_pickle=False) as stored:
                numbers, peaks, source = (stored[name] for name in ("numbers", "peaks", "source"))
                coarse = stored.get("coarse")
            if peaks.dtype != np.uint8 or peaks.ndim != 3 or not 2 <= len(peaks) == len(numbers):
                raise ValueError("the arrays do not fit each other")
            if coarse is not None and (coarse.dtype, coarse.shape) != (peaks.dtype, peaks.shape):
                raise ValueError("the levels of the two maps do not fit each other")
            rows, columns = (int(side) for side in source)
            return cls(tuple(int(number) for number in numbers), peaks, (rows, columns), coarse)
        except DAMAGED as error:
            raise TrainingError(
                f"{folder / LEVELS} is missing or damaged: {error}.", "Train again with --overwrite."
            ) from None
