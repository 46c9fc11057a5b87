"""The sets of large images: drawn panels, and screws, one an image or nine on a canvas.

Nothing of a data set is kept: a canvas is composed from its images when it is needed, or in a scratch folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import list_images, read_image, read_mask
from dmdd_edge.sample import write_sample
from dmdd_edge.sample.panel import Panel
from dmdd_edge.sample.write import draw

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

#: Training images of the screws; the other good training images are held out.
SCREWS_TRAINED = 240

#: Side of a canvas of nine screws, and screws along it.
CANVAS, ALONG = 2048, 3


@dataclass(frozen=True)
class Item:
    """An image that is judged.

    Attributes:
        name: unique in its set.
        defect: "good" or the defect's type.
        held_out: sets the threshold; else it is a test image.
        make: draws or composes it: uint8 H x W x 3 BGR and its mask, bool H x W.
    """

    name: str
    defect: str
    held_out: bool
    make: Callable[[], tuple[Image, Mask]]


@dataclass(frozen=True)
class Counts:
    """How many images: to train on, held out, good test images, and defective ones of each type."""

    train: int = 40
    held_out: int = 100
    good: int = 20
    bad: int = 5


class LargeSet(Protocol):
    """A set of images."""

    @property
    def name(self) -> str:
        """Name of the set and of its training folder."""

    def write_training(self, folder: Path, counts: Counts) -> None:
        """Write the training images as a category of ``folder``, unless they are there."""

    def items(self, counts: Counts) -> Iterator[Item]:
        """The images that are judged."""


@dataclass(frozen=True)
class Plates:
    """Drawn panels of one size."""

    size: int
    seed: int = 20

    @property
    def name(self) -> str:
        """Name of the set and of its training folder."""
        return f"plates{self.size}"

    def write_training(self, folder: Path, counts: Counts) -> None:
        """Draw the training images, unless they are there."""
        if not (folder / self.name).exists():
            write_sample(
                folder,
                self.name,
                train=counts.train,
                test_good=0,
                test_bad=0,
                size=self.size,
                part="panel",
                seed=self.seed,
            )

    def items(self, counts: Counts) -> Iterator[Item]:
        """The images that are judged; none is a training image."""
        panel = Panel(self.size, self.size)
        for split, defect, count in (
            ("holdout", None, counts.held_out),
            ("good", None, counts.good),
            *(("bad", defect, counts.bad) for defect in panel.defects),
        ):
            for index in range(count):
                yield Item(
                    f"{split}-{defect or 'good'}-{index:03d}",
                    defect or "good",
                    split == "holdout",
                    partial(draw, panel, self.seed, split, index, defect),
                )


@dataclass(frozen=True)
class Screws:
    """The screws of MVTec AD: nine on a canvas, where one of nine is defective, or one an image.

    Attributes:
        root: folder of the category.
        nine: whether nine are on a canvas.
    """

    root: Path
    nine: bool

    @property
    def name(self) -> str:
        """Name of the set and of its training folder."""
        return "screws9" if self.nine else "screw1"

    def write_training(self, folder: Path, counts: Counts) -> None:
        """Compose the canvases, or link to the images of one screw, unless they are there."""
        good = folder / self.name / "train" / "good"
        paths = self._good("train")[:SCREWS_TRAINED]
        if good.exists():
            return
        partial = good.with_name("partial")
        partial.mkdir(parents=True, exist_ok=True)
        for index in range(counts.train if self.nine else len(paths)):
            file = partial / f"{index:03d}.png"
            if self.nine:
                cv2.imwrite(str(file), self._canvas(paths, None, [1, index])[0])
            else:
                file.unlink(missing_ok=True)
                file.symlink_to(paths[index].resolve())
        partial.rename(good)

    def items(self, counts: Counts) -> Iterator[Item]:
        """The images that are judged; half of the defective screws."""
        held, good = self._good("train")[SCREWS_TRAINED:], self._good("test")
        bad = [path for path in list_images(self.root / "test", recursive=True) if path.parent.name != "good"]
        for held_out, paths, stream, count in (
            (True, held, 2, counts.held_out),
            (False, good, 3, counts.good),
        ):
            for index in range(count if self.nine else len(paths)):
                yield Item(
                    f"{'holdout' if held_out else 'good'}-{index:03d}",
                    "good",
                    held_out,
                    partial(self._canvas, paths, None, [stream, index])
                    if self.nine
                    else partial(self._one, paths[index]),
                )
        for index, path in enumerate(bad[::2]):
            yield Item(
                f"bad-{path.parent.name}-{path.stem}",
                path.parent.name,
                False,
                partial(self._canvas, good, path, [4, index]) if self.nine else partial(self._one, path),
            )

    def _good(self, split: str) -> list[Path]:
        return list_images(self.root / split / "good")

    def _one(self, path: Path) -> tuple[Image, Mask]:
        """One screw and its mask."""
        image = read_image(path)
        truth = self.root / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
        return image, read_mask(truth) if truth.exists() else np.zeros(image.shape[:2], np.bool_)

    def _canvas(self, good: list[Path], bad: Path | None, key: list[int]) -> tuple[Image, Mask]:
        """Nine screws, one of them ``bad`` unless that is None; the same key gives the same canvas."""
        rng = np.random.default_rng([20, *key])
        chosen = [good[index] for index in rng.choice(len(good), ALONG**2, replace=False)]
        if bad is not None:
            chosen[rng.integers(ALONG**2)] = bad
        cells = []
        for path in chosen:
            image, mask = self._one(path)
            around = _around(image.shape[0])
            cells.append(
                (
                    cv2.copyMakeBorder(image, *around, *around, cv2.BORDER_REPLICATE),
                    cv2.copyMakeBorder(mask.view(np.uint8), *around, *around, cv2.BORDER_CONSTANT, value=0),
                )
            )
        whole = [
            np.vstack([np.hstack([cell[part] for cell in cells[row : row + ALONG]]) for row in (0, 3, 6)])
            for part in (0, 1)
        ]
        short = CANVAS - whole[0].shape[0]
        canvas = cv2.copyMakeBorder(whole[0], 0, short, 0, short, cv2.BORDER_REPLICATE)
        truth = cv2.copyMakeBorder(whole[1], 0, short, 0, short, cv2.BORDER_CONSTANT, value=0)
        return np.asarray(canvas, np.uint8), np.asarray(truth) > 0


def _around(side: int) -> tuple[int, int]:
    """Pixels before and after an image that fill its cell of the canvas."""
    left = (CANVAS // ALONG - side) // 2
    return left, CANVAS // ALONG - side - left
