"""Decides whether a run's maps are compared with good parts at the same place, by damage made on good images.

Levels of places help where parts are at one place. Where they do not, every place has the level of the most
unusual one, and they help nothing. So the held-out images decide, without a test image: each is compared with
the levels of the others, as it is and with small synthetic damage. Places are taken where they tell damage
from good parts clearly better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.image_header import header_of
from dmdd_edge.data.images import read_image, resize
from dmdd_edge.data.place_levels import CELL, Map, Peaks, PlaceLevels, cell_peaks, highest_around, log_odds
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.spread import spread
from dmdd_edge.data.tiles import Layout, enlarged
from dmdd_edge.evaluation.test_set import Predictor
from dmdd_edge.evaluation.tiled import infer_tiles
from dmdd_edge.train.coarse_gain import MOST_IMAGES
from dmdd_edge.train.held_out_levels import HeldOutLevels
from dmdd_edge.train.tile_choice import SEEN
from dmdd_edge.train.validation.damage import KINDS
from dmdd_edge.train.validation.images import damage
from dmdd_edge.train.validation.whole_images import part_of, place_on

ScoreChoice = Literal["auto", "map", "place"]

#: Fewer held-out images give no levels worth a comparison.
FEWEST = 8
#: Damages made on each image; kinds that need no rim of a whole part.
_EACH = 3
_KINDS = ("spot", "scratch", "misplaced", "missing", "shifted")
#: Side of the patch that a kind is made for, in pixels of the view: the smallest spots, 8 units of a 256th,
#: then have the extent of the smallest defect that tiles are chosen for.
_PATCH = SEEN * 256 // 8
#: Cells whose mean is the score in this comparison: about the 100 pixels of a score.
_TOP = 4
#: A damage counts where it raises the logarithm of the odds of some cell by this much: what the network does
#: not see, no score finds. With fewer such damages nothing is decided.
_SHOWN, _LEAST_SHOWN = 1.0, 8
#: Least mean correlation of a good map, cell by cell, with the highest of the others.
_AGREE = 0.6
#: Levels of places are taken when at most this share of the errors remains.
_BETTER = 0.75
_SEED = 20262
_MAP, _PLACE = "peak of the joined map", "peak of the joined map beside good parts at the same place"
_MIXED = "the images differ in size, so parts have no common place"


@dataclass(frozen=True)
class PlaceChoice:
    """What was decided, and on what.

    Attributes:
        by_place: whether the map is compared with good parts at the same place.
        reason: one line for a person.
        levels: what the held-out images show; None unless ``by_place``.
        facts: for the run's facts.
    """

    by_place: bool
    reason: str
    levels: HeldOutLevels | None
    facts: dict[str, Any]


@dataclass
class _Seen:
    """Of one held-out image: peaks of its tiles' map and of the map of the whole image, in which small damage
    hardly shows; and those of the tiles' map with each damage, as cells that changed."""

    peaks: Peaks
    coarse: Peaks | None
    damaged: list[tuple[int, int, Peaks]]


