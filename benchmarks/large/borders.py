"""What the joining of tiles leaves to be seen: defects on borders and corners, a grid, one tile over all.

    python benchmarks/large/borders.py --scratch DIR [--size 1024]

Takes the run and the mean map of 100 good images that ``false_alarms.py`` keeps in the folder. Each defect is
judged at places of the same drawn part that differ only in where the tiles are, so that what changes is due
to the tiles alone. Measured as ``train`` joins tiles now, with the overlap of an eighth of earlier releases,
and without an overlap.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
import cv2
import numpy as np
import torch

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.evaluation.tiled import infer_tiles
from dmdd_edge.sample.panel import Panel
from dmdd_edge.sample.write import draw
from dmdd_edge.train.evaluation import torch_predictor
from large.accuracy import LIBRARIES
from large.false_alarms import MEANS, trained
from large.mean_maps import MeanMaps
from large.passes import Maps, Predict, without_tiles
from large.sets import Image, Mask

#: Drawn parts with a defect, and places of each: on a border, on a corner, inside a tile.
PARTS, ON_BORDER, ON_CORNER, INSIDE = 10, 10, 10, 5

#: Parts that are measured with other ways of joining, for comparison.
PARTS_COMPARED = 5

#: Type of the defects.
DEFECT = "024px"

#: Threshold of the map, as a share of the defect's mean peak inside a tile.
LEVEL = 0.7

#: Pixels beyond the overlap at which a defect's center still counts as on the border.
_BEYOND = 16


def places(tile: int, overlap: int, rng: np.random.Generator) -> list[tuple[str, int, int]]:
    """Where a defect's center is in a crop of two by two tiles: kind of place, x, y in source pixels."""
    near = tile - overlap - _BEYOND, tile + _BEYOND
    inside = tile // 2, tile - overlap - 2 * _BEYOND
    found = []
    for kind, count in (("border", ON_BORDER), ("corner", ON_CORNER), ("inside", INSIDE)):
        for index in range(count):
            spans = {"border": (near, inside), "corner": (near, near), "inside": (inside, inside)}[kind]
            x, y = (int(rng.integers(*span)) for span in (spans if index % 2 else spans[::-1]))
            found.append((kind, x, y))
    return found


def on_borders(
    predict: Predict,
    preprocess: Preprocess,
    size: int,
    parts: Iterable[tuple[Image, Mask, int, int]],
) -> dict[str, Any]:
    """Regions and areas of defects by kind of place.

    Args:
        predict: the network.
        preprocess: with the tiling.
        size: S.
        parts: images of a part with a defect, their masks, and the column and row of the defect's center.

    Returns:
        by kind of place: number of places, places by number of regions that touch the defect, and the area
        of these regions over the mean area of the same defect inside a tile (median, 5 % and 95 %).
    """
    tiling = preprocess.tiling
    assert tiling is not None
    side = 2 * tiling.tile - tiling.overlap
    regions: dict[str, Counter[int]] = {}
    areas: dict[str, list[float]] = {}
    for number, (image, mask, x, y) in enumerate(parts):
        maps: list[tuple[str, Maps, Mask]] = []
        for kind, u, v in places(tiling.tile, tiling.overlap, np.random.default_rng([21, number])):
            crop = slice(y - v, y - v + side), slice(x - u, x - u + side)
            geometry = preprocess.geometry((side, side), size)
            view = preprocess.prepare(np.ascontiguousarray(image[crop]), size)
            layout = replace(geometry.layout, tiling=tiling.model_copy(update={"coarse": False}))
            shown = preprocess.prepare_mask(mask[crop], size)
            maps.append((kind, infer_tiles(predict, view, layout)[0], shown))
        level = LEVEL * np.mean([joined[shown].max() for kind, joined, shown in maps if kind == "inside"])
        of_part: dict[str, list[float]] = {}
        for kind, joined, shown in maps:
            touched = _touching(joined, float(level), shown)
            regions.setdefault(kind, Counter())[len(touched)] += 1
            of_part.setdefault(kind, []).append(sum(touched))
        whole = float(np.mean(of_part["inside"]))
        for kind, values in of_part.items():
            areas.setdefault(kind, []).extend(value / whole for value in values if whole)
    return {
        kind: {
            "places": sum(count.values()),
            "regions": {str(number): count[number] for number in sorted(count)},
            "area": [
                round(float(value), 3) for value in np.quantile(areas[kind] or [0.0], (0.5, 0.05, 0.95))
            ],
        }
        for kind, count in regions.items()
    }


def drawn_parts(
    tile: int, overlap: int, count: int = PARTS, size: int = 1024
) -> Iterator[tuple[Image, Mask, int, int]]:
    """Drawn parts with a defect that has room for the crops of all ``places``, and its center."""
    least, most = tile + _BEYOND, size - (2 * tile - overlap) + tile // 2
    panel = Panel(size, size)
    for number in range(count):
        for index in itertools.count():
            image, mask = draw(panel, 21, f"border{number}", index, DEFECT)
            x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
            center = x + width // 2, y + height // 2
            if all(least <= at <= most for at in center):
                yield image, mask, *center
                break


