"""The images that a measurement takes in rotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.manifest import Manifest
from dmdd_edge.data.datasets import Category, load_category, read_images
from dmdd_edge.data.images import IMAGE_SUFFIXES
from dmdd_edge.errors import DmddError, OptionError, SourceError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.sources import SourceOptions, open_source

#: So many images at most are kept in memory.
MOST = 32


@dataclass(frozen=True)
class Pictures:
    """Images in memory, taken one after the other, over and over.

    Attributes:
        frames: at least one.
        files: the file of each, to be read and decoded again; empty where they are from no image files.
        kind: ``source``, ``test images`` or ``generated``.
        origin: one line for a person.
    """

    frames: tuple[NDArray[np.uint8], ...] = field(repr=False)
    files: tuple[Path, ...]
    kind: str
    origin: str

    def __len__(self) -> int:
        return len(self.frames)

    def as_dict(self) -> dict[str, Any]:
        """What a result says of them."""
        sizes = sorted({f"{frame.shape[1]}x{frame.shape[0]}" for frame in self.frames})
        return {"kind": self.kind, "origin": self.origin, "count": len(self), "sizes": sizes}

    def prepared(self, manifest: Manifest) -> NDArray[np.uint8]:
        """All of them as the graph takes them: uint8 N x S x S x 3 BGR.

        Raises:
            DmddError: the region of interest does not fit one of them.
        """
        size = manifest.image_size
        names: list[str] | list[None] = [str(path) for path in self.files] or [None] * len(self.frames)
        return np.stack(
            [
                manifest.preprocess.prepare(frame, size, name)
                for frame, name in zip(self.frames, names, strict=True)
            ]
        )


def choose_pictures(
    manifest: Manifest, source: str | None = None, data: Path | None = None, most: int = MOST
) -> Pictures:
    """The images for a bundle: of the source, else of the category's test images, else generated.

    Args:
        manifest: the bundle's.
        source: as ``run --source`` takes it; of a video or a camera, its first frames.
        data: a data set that holds the bundle's category.
        most: how many are kept; taken evenly from all.

    Raises:
        DmddError: the source or the data set cannot be read.
    """
    if source is not None:
        return _from_source(source, most, manifest.preprocess.bits)
    if data is not None:
        category = load_category(data, manifest.category, for_training=False)
        return from_category(category, most, manifest.preprocess.bits)
    return generated(manifest)


def from_category(category: Category, most: int = MOST, bits: int = 16) -> Pictures:
    """A category's test images, from each kind of them; ``bits`` as of ``images.read_image``.

    Raises:
        DmddError: it has none, or none that can be read.
    """
    category.require_test()
    chosen = _evenly([item.path for item in category.test], most)
    found = list(read_images(chosen, category.skip, bits))
    if not found:
        raise OptionError(
            f"none of the {len(chosen)} test images of {category.name} can be read.",
            f"Check the files in {category.root}/test.",
        )
    files = tuple(path for path, _ in found)
    return Pictures(
        tuple(image for _, image in found), files, "test images", f"test images of {category.name}"
    )


def generated(manifest: Manifest, count: int = 8) -> Pictures:
    """Noise of the graph's own size, where there are no images; there is nothing to decode in it."""
    rng, size = np.random.default_rng(0), manifest.image_size
    x, y, w, h = manifest.preprocess.roi or (0, 0, size, size)
    frames = rng.integers(0, 256, (count, y + h, x + w, 3), dtype=np.uint8)
    return Pictures(tuple(frames), (), "generated", "generated noise, not images")


def _from_source(source: str, most: int, bits: int) -> Pictures:
    opened = open_source(source)
    if opened.total is not None and opened.total > most:
        opened = open_source(source, SourceOptions(every=-(-opened.total // most)))
    opened.bits = bits
    frames: list[Frame] = []
    wrong: DmddError | None = None
    for frame in opened:
        if isinstance(frame, Frame):
            frames.append(frame)
            if len(frames) == most:
                break
        else:
            wrong = wrong or frame.error
    opened.stop()
    if not frames:
        raise wrong or SourceError(f"there is no image in {source}.", "Name one with --source.")
    paths = [Path(frame.source) for frame in frames]
    files = all(path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() for path in paths)
    return Pictures(
        tuple(frame.image for frame in frames), tuple(paths) if files else (), "source", opened.state().name
    )


def _evenly(paths: Sequence[Path], most: int) -> list[Path]:
    """At most so many of the paths, the first and the last among them."""
    if len(paths) <= most:
        return list(paths)
    return [paths[round(index * (len(paths) - 1) / (most - 1))] for index in range(most)]
