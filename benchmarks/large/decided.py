"""The ways to evaluate tiled images: without and with the coarse pass, by the map and by ``--score auto``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import read_image
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.storage import make_folder
from dmdd_edge.train.coarse_gain import gain_of
from dmdd_edge.train.place_choice import choose_place
from large.figures import Judged
from large.passes import Maps, Passed, Predict
from large.sets import Item


def ways_of(
    label: str,
    preprocess: Preprocess,
    size: int,
    predict: Predict,
    held_out: Callable[[], Iterable[Passed]],
    paths: Mapping[str, Path],
    seed: int,
) -> list[Judged]:
    """The ways to evaluate the images of a run, with levels and gains from the held-out images.

    Where ``--score auto`` takes places, a way with the map alone comes before it.

    Args:
        label: of the run.
        preprocess: of the run, without levels.
        size: S.
        predict: the network.
        held_out: gives the held-out images, again at each call.
        paths: their files by their names.
        seed: of the damage that decides.
    """
    if preprocess.tiling is None:
        return [Judged(label)]
    ways = []
    for coarse in (False, True) if preprocess.tiling.coarse else (False,):
        alone = preprocess.tiling.model_copy(update={"coarse": coarse, "levels": None})
        tiled = preprocess.model_copy(update={"tiling": alone})
        files = list(paths.values())
        choice = choose_place(predict, tiled, size, files, "auto", seed)
        print(f"{label}{' and coarse' if coarse else ''}: {choice.reason}", flush=True)
        every: dict[str, Any] = {"coarse": coarse, "levels": None, "coarse_score_gain": None}
        name = f"{label} and coarse" if coarse else label
        placed = [Judged(name, "map", every)]
        if choice.levels is not None:
            of_others = choice.levels.of_others(files)
            own = {name: of_others[path] for name, path in paths.items() if path in of_others}
            with_levels = every | {"levels": choice.levels.levels()}
            placed.append(Judged(name, "place", with_levels, own))
        placed[-1].chosen = choice.facts | {"reason": choice.reason}
        ways += [with_score_gain(way, held_out()) for way in placed] if coarse else placed
    return ways


def with_score_gain(way: Judged, held_out: Iterable[Passed]) -> Judged:
    """The way with the level of the whole image's score beside that of its joined map."""
    scores, coarse_scores = [], []
    for one in held_out:
        scores.append(way.joined(one)[1])
        coarse_scores.append(float(one.scores[-1]))
    return replace(way, changes={**(way.changes or {}), "coarse_score_gain": gain_of(scores, coarse_scores)})


def remembered(predict: Predict) -> Predict:
    """The same network, which computes no input a second time; all outputs are kept in memory."""
    known: dict[bytes, tuple[Maps, float]] = {}

    def again(images: NDArray[np.uint8]) -> tuple[Maps, Maps]:
        keys = [hashlib.blake2b(np.ascontiguousarray(image).tobytes()).digest() for image in images]
        new = [index for index, key in enumerate(keys) if key not in known]
        if new:
            maps, scores = predict(np.ascontiguousarray(images[new]))
            for index, anomaly_map, score in zip(new, maps, scores, strict=True):
                known[keys[index]] = anomaly_map, float(score)
        return (
            np.stack([known[key][0] for key in keys]),
            np.array([known[key][1] for key in keys], np.float32),
        )

    return again


def in_files(items: Sequence[Item], folder: Path) -> dict[str, Item]:
    """The same images, each drawn once into a file: by its path the item that reads it.

    Args:
        items: good images.
        folder: of the files; those that are there are taken.
    """
    make_folder(folder)
    found = {}
    for item in items:
        path = folder / f"{item.name}.png"
        if not path.exists():
            draft = path.with_name(f"part-{path.name}")
            cv2.imwrite(str(draft), item.make()[0], [cv2.IMWRITE_PNG_COMPRESSION, 1])
            draft.replace(path)
        found[str(path)] = replace(item, make=partial(_read, path))
    return found


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    image = read_image(path)
    return image, np.zeros(image.shape[:2], np.bool_)