def _touching(joined: Maps, level: float, mask: Mask) -> list[int]:
    """Pixels of each region of a map above a threshold that touches a defect."""
    count, labels = cv2.connectedComponents((joined > level).astype(np.uint8), connectivity=8)
    near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    sizes = np.bincount(labels.ravel(), minlength=count)
    return [int(sizes[label]) for label in np.unique(labels[near]) if label]


def grid(mean: Maps, starts: tuple[int, ...], size: int) -> dict[str, float]:
    """How much of the tiles is seen in a mean map, along x.

    Args:
        mean: float32 rows x columns.
        starts: first column of each column of tiles.
        size: S.

    Returns:
        ``step``: the mean step between adjacent columns at the borders of tiles, over the median of the
        columns around them; ``energy``: power at the period of the tiles over the mean of the frequencies
        beside it. Both are about 1 where no grid is seen.
    """
    steps = np.abs(np.diff(mean, axis=1)).mean(0)
    borders = sorted({start for start in starts if start} | {start + size for start in starts[:-1]})
    ratios = []
    for border in borders:
        around = steps[max(border - 13, 0) : border + 12]
        ratios.append(steps[border - 1] / np.median(around))
    profile = mean.mean(0)
    windowed = (profile - profile.mean()) * np.hanning(len(profile))
    frequency = 1 / (starts[1] - starts[0])
    beside = [frequency + offset / len(profile) for offset in (-4, -3, -2, 2, 3, 4)]
    power = [_power(windowed, each) for each in (frequency, *beside)]
    return {
        "step": round(float(np.mean(ratios)), 3),
        "energy": round(float(power[0] / np.mean(power[1:])), 3),
    }


def _power(values: Maps, frequency: float) -> float:
    """Power of a signal at a frequency in periods a sample."""
    turned = values * np.exp(-2j * np.pi * frequency * np.arange(len(values)))
    return float(np.abs(turned.sum()) ** 2)


def same_as_whole(predict: Predict, preprocess: Preprocess, size: int, image: Image) -> float:
    """Largest difference of the joined map to that of the stretched image, where one tile covers all."""
    tiling = preprocess.tiling
    assert tiling is not None
    one = tiling.model_copy(update={"tile": image.shape[0], "overlap": 64})
    maps = []
    for way in (preprocess.model_copy(update={"tiling": one}), without_tiles(preprocess)):
        layout = way.geometry(image.shape, size).layout
        maps.append(infer_tiles(predict, way.prepare(image, size), layout)[0])
    return float(np.abs(maps[0] - maps[1]).max())


def main() -> None:
    """Measure one run."""
    parser = common.parser(__doc__, "large_borders")
    parser.add_argument("--scratch", type=Path, required=True, help="folder of false_alarms.py")
    parser.add_argument("--size", type=int, default=1024, help="side of the panels, as for false_alarms.py")
    parser.add_argument("--figure", type=Path, help="write the mean map of the good images as an image")
    options = parser.parse_args()
    machine = common.begin()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    run = trained(options.scratch, Panel(options.size, options.size))
    preprocess, size, predict = run.config.preprocess, run.config.model.image_size, torch_predictor(run.model)
    tiling = preprocess.tiling
    assert tiling is not None
    found: dict[str, Any] = {}
    for overlap, margin in ((tiling.overlap, tiling.margin), (tiling.tile // 8, 0), (0, 0)):
        joined_by = tiling.model_copy(update={"overlap": overlap, "margin": margin})
        other = preprocess.model_copy(update={"tiling": joined_by})
        count = PARTS if joined_by == tiling else PARTS_COMPARED
        parts = drawn_parts(tiling.tile, overlap, count, options.size)
        name = f"overlap {overlap}, margin {margin}"
        found[name] = on_borders(predict, other, size, parts)
        print(name, found[name], flush=True)
    whole = same_as_whole(
        predict, preprocess, size, draw(Panel(options.size, options.size), 21, "whole", 0)[0]
    )
    kept = MeanMaps.read(options.scratch / MEANS)
    layout = preprocess.geometry((options.size, options.size), size).layout
    means = kept.means()
    grids = {
        name: {
            "x": grid(mean, layout.columns, size),
            "y": grid(np.ascontiguousarray(mean.T), layout.rows, size),
        }
        for name, mean in means.items()
    }
    if options.figure is not None:
        _draw(means["falling weights"], options.figure)
    settings = {
        "size": options.size,
        "tile": tiling.tile,
        "overlap": tiling.overlap,
        "margin": tiling.margin,
        "image_size": size,
        "steps": run.info["steps"],
        "batch_size": run.config.batch_size,
        "defect": DEFECT,
        "parts": PARTS,
        "level": LEVEL,
    }
    figures = {"places": found, "good": kept.count, "grid": grids, "whole_difference": whole}
    common.write_result(options.out, machine, settings, figures, LIBRARIES)


def _draw(mean: Maps, file: Path) -> None:
    """Draw a mean map, dark is 0 and bright its largest value."""
    shown = cv2.applyColorMap(np.rint(mean / mean.max() * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), cv2.resize(shown, (512, 512), interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    main()
