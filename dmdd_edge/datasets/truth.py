"""Which mask belongs to which test image."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.datasets.roles import plain
from dmdd_edge.images import IMAGE_SUFFIXES

_WORD = r"(?:mask|masks|gt|ground_?truth|label|labels|seg|segmentation|annotation|anno|truth)"
_AFFIX = re.compile(rf"^{_WORD}[-_. ]+|[-_. ]+{_WORD}$")


@dataclass(frozen=True)
class Placed:
    """A file and the names of its folders, as `plain` makes them, without splits and mask folders."""

    path: Path
    keys: tuple[str, ...]


@dataclass
class Pairing:
    """Masks by image, and those that are left over with the reason."""

    masks: dict[Path, Path]
    left_over: list[tuple[Path, str]]


def bare_stem(path: Path) -> str:
    """A mask's stem without the word for a mask and without its image's suffix: ``000.png_GT`` is ``000``."""
    stem = _AFFIX.sub("", plain(path.stem), count=1)
    for suffix in IMAGE_SUFFIXES:
        stem = stem.removesuffix(suffix)
    return stem


def pair(images: Sequence[Placed], masks: Sequence[Placed]) -> Pairing:
    """Find each defective image's mask where that is unambiguous.

    A mask has its image's name, with or without a word such as ``_mask``, ``-GT`` or ``mask_``. It is
    looked for in the folder of the image's own path among the masks, then in that of the defect, then among
    all masks without a folder (there also as ``<defect>_<name>``), then in a folder of the image's name that
    holds nothing else. A mask that fits several images is given to none of them.
    """
    index: dict[tuple[tuple[str, ...], str], list[Path]] = defaultdict(list)
    inside = Counter(mask.keys for mask in masks)
    for mask in masks:
        for stem in {plain(mask.path.stem), bare_stem(mask.path)}:
            index[mask.keys, stem].append(mask.path)
    chosen = {image.path: found for image in images if (found := _find(image, index, inside)) is not None}
    claims = Counter(chosen.values())
    left_over = [
        (mask, "the mask fits several images, so none of them has it") for mask in claims if claims[mask] > 1
    ]
    pairing = Pairing({image: mask for image, mask in chosen.items() if claims[mask] == 1}, left_over)
    used = set(claims)
    pairing.left_over += [
        (mask.path, "the mask fits no defective test image") for mask in masks if mask.path not in used
    ]
    return pairing


def _find(
    image: Placed,
    index: Mapping[tuple[tuple[str, ...], str], list[Path]],
    inside: Mapping[tuple[str, ...], int],
) -> Path | None:
    stem, keys = plain(image.path.stem), image.keys
    places = [(keys, stem), (keys[:1], stem), ((), stem), ((), "_".join((*keys[:1], stem)))]
    places += [(own, stem) for own in ((*keys, stem), (stem,)) if inside.get(own) == 1]
    for place in places:
        if place in index:
            return min(index[place], key=lambda path: _preference(path, stem))
    return None


def _preference(mask: Path, stem: str) -> tuple[int, str]:
    """The image's own name goes before ``_mask``, and that before other words."""
    own = plain(mask.stem)
    return [stem, f"{stem}_mask", own].index(own), mask.name
