"""Warnings about the training images, before time is spent on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.datasets.remarks import count
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.train.tile_choice import USUAL_DEFECT, lost_below

#: With fewer good images than this there is a warning.
FEW = 20
#: Sides that are suggested instead.
_SIDES = (512, 768, 1024)
#: Largest value, of 255, of a 12-bit image that is read as 16-bit.
_DARK = 16
#: Aspects differ when one is this many times the other.
_ASPECT = 1.1


def doubts(
    shapes: Mapping[tuple[int, int], int], size: int, preprocess: Preprocess | None = None
) -> list[str]:
    """Warnings on number and sizes of the images, one line each.

    Args:
        shapes: number of images by width and height in pixels, after cropping to the region of interest.
        size: side of the network's input in pixels.
        preprocess: what becomes of them; None stretches each to one input.
    """
    preprocess = preprocess or Preprocess()
    number = sum(shapes.values())
    lines = []
    if number < FEW:
        lines.append(
            f"{count(number, 'good image')} {'is' if number == 1 else 'are'} few: a good part that looks "
            f"different from them is reported as anomalous; {FEW} or more, from different days, are better"
        )
    if preprocess.tiling is not None:
        if len(shapes) > 1:
            lines.append(f"{_sizes(shapes)}; their tiles have one scale")
        return lines
    if len(shapes) > 1:
        lines.append(_mixed(shapes, size, preprocess))
    if lost := not_inspected(preprocess, shapes, size):
        lines.append(lost)
    # The largest ones lose most, however few they are.
    side_of = min if preprocess.fit == "crop" else max
    width, height = max(shapes, key=side_of)
    pixels = side_of(width, height) / size
    of_all = f" ({shapes[width, height]} of {number})" if len(shapes) > 1 else ""
    if lost_below(pixels) > USUAL_DEFECT:
        side = next((side for side in _SIDES if side > size), None)
        larger = f", --image-size {side}" if side else ""
        lines.append(
            f"images of {width} x {height} pixels{of_all} are reduced to {size} x {size}: a defect smaller "
            f"than about {lost_below(pixels)} pixels of the original image is likely missed; use --tile auto "
            f"--smallest-defect {USUAL_DEFECT:g}px{larger}, or --roi X,Y,W,H to cut out the part"
        )
    return lines


def not_inspected(preprocess: Preprocess, shapes: Mapping[tuple[int, int], int], size: int) -> str:
    """What a crop leaves out of the images, for a person; empty where it is nothing.

    Args:
        preprocess: what becomes of the images.
        shapes: as for ``doubts``.
        size: side of the network's input in pixels.
    """
    plain = Preprocess(fit=preprocess.fit)
    shares = [(plain.geometry((h, w), size).cropped, number) for (w, h), number in shapes.items()]
    worst, affected = max(shares)[0], sum(number for share, number in shares if share > 0)
    if affected == 0:
        return ""
    return (
        f"--fit crop: up to {worst:.1%} of the area of {count(affected, 'image')} is not inspected; "
        "--fit pad inspects all of it"
    )


def dark(images: Iterable[NDArray[np.uint8]], bits: int) -> list[str]:
    """Warn of nearly black images, as 12 bits in a 16-bit file that is read as 16-bit.

    Args:
        images: as the network gets them, uint8.
        bits: number of bits used of 16-bit files.
    """
    brightest = max((int(image.max()) for image in images), default=255)
    if bits < 16 or brightest > _DARK:
        return []
    return [
        f"the images are nearly black (at most {brightest} of 255): if they are 16-bit files of a camera "
        "that delivers 12 bits, use --bits 12"
    ]


def _sizes(shapes: Mapping[tuple[int, int], int]) -> str:
    listed = [f"{number} of {width} x {height}" for (width, height), number in Counter(shapes).most_common(3)]
    more = f" and {count(len(shapes) - 3, 'more size')}" if len(shapes) > 3 else ""
    return f"the images have {len(shapes)} sizes ({', '.join(listed)}{more})"


def _mixed(shapes: Mapping[tuple[int, int], int], size: int, preprocess: Preprocess) -> str:
    how = {"stretch": "stretched", "pad": "padded", "crop": "cropped"}[preprocess.fit]
    text = f"{_sizes(shapes)}; each is {how} to {size} x {size}"
    aspects = [width / height for width, height in shapes]
    if preprocess.fit == "stretch" and max(aspects) > _ASPECT * min(aspects):
        return f"{text}, so that parts look different in them; use images of one camera setting"
    return text
