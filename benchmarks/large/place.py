"""What the comparison with good parts at the same place finds, and whether it keeps the false-alarm rate.

    python benchmarks/large/place.py --scratch DIR [--size 2048] [--tile 256] [--pool 40] [--bad 2]

Trains on drawn panels, once. The good images are divided in 200 seeded ways: three quarters are held out and
give levels and threshold, as a training does, and the others are tested, with the defective ones. The
decision of ``--score auto`` is measured on panels as they are, on the same panels turned by quarters, and at
any angle and place.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.place_levels import CELL, PlaceLevels, cell_peaks, log_odds
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import PEAK_PIXELS, Tiling, top_mean, with_gain
from dmdd_edge.evaluation.metrics import PRO_LIMIT
from dmdd_edge.evaluation.pixel_counts import PixelCounts
from dmdd_edge.evaluation.test_set import Predictor
from dmdd_edge.evaluation.value_bins import ValueBins
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.export.parity import onnx_predictor
from dmdd_edge.sample.panel import Panel
from dmdd_edge.sample.write import draw
from dmdd_edge.train.coarse_gain import gain_of
from dmdd_edge.train.place_choice import choose_place
from large.accuracy import LIBRARIES
from large.figures import ALPHA, auroc
from large.passes import Maps, Passed, passed
from large.runs import Length, Variant, tiled, trained
from large.sets import Counts, Item, Plates

#: Seeded divisions of the good images, and the share of them that is held out.
SPLITS, HELD_OUT = 200, 0.75
#: Of the panels.
SEED = 20
#: Cells that are looked at first for the largest values of a map beside the levels.
_CELLS = 64


@dataclass
class Joined:
    """One image's joined map without levels, and what its score needs.

    Attributes:
        defect: "good" or the defect's type.
        values: float32 rows x columns.
        coarse_score: of the whole image.
        mask: ground truth of the source image.
    """

    defect: str
    values: Maps
    coarse_score: float
    mask: NDArray[np.bool_]

    @cached_property
    def peaks(self) -> NDArray[np.uint8]:
        """The highest value of each cell."""
        return cell_peaks(self.values)

    @cached_property
    def cells(self) -> Maps:
        """The values of each cell, rows x columns x ``CELL`` x ``CELL``; 0 beyond the map."""
        rows, columns = self.values.shape
        padded = np.pad(self.values, ((0, -rows % CELL), (0, -columns % CELL)))
        down, across = padded.shape[0] // CELL, padded.shape[1] // CELL
        return np.ascontiguousarray(padded.reshape(down, CELL, across, CELL).swapaxes(1, 2))

    def score_beside(self, wide: NDArray[np.uint8]) -> float:
        """The mean of the largest values beside levels, as ``Layout.join`` gives it, without the whole map.

        Only cells whose highest value could be among them are compared.

        Args:
            wide: the levels of the cells, as ``levels_of`` gives them.
        """
        lowest = log_odds(np.asarray(cv2.erode(wide, np.ones((3, 3), np.uint8)), np.uint8))
        bound = (log_odds(self.peaks) - lowest).ravel()
        level, count = log_odds(wide), _CELLS
        while True:
            order = np.argpartition(-bound, min(count, bound.size - 1))
            rows, columns = np.unravel_index(order[:count], wide.shape)
            values = self.cells[rows, columns]
            odds = values / np.maximum(1 - values, np.float32(5e-7)) * np.exp(-_between(level, rows, columns))
            top = np.sort((odds / (1 + odds)).ravel())[-PEAK_PIXELS:]
            rest = bound[order[count:]]
            if not rest.size or top[0] >= 1 / (1 + np.exp(-float(rest.max()))):
                return float(top.mean())
            count *= 2


def _between(level: Maps, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Maps:
    """The levels at the pixels of some cells, n x ``CELL`` x ``CELL``, linear between the cells' centers."""
    shares = []
    for cells, length in ((rows, level.shape[0]), (columns, level.shape[1])):
        place = np.clip(cells[:, None] + (np.arange(CELL) + 0.5) / CELL - 0.5, 0, length - 1)
        below = place.astype(np.intp)
        shares.append((below, np.minimum(below + 1, length - 1), (place - below).astype(np.float32)))
    (up, down, share), (left, right, across) = shares
    upper, lower = (
        level[each[:, :, None], left[:, None, :]] * (1 - across[:, None, :])
        + level[each[:, :, None], right[:, None, :]] * across[:, None, :]
        for each in (up, down)
    )
    return np.asarray(upper * (1 - share[:, :, None]) + lower * share[:, :, None], np.float32)


