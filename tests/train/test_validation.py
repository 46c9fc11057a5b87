"""Validation from good images alone: damage that is seen where its mask says, and nowhere else."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.plate import Plate
from dmdd_edge.sample import draw
from dmdd_edge.train.validation.images import damage, validation_set
from dmdd_edge.train.validation.kinds import KINDS

SIZE = 128


@pytest.fixture(scope="module")
def normals() -> np.ndarray:
    plate = Plate(SIZE)
    return np.stack([draw(plate, 3, "train", index)[0] for index in range(3)])


@pytest.fixture(scope="module")
def made(normals: np.ndarray) -> Any:
    return validation_set(normals, [None] * 3, seed=1, count=6)


def test_the_set_holds_the_normals_and_each_kind(normals: np.ndarray, made: Any) -> None:
    assert made.defects == ["good"] * 3 + [kind for kind in KINDS for _ in range(6)]
    assert np.array_equal(made.images[:3], normals)
    assert not made.masks[:3].any()
    assert made.masks[3:].any((1, 2)).all()
    assert made.has_mask.all()
    assert made.labels.sum() == 30


def test_the_mask_is_where_the_image_changed(normals: np.ndarray, made: Any) -> None:
    for index in range(3, len(made.items)):
        before = normals[(index - 3) % 6 % 3].astype(int)
        difference = np.abs(made.images[index].astype(int) - before).max(2)
        mask = made.masks[index]
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert not difference[~near].any(), made.defects[index]
        assert difference[mask].mean() > 10, made.defects[index]
        assert 0.0005 < mask.mean() < 0.25, made.defects[index]


def test_the_same_seed_gives_the_same_images(normals: np.ndarray, made: Any) -> None:
    kept = normals.copy()
    again = validation_set(normals, [None] * 3, seed=1, count=6)
    assert np.array_equal(again.images, made.images)
    assert np.array_equal(again.masks, made.masks)
    assert np.array_equal(normals, kept)
    other = validation_set(normals, [None] * 3, seed=2, count=6)
    assert (other.images[3:] != made.images[3:]).any((1, 2, 3)).all()
    # More of each kind leave the first ones as they are.
    more = validation_set(normals, [None] * 3, seed=1, count=7)
    assert np.array_equal(more.images[3:9], made.images[3:9])


def test_damage_lies_on_the_part(normals: np.ndarray) -> None:
    part = np.zeros((SIZE, SIZE), np.bool_)
    part[40:70, 50:90] = True
    for index, (kind, make) in enumerate(KINDS.items()):
        for seed in range(4):
            found = damage(make, normals[0], part, normals[1], np.random.default_rng([index, seed]))
            assert found is not None, kind
            reached = cv2.dilate(part.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
            assert not found[1][~reached].any(), kind


def test_what_cannot_be_seen_is_left_out() -> None:
    """A warp or a misplaced piece of an even surface changes nothing; a spot on it does."""
    even = np.full((2, SIZE, SIZE, 3), 128, np.uint8)
    found = validation_set(even, [None, None], count=2)
    assert set(found.defects) == {"good", "scratch", "spot"}


def test_grey_images_stay_grey() -> None:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (SIZE, SIZE), np.uint8), (0, 0), 2)
    grey = np.repeat(cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)[None, ..., None], 3, axis=3)
    found = validation_set(grey, [None], count=4)
    assert np.abs(found.images[..., 0].astype(int) - found.images[..., 2]).max() <= 30  # a scratch may tint


def test_scratches_are_thin_and_sizes_follow_the_image(normals: np.ndarray) -> None:
    large = np.stack([cv2.resize(image, None, fx=2, fy=2) for image in normals])
    for kind in KINDS:
        areas = []
        for images in (normals, large):
            found = [
                damage(KINDS[kind], images[0], None, images[1], np.random.default_rng([5, seed]))
                for seed in range(12)
            ]
            areas.append(np.median([made[1].mean() for made in found if made is not None]))
        assert 1 / 3 < areas[0] / areas[1] < 3, kind
    thin = [damage(KINDS["scratch"], large[0], None, large[1], np.random.default_rng(s)) for s in range(12)]
    widths = [cv2.distanceTransform(made[1].astype(np.uint8), cv2.DIST_L2, 3).max() for made in thin if made]
    assert np.median(widths) <= 4.5  # half a width, at 256 px, of what the smoothing spreads it to
