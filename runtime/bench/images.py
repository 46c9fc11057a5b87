"""The images that a measurement uses in rotation."""

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
from dmdd_edge.errors import DataError, DmddError, SourceError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.sources import SourceOptions, open_source
from dmdd_edge.runtime.strips import Strip

#: Most images that are held in memory, and bytes after which no further one is.
MOST, MOST_BYTES = 32, 1 << 30


@dataclass(frozen=True)
class ImageSet:
    """Images in memory, used in rotation.

    Attributes:
        frames: at least one; uint8 H x W x 3 BGR.
        files: the file of each, to be read and decoded again; empty where they are not from image files.
        kind: ``source``, ``strip``, ``test images`` or ``generated``.
        origin: one line for a person.
        strips: which part of a web each frame shows, with the rows in front of it; empty where they are none.
    """

    frames: tuple[NDArray[np.uint8], ...] = field(repr=False)
    files: tuple[Path, ...]
    kind: str
    origin: str
    strips: tuple[Strip, ...] = field(default=(), repr=False)

    @property
    def strip(self) -> int | None:
        """``--strip`` of these frames, in rows; None where they are no strips of a web."""
        return self.strips[0].overlap if self.strips else None

    def frame(self, index: int, image: NDArray[np.uint8] | None = None) -> Frame:
        """One of the frames, or the same one read again."""
        strip = self.strips[index] if self.strips else None
        return Frame(self.frames[index] if image is None else image, strip=strip)

    def __len__(self) -> int:
        return len(self.frames)

    def as_dict(self) -> dict[str, Any]:
        """Their part of a result."""
        sizes = sorted({f"{frame.shape[1]}x{frame.shape[0]}" for frame in self.frames})
        return {"kind": self.kind, "origin": self.origin, "count": len(self), "sizes": sizes}

    def prepared(self, manifest: Manifest) -> NDArray[np.uint8]:
        """All of them, or of tiled ones some tiles, as the graph's input: uint8 N x S x S x 3 BGR.

        Raises:
            DmddError: the region of interest does not fit one of them.
        """
        if manifest.preprocess.tiling is not None:
            return self._tiles(manifest)
        return np.stack([self._view(index, manifest) for index in range(len(self))])

    def tiles_per_image(self, manifest: Manifest) -> tuple[int, ...]:
        """Number of inputs of the network for each image; ascending, each number once."""
        geometry, size = manifest.preprocess.geometry, manifest.image_size
        return tuple(sorted({geometry(frame.shape, size).layout.count for frame in self.frames}))

    def _view(self, index: int, manifest: Manifest) -> NDArray[np.uint8]:
        name = str(self.files[index]) if self.files else None
        return manifest.preprocess.prepare(self.frames[index], manifest.image_size, name)

    def _tiles(self, manifest: Manifest) -> NDArray[np.uint8]:
        """The first tiles of each image, at most ``MOST`` in all."""
        each = -(-MOST // len(self))
        geometry, size = manifest.preprocess.geometry, manifest.image_size
        tiles = [
            geometry(self.frames[index].shape, size).layout.cut(self._view(index, manifest), 0, each)
            for index in range(len(self))
        ]
        return np.concatenate(tiles)[:MOST]


def choose_images(
    manifest: Manifest,
    source: str | None = None,
    data: Path | None = None,
    most: int = MOST,
    strip: int | None = None,
) -> ImageSet:
    """The images for a bundle: from the source, else the category's test images, else generated.

    Args:
        manifest: the bundle's.
        source: as for ``run --source``; of a video or a camera, its first frames.
        data: a data set that contains the bundle's category.
        most: largest number of images; chosen evenly from all.
        strip: the frames of the source are consecutive strips of a web; this many rows are put in front of
            each, and the first ones are taken.

    Raises:
        DmddError: the source or the data set cannot be read.
    """
    if source is not None:
        return _from_source(source, most, manifest.preprocess.bits, strip)
    if data is not None:
        category = load_category(data, manifest.category, for_training=False)
        return from_category(category, most, manifest.preprocess.bits)
    return generated(manifest)


def from_category(category: Category, most: int = MOST, bits: int = 16) -> ImageSet:
    """A category's test images, some of each kind; ``bits`` as for ``images.read_image``.

    Raises:
        DataError: the category has no test images, or none is readable.
    """
    category.require_test()
    chosen = _evenly([item.path for item in category.test], most)
    readable: list[tuple[Path, NDArray[np.uint8]]] = []
    for item in read_images(chosen, category.skip, bits):
        readable.append(item)
        if sum(image.nbytes for _, image in readable) >= MOST_BYTES:
            break
    if not readable:
        raise DataError(
            f"None of the {len(chosen)} test images of {category.name} is readable.",
            f"Check the files in {category.root}/test.",
        )
    files = tuple(path for path, _ in readable)
    return ImageSet(
        tuple(image for _, image in readable), files, "test images", f"test images of {category.name}"
    )


def generated(manifest: Manifest, count: int = 8) -> ImageSet:
    """Noise of the graph's own size, or of three by three tiles, for want of images; no files to decode."""
    rng, tiling = np.random.default_rng(0), manifest.preprocess.tiling
    size = manifest.image_size if tiling is None else 3 * tiling.tile - 2 * tiling.overlap
    x, y, w, h = manifest.preprocess.roi or (0, 0, size, size)
    rows, columns = manifest.preprocess.only_size or (y + h, x + w)
    count = max(min(count, MOST_BYTES // (3 * rows * columns)), 1)
    frames = rng.integers(0, 256, (count, rows, columns, 3), dtype=np.uint8)
    return ImageSet(tuple(frames), (), "generated", "generated noise, not images")


def _from_source(text: str, most: int, bits: int, strip: int | None) -> ImageSet:
    source = open_source(text, SourceOptions(strip=strip))
    if strip is None and source.total is not None and source.total > most:
        source = open_source(text, SourceOptions(every=-(-source.total // most)))
    source.bits = bits
    frames: list[Frame] = []
    held = 0
    first_error: DmddError | None = None
    for frame in source:
        if isinstance(frame, Frame):
            frames.append(frame)
            held += frame.image.nbytes
            if len(frames) == most or held >= MOST_BYTES:
                break
        else:
            first_error = first_error or frame.error
    source.stop()
    if not frames:
        raise first_error or SourceError(f"{text} contains no images.", "Name another with --source.")
    paths = [Path(frame.source) for frame in frames]
    # The file of a strip lacks the rows in front.
    files = strip is None and all(path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() for path in paths)
    return ImageSet(
        tuple(frame.image for frame in frames),
        tuple(paths) if files else (),
        "source" if strip is None else "strip",
        source.state().name + ("" if strip is None else f", strips with {strip} rows of the one before"),
        tuple(frame.strip for frame in frames if frame.strip is not None),
    )


def _evenly(paths: Sequence[Path], most: int) -> list[Path]:
    """At most ``most`` of the paths, the first and the last among them."""
    if len(paths) <= most:
        return list(paths)
    return [paths[round(index * (len(paths) - 1) / (most - 1))] for index in range(most)]