def levels_of(peaks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The levels of the cells of good images, uint8 n x rows x columns, as ``PlaceLevels`` keeps them."""
    return np.asarray(cv2.dilate(peaks.max(axis=0), np.ones((3, 3), np.uint8)), np.uint8)


def items(panel: Panel, seed: int, pool: int, bad: int) -> list[Item]:
    """The defective images, then the good ones; none is a training image."""
    found = [
        Item(f"bad-{defect}-{index:03d}", defect, False, partial(draw, panel, seed, "bad", index, defect))
        for index in range(bad)
        for defect in panel.defects
    ]
    return found + [
        Item(f"holdout-good-{index:03d}", "good", True, partial(draw, panel, seed, "holdout", index, None))
        for index in range(pool)
    ]


def divided(images: Sequence[Joined], coarse: bool, splits: int = SPLITS) -> list[dict[str, Any]]:
    """Rows of the score of the map, and of the map beside the levels: means over the divisions.

    Args:
        images: good and defective ones.
        coarse: whether the score of the whole image counts too, at the level of the held-out images.
        splits: number of divisions.
    """
    good = [one for one in images if one.defect == "good"]
    bad = [one for one in images if one.defect != "good"]
    stack = np.stack([one.peaks for one in good])
    shape = good[0].values.shape
    source = int(shape[0]), int(shape[1])
    of_map = {id(one): top_mean(one.values) for one in images}
    held = round(HELD_OUT * len(good))
    rows: dict[str, dict[str, Any]] = {
        name: {"false_alarms": [], "auroc": [], "found": {}, "supports": 0.0} for name in ("map", "place")
    }
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(good)).tolist()
        peaks = stack[order[:held]]
        every = levels_of(peaks)
        scores = {"map": [of_map[id(good[index])] for index in order[:held]]}
        scores["place"] = [
            good[index].score_beside(levels_of(np.delete(peaks, place, axis=0)))
            for place, index in enumerate(order[:held])
        ]
        tested = [good[index] for index in order[held:]] + bad
        for name, row in rows.items():
            others = [of_map[id(one)] if name == "map" else one.score_beside(every) for one in tested]
            first = scores[name]
            if coarse:
                gain = gain_of(first, [good[index].coarse_score for index in order[:held]])
                first = [
                    max(value, _leveled(good[index], gain))
                    for value, index in zip(first, order[:held], strict=True)
                ]
                others = [max(value, _leveled(one, gain)) for value, one in zip(others, tested, strict=True)]
            threshold = threshold_from_normals(first, ALPHA)
            row["supports"] = round(max(ALPHA, threshold.attainable), 4)
            row["held_out"] = held
            by_type: dict[str, list[float]] = {}
            for one, value in zip(tested, others, strict=True):
                by_type.setdefault(one.defect, []).append(value)
            row["false_alarms"].append(np.mean(np.array(by_type["good"]) > threshold.image))
            row["auroc"].append(
                auroc([v for k, x in by_type.items() if k != "good" for v in x], by_type["good"])
            )
            for defect, values in by_type.items():
                if defect != "good":
                    row["found"].setdefault(defect, []).append(np.mean(np.array(values) > threshold.image))
    return [
        {
            "score": name,
            "held_out": row["held_out"],
            "supports": row["supports"],
            "false_alarms": round(float(np.mean(row["false_alarms"])), 4),
            "image_auroc": round(float(np.mean(row["auroc"])), 4),
            "found": {defect: round(float(np.mean(each)), 4) for defect, each in row["found"].items()},
            "pro": _pro(
                images,
                None if name == "map" else PlaceLevels.of(stack[:held], source),
                held,
            ),
        }
        for name, row in rows.items()
    ]


def _leveled(one: Joined, gain: float) -> float:
    return float(with_gain(np.array([one.coarse_score], np.float32), gain)[0])


def _pro(images: Sequence[Joined], levels: PlaceLevels | None, held: int) -> dict[str, float | None]:
    """PRO of all types and of each, with the good images that gave no levels."""
    bins: ValueBins | None = None
    counts: dict[str, PixelCounts] = {}
    seen = 0
    for one in images:
        if one.defect == "good":
            seen += 1
            if seen <= held:
                continue
        values = one.values.copy()
        values = values if levels is None else levels.beside(values, (values.shape[0], values.shape[1]))
        bins = bins or ValueBins.of(values)
        counts.setdefault(one.defect, PixelCounts.empty(bins)).count(bins, values, one.mask)
    types = [name for name in counts if name != "good"]
    result: dict[str, float | None] = {}
    for name, chosen in (("all", types), *((each, [each]) for each in types)):
        regions = PixelCounts.sum(counts[each] for each in ["good", *chosen]).rankings()[1]
        result[name] = None if regions is None else round(regions.area_up_to(PRO_LIMIT), 4)
    return result


def joined_of(one: Passed, coarse: bool) -> Joined:
    """One image's joined map of the tiles, or of tiles and the coarse pass."""
    values = one.joined(coarse=coarse, coarse_score_gain=None)[0]
    return Joined(one.defect, values, float(one.scores[-1]), one.mask)


def as_drawn(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The image itself."""
    return image


def quarter_turned(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turned by 0, 90, 180 or 270 degrees."""
    return np.ascontiguousarray(np.rot90(image, int(rng.integers(4))))


def anywhere(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turned by any angle, and shifted by up to a tenth of the image."""
    rows, columns = image.shape[:2]
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), float(rng.uniform(0, 360)), 0.8)
    shift = np.zeros((2, 3))
    shift[:, 2] = rng.uniform(-0.1, 0.1, 2) * (columns, rows)
    moved = cv2.warpAffine(
        image, np.asarray(turn, np.float64) + shift, (columns, rows), borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved, np.uint8)


#: How the panels of a decision are placed.
PLACED = {"as drawn": as_drawn, "turned by quarters": quarter_turned, "at any angle and place": anywhere}


def decision(
    predict: Predictor, preprocess: Preprocess, size: int, panel: Panel, count: int, folder: Path, placed: str
) -> dict[str, Any]:
    """What ``--score auto`` decides on good panels that are placed in one of these ways."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    paths = []
    for index in range(count):
        paths.append(folder / f"{index:03d}.png")
        image, _ = draw(panel, SEED, "holdout", index, None)
        cv2.imwrite(str(paths[-1]), PLACED[placed](image, rng))
    choice = choose_place(predict, preprocess, size, paths, "auto", SEED)
    return {"panels": placed, "reason": choice.reason, **choice.facts}


def main() -> None:
    """Measure."""
    parser = common.parser(__doc__, "large_place")
    parser.add_argument("--scratch", type=Path, required=True, help="folder of images, runs and maps")
    parser.add_argument("--size", type=int, default=2048, help="of the panels")
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=256, help="side of the network's input")
    parser.add_argument("--pool", type=int, default=40, help="good images that are divided")
    parser.add_argument("--bad", type=int, default=2, help="defective images of each type")
    parser.add_argument("--decide", type=int, default=16, help="images of each decision")
    parser.add_argument("--train", type=int, default=Counts.train)
    parser.add_argument("--steps", type=int, default=Length.steps)
    parser.add_argument("--batch-size", type=int, default=Length.batch_size)
    options: Namespace = parser.parse_args()
    machine = common.begin()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    label = f"tiles {options.tile} as {options.image_size}"
    more = {"image_size": options.image_size, "score": "map"}
    variant = Variant(Plates(options.size), label, tiled(options.tile) | more)
    length = Length(options.steps, options.batch_size)
    run = trained(variant, options.scratch, Counts(train=options.train), length)
    preprocess, size = run.config.preprocess, run.config.model.image_size
    graph = options.scratch / f"{variant.name}.onnx"
    if not graph.exists():
        write_onnx(DeploymentGraph(run.model), graph, size)
    predict = onnx_predictor(graph)
    tiling = preprocess.tiling
    assert isinstance(tiling, Tiling)
    preprocess = preprocess.model_copy(update={"tiling": tiling.model_copy(update={"levels": None})})
    panel = Panel(options.size, options.size)
    figures: dict[str, Any] = {"rows": [], "decisions": []}
    settings = {
        **vars(length), "size": options.size, "tile": options.tile,
        "image_size": options.image_size, "train": len(run.info["train"]), "pool": options.pool,
        "bad": options.bad, "splits": SPLITS, "held_out_share": HELD_OUT, "decide": options.decide,
    }  # fmt: skip
    folder = options.scratch / "place" / variant.name
    chosen = items(panel, SEED, options.pool, options.bad)
    for coarse in (False, True):
        images = []
        for item in chosen:
            one = passed(predict, preprocess, size, item, folder / f"{item.name}.npz")
            images.append(joined_of(one, coarse))
            print(f"{len(images)} of {len(chosen)} images", flush=True)
        found = divided(images, coarse)
        figures["rows"] += [{"coarse": coarse, **row} for row in found]
        common.write_result(options.out, machine, settings, figures, LIBRARIES)
    for placed in PLACED:
        at = options.scratch / "decide" / placed.replace(" ", "-")
        figures["decisions"].append(decision(predict, preprocess, size, panel, options.decide, at, placed))
        common.write_result(options.out, machine, settings, figures, LIBRARIES)


if __name__ == "__main__":
    main()
