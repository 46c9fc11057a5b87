"""Which mask belongs to which test image."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.data.datasets.roles import plain
from dmdd_edge.data.images import IMAGE_SUFFIXES

_WORD = r"(?:mask|masks|gt|ground_?truth|label|labels|seg|segmentation|annotation|anno|truth)"
_AFFIX = re.compile(rf"^{_WORD}[-_. ]+|[-_. ]+{_WORD}(?:[-_. ]?\d{{1,2}})?$")
#: The number of one of several masks of an image: ``000_mask_2``.
_NUMBER = re.compile(rf"(?<=[-_. ])({_WORD})[-_. ]?\d{{1,2}}$")


@dataclass(frozen=True)
class Placed:
    """A file and the names of its folders, as `plain` makes them, without splits and mask folders."""

    path: Path
    keys: tuple[str, ...]


@dataclass
class Pairing:
    """Masks by image, and those that are left over with the reason."""

    masks: dict[Path, tuple[Path, ...]]
    left_over: list[tuple[Path, str]]


def bare_stem(path: Path) -> str:
    """A mask's stem without the word for a mask and without its image's suffix: ``000.png_GT`` is ``000``."""
    stem = _AFFIX.sub("", plain(path.stem), count=1)
    for suffix in IMAGE_SUFFIXES:
        stem = stem.removesuffix(suffix)
    return stem


def pair(images: Sequence[Placed], masks: Sequence[Placed]) -> Pairing:
    """Find each image's masks where that is unambiguous.

    A mask has its image's name, with or without a word such as ``_mask``, ``-GT`` or ``mask_``. It is
    looked for in the folder of the image's own path among the masks, then in that of the defect, then among
    all masks without a folder (there also as ``<defect>_<name>``), then in a folder of the image's name,
    which holds all masks of this image. Masks that differ in a number behind that word alone (``_mask_1``)
    belong together. A mask that fits several images is given to none of them.
    """
    index: dict[tuple[tuple[str, ...], str], list[Path]] = defaultdict(list)
    inside: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for mask in masks:
        inside[mask.keys].append(mask.path)
        for stem in {plain(mask.path.stem), bare_stem(mask.path)}:
            index[mask.keys, stem].append(mask.path)
    folders = {image.keys[:depth] for image in images for depth in range(1, len(image.keys) + 1)}
    chosen = {image.path: found for image in images if (found := _find(image, index, inside, folders))}
    claims = Counter(mask for found in chosen.values() for mask in found)
    left_over = [
        (mask, "the mask fits several images, so none of them has it") for mask in claims if claims[mask] > 1
    ]
    alone = {image: found for image, found in chosen.items() if all(claims[mask] == 1 for mask in found)}
    pairing = Pairing(alone, left_over)
    pairing.left_over += [
        (mask.path, "the mask fits no defective test image") for mask in masks if mask.path not in claims
    ]
    return pairing


def _find(
    image: Placed,
    index: Mapping[tuple[tuple[str, ...], str], list[Path]],
    inside: Mapping[tuple[str, ...], list[Path]],
    folders: set[tuple[str, ...]],
) -> tuple[Path, ...]:
    stem, keys = plain(image.path.stem), image.keys
    for place in ((keys, stem), (keys[:1], stem), ((), stem), ((), "_".join((*keys[:1], stem)))):
        if place in index:
            return _together(index[place], place[1])
    for own in ((*keys, stem), (stem,)):
        if own in inside and own not in folders:
            return tuple(inside[own])
    return ()


def _together(masks: Sequence[Path], stem: str) -> tuple[Path, ...]:
    """The mask that is preferred, with those that differ from it in their number alone."""
    first = min(masks, key=lambda path: _preference(path, stem))
    form = _form(first)
    return (first, *(mask for mask in masks if mask != first and form != stem and _form(mask) == form))


def _form(mask: Path) -> str:
    return _NUMBER.sub(r"\1", plain(mask.stem))


def _preference(mask: Path, stem: str) -> tuple[int, str]:
    """The image's own name goes before ``_mask``, and that before other words."""
    own = plain(mask.stem)
    return [stem, f"{stem}_mask", own].index(own), mask.name
