"""Read the masks of a category; one that cannot be the truth of its image is named and not used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.datasets.category import Category, TestImage
from dmdd_edge.data.images import fit_mask
from dmdd_edge.data.masks import read_mask
from dmdd_edge.errors import DmddError

#: How much a mask's aspect may differ from its image's: a rounded size of a shrunk mask.
_ASPECT = 0.02
#: A mask that marks this share of the image and of its outermost pixels looks inverted.
_INVERTED = 0.5


class TruthReader:
    """Reads masks one by one, and says in the end which of them cannot be used.

    Args:
        category: what is wrong with a mask is noted there, and the mask taken from its image.
    """

    def __init__(self, category: Category) -> None:
        self._category = category
        self._rejected: dict[Path, str] = {}
        self._inverted: list[Path] = []
        self._read = 0

    def read(self, item: TestImage, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """The mask of a test image: bool, of the image's height and width.

        Args:
            item: the image.
            shape: its height, width(, channels).

        Returns:
            None where it has no usable mask.
        """
        if item.mask is None:
            return None
        found = [self._read_one(path, shape) for path in (item.mask, *item.more_masks)]
        # Without one of them, what it marks would count as good.
        whole = [mask for mask in found if mask is not None]
        if len(whole) < len(found):
            return None
        together: NDArray[np.bool_] = np.logical_or.reduce(whole)
        if not together.any():
            self._rejected[item.mask] = "the mask marks nothing, although its image is in a folder of defects"
            return None
        return together

    def _read_one(self, path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        try:
            mask = read_mask(path)
        except DmddError as error:
            self._rejected[path] = error.message
            return None
        height, width = shape[:2]
        if abs(mask.shape[1] * height / (mask.shape[0] * width) - 1) > _ASPECT:
            self._rejected[path] = "the mask has another shape than its image"
            return None
        if mask.shape != (height, width):
            self._category.note(path, "the mask has another size than its image and is scaled to it")
        self._read += 1
        border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        if mask.mean() > _INVERTED and border.mean() > _INVERTED:
            self._inverted.append(path)
        return fit_mask(mask, shape)

    def reject(self) -> set[Path]:
        """Note all masks that are not used in the category; returns their files."""
        if 2 * len(self._inverted) >= self._read:
            reason = "the mask marks most of the image; if it is inverted, make the defect white"
            self._rejected |= dict.fromkeys(self._inverted, reason)
        else:
            for path in self._inverted:
                self._category.note(path, "the mask marks most of the image")
        for path, reason in self._rejected.items():
            self._category.drop_mask(path, reason)
        return set(self._rejected)