def choose_place(
    predict: Predictor,
    preprocess: Preprocess,
    size: int,
    held_out: Sequence[Path],
    wanted: ScoreChoice,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    others: Sequence[Path] = (),
) -> PlaceChoice:
    """Decide for a finished training of a tiled category.

    Args:
        predict: the trained network, on tiles.
        preprocess: with a tiling, whose gain of the coarse map is measured, and without levels.
        size: S, side of the network's input.
        held_out: good images that were not trained on; at most ``MOST_IMAGES``, evenly spread, are used.
        wanted: ``place`` takes the levels in any case that is possible.
        seed: the same seed makes the same damage.
        progress: called with the images done and their count.
        others: further images of parts, which must have the same size.

    Raises:
        DmddError: a file cannot be read.
    """
    numbers = spread(len(held_out), MOST_IMAGES)
    impossible = why_no_levels(len(held_out), [*held_out, *others])
    if impossible:
        return _refused(impossible)
    images: list[_Seen] = []
    source: tuple[int, int] | None = None
    for done, number in enumerate(numbers, start=1):
        image = read_image(held_out[number], preprocess.bits)
        shape = image.shape[0], image.shape[1]
        source = source or shape
        if shape != source:
            return _refused(_MIXED)
        view = preprocess.prepare(image, size, str(held_out[number]))
        layout = preprocess.geometry(image.shape, size).layout
        if not PlaceLevels.fit(layout.shape):
            return _refused("the images are too large for levels that a bundle keeps")
        rng = np.random.default_rng([seed, _SEED, done])
        images.append(_see(predict, view, layout, rng))
        progress(done, len(numbers))
    assert source is not None
    coarse = [each.coarse for each in images if each.coarse is not None]
    levels = HeldOutLevels(
        tuple(numbers),
        np.stack([each.peaks for each in images]),
        source,
        np.stack(coarse) if coarse else None,
    )
    facts = _compared(images, levels)
    against = _against(facts)
    taken = wanted == "place" or not against
    line = (
        f"{_PLACE if taken else _MAP}; of {facts['shown']} small damages made on {len(images)} held-out "
        f"images that the map shows, {100 * facts['found_place']:.0f} % are above all good parts at the same "
        f"place, and {100 * facts['found_map']:.0f} % above all good parts at any place"
    )
    if against:
        line += f"; {'auto would take the map alone: ' if taken else ''}{against}"
    return PlaceChoice(taken, line, levels if taken else None, {"by_place": taken, **facts})


def why_no_levels(held_out: int, paths: Sequence[Path]) -> str:
    """Why images cannot give levels of places, from their number and their headers; empty if they can.

    Args:
        held_out: number of images that are not trained on.
        paths: all images of parts.
    """
    if held_out < FEWEST:
        return f"{held_out} held-out images are too few for levels, which need {FEWEST}"
    sizes = {(header.width, header.height) for header in map(header_of, paths) if header}
    return _MIXED if len(sizes) > 1 else ""


def _against(facts: Mapping[str, Any]) -> str:
    """What speaks against levels of places, from the facts of ``_compared``; empty if nothing does."""
    if facts["agreement"] < _AGREE:
        return f"the good maps agree by {facts['agreement']:.2f} only, so the parts are not at one place"
    if facts["shown"] < _LEAST_SHOWN:
        return "too few to decide by"
    if facts["error_place"] > _BETTER * facts["error_map"]:
        return "levels of places do not tell them from good parts clearly better"
    return ""


def _refused(reason: str) -> PlaceChoice:
    return PlaceChoice(False, f"{_MAP}: {reason}", None, {"by_place": False, "reason": reason})


def _see(predict: Predictor, view: NDArray[np.uint8], layout: Layout, rng: np.random.Generator) -> _Seen:
    """The peaks of one image, and of damage on it."""
    fine, coarse = _maps(predict, view, layout)
    part = part_of(view, layout.size)
    if layout.ignored is not None:
        part &= ~layout.ignored
    damaged = []
    side = min(_PATCH, *view.shape[:2])
    for _ in range(_EACH if part.any() else 0):
        kind = KINDS[_KINDS[int(rng.integers(len(_KINDS)))]]
        row, column = place_on(part, side, rng)
        other_row, other_column = place_on(part, side, rng)
        patch = np.ascontiguousarray(view[row : row + side, column : column + side])
        where = np.ascontiguousarray(part[row : row + side, column : column + side])
        other = view[other_row : other_row + side, other_column : other_column + side].copy()
        found = damage(kind, patch, where, other, rng)
        if found is not None:
            damaged.append(_damaged(predict, view, layout, fine, (row, column, found[0])))
    return _Seen(cell_peaks(fine), None if coarse is None else cell_peaks(coarse), damaged)


def _maps(predict: Predictor, view: NDArray[np.uint8], layout: Layout) -> tuple[Map, Map | None]:
    """The joined map of the tiles, and that of the whole image at its gain; 0 where ignored."""
    tiling = layout.tiling
    assert tiling is not None
    alone = replace(layout, tiling=tiling.model_copy(update={"coarse": False}))
    fine = infer_tiles(predict, view, alone)[0]
    if not layout.coarse:
        return fine, None
    coarse = enlarged(predict(resize(view, layout.size)[None])[0][0], layout)
    if layout.ignored is not None:
        coarse[layout.ignored] = 0
    return fine, coarse


def _damaged(
    predict: Predictor,
    view: NDArray[np.uint8],
    layout: Layout,
    fine: Map,
    patch: tuple[int, int, NDArray[np.uint8]],
) -> tuple[int, int, Peaks]:
    """The cells that a patch changes, by the tiles that show it: their first row and column, and peaks."""
    top, left, pixels = patch
    size = layout.size
    changed = view.copy()
    changed[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    touched = [
        place
        for place in layout.order()
        if place[2] < top + pixels.shape[0]
        and top < place[2] + size
        and place[3] < left + pixels.shape[1]
        and left < place[3] + size
    ]
    first = tuple(min(place[axis] for place in touched) // CELL * CELL for axis in (2, 3))
    end = tuple(
        min(-(-(max(place[axis] for place in touched) + size) // CELL) * CELL, layout.shape[axis - 2])
        for axis in (2, 3)
    )
    box = np.s_[first[0] : end[0], first[1] : end[1]]
    after = fine[box].copy()
    by_row, by_column = layout.weights
    for tile_row, tile_column, row, column in touched:
        tile = np.s_[row : row + size, column : column + size]
        pair = predict(np.stack([view[tile], changed[tile]]))[0]
        inside = np.s_[row - first[0] : row - first[0] + size, column - first[1] : column - first[1] + size]
        after[inside] += (pair[1] - pair[0]) * by_row[tile_row][:, None] * by_column[tile_column]
    if layout.ignored is not None:
        after[layout.ignored[box]] = 0
    return first[0] // CELL, first[1] // CELL, cell_peaks(np.clip(after, 0, 1))


def _compared(images: Sequence[_Seen], held_out: HeldOutLevels) -> dict[str, Any]:
    """How well both scores tell damage from good images, and whether the good maps agree."""
    good: dict[str, list[float]] = {"map": [], "place": []}
    bad: dict[str, list[float]] = {"map": [], "place": []}
    agreement = []
    stacks = [held_out.peaks] if held_out.coarse is None else [held_out.peaks, held_out.coarse]
    for index, seen in enumerate(images):
        others = [np.delete(stack, index, axis=0) for stack in stacks]
        levels = [log_odds(highest_around(each)) for each in others]
        own = log_odds(seen.peaks)
        behind = [] if seen.coarse is None else [log_odds(seen.coarse)]
        highest = np.maximum.reduce([log_odds(each.max(axis=0)) for each in others])
        agreement.append(float(np.corrcoef(np.maximum.reduce([own, *behind]).ravel(), highest.ravel())[0, 1]))
        patched = [_patched(own, each) for each in seen.damaged]
        shown = [each for each in patched if float((each - own).max()) >= _SHOWN]
        for of, values in ((good, own), *((bad, each) for each in shown)):
            maps = [values, *behind]
            of["map"].append(_top(np.maximum.reduce(maps)))
            of["place"].append(
                _top(np.maximum.reduce([each - level for each, level in zip(maps, levels, strict=True)]))
            )
    facts: dict[str, Any] = {
        "images": len(images),
        "damages": sum(len(seen.damaged) for seen in images),
        "shown": len(bad["map"]),
        "agreement": round(float(np.nan_to_num(np.mean(agreement))), 4),
    }
    for name in ("map", "place"):
        scores, damaged = np.array(good[name]), np.array(bad[name])
        lower = (damaged[:, None] < scores).mean() if damaged.size else 0.5
        equal = (damaged[:, None] == scores).mean() if damaged.size else 0.0
        facts[f"error_{name}"] = round(float(lower + equal / 2), 4)
        facts[f"found_{name}"] = round(float((damaged > scores.max()).mean()), 4) if damaged.size else 0.0
    return facts


def _patched(own: Map, damaged: tuple[int, int, Peaks]) -> Map:
    row, column, peaks = damaged
    result = own.copy()
    result[row : row + peaks.shape[0], column : column + peaks.shape[1]] = log_odds(peaks)
    return result


def _top(values: Map) -> float:
    count = min(_TOP, values.size)
    return float(np.partition(values.ravel(), values.size - count)[-count:].mean())
