"""Validation from good images alone: damage that is seen where its mask says, and nowhere else."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.sample.plate import Plate
from dmdd_edge.sample.write import draw
from dmdd_edge.train.validation.damage import KINDS
from dmdd_edge.train.validation.images import damage, validation_set

SIZE = 128
#: A part that stands free before the drawn plate.
PART = np.zeros((SIZE, SIZE), np.bool_)
PART[40:90, 50:80] = True
#: What can be made on an image that shows no whole part.
ANYWHERE = ["misplaced", "scratch", "spot", "missing", "warp", "shifted"]


@pytest.fixture(scope="module")
def normals() -> np.ndarray:
    plate = Plate(SIZE)
    return np.stack([draw(plate, 3, "train", index)[0] for index in range(3)])


@pytest.fixture(scope="module")
def made(normals: np.ndarray) -> Any:
    return validation_set(normals, [None] * 3, seed=1, count=6)


def test_the_set_holds_the_normals_and_each_kind(normals: np.ndarray, made: Any) -> None:
    assert made.defects == ["good"] * 3 + [kind for kind in ANYWHERE for _ in range(6)]
    assert np.array_equal(made.images[:3], normals)
    assert not made.masks[:3].any()
    assert made.masks[3:].any((1, 2)).all()
    assert made.has_mask.all()
    assert made.labels.sum() == 36


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
    for index, (kind, make) in enumerate(KINDS.items()):
        for seed in range(4):
            found = damage(make, normals[0], PART, normals[1], np.random.default_rng([index, seed]))
            assert found is not None, kind
            reached = cv2.dilate(PART.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
            assert not found[1][~reached].any(), kind


def enlarged(image: np.ndarray, by: int) -> np.ndarray:
    """An image of whole pixels, each ``by`` times as wide."""
    return np.repeat(np.repeat(image, by, 0), by, 1)


def free_part() -> np.ndarray:
    """A bright part before a dark background, both grained."""
    image = np.random.default_rng(0).normal(40, 3, (SIZE, SIZE, 3))
    image[PART] += 150
    return np.clip(image, 0, 255).astype(np.uint8)


def test_a_bent_piece_lies_partly_beside_the_part_and_leaves_its_place() -> None:
    image = free_part()
    filled = beside = 0
    for seed in range(12):
        found = damage(KINDS["bent"], image, PART, image, np.random.default_rng(seed))
        assert found is not None
        bent, mask = found
        # Bright where the background was, dark where the part was.
        beside += bool((bent[mask & ~PART] > 120).any())
        filled += bool((bent[mask & PART] < 90).any())
    assert beside >= 9
    assert filled >= 9


@pytest.mark.parametrize("shown", ["everywhere", "a speck"])
def test_nothing_is_bent_where_no_part_can_be(shown: str) -> None:
    part = np.zeros((SIZE, SIZE), np.bool_)
    part[60:62, 60:62] = True
    where = None if shown == "everywhere" else part
    assert damage(KINDS["bent"], free_part(), where, free_part(), np.random.default_rng(0)) is None


def test_a_worn_place_is_shallow_and_shows_the_background() -> None:
    image, part = enlarged(free_part(), 2), enlarged(PART, 2)
    depth = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5)
    depths = []
    for seed in range(12):
        found = damage(KINDS["worn"], image, part, image, np.random.default_rng(seed))
        assert found is not None
        worn, mask = found
        gone = mask & part & (worn < 90).all(2)
        assert gone.sum() >= 8
        depths.append(float(depth[gone].max()))
    assert max(depths) <= 8  # five, and the softness of the edge


def test_no_rim_is_worn_where_the_part_fills_the_image() -> None:
    assert damage(KINDS["worn"], free_part(), None, free_part(), np.random.default_rng(0)) is None


def test_a_shifted_place_is_small_and_holds_what_lay_beside_it() -> None:
    ramp = np.broadcast_to(np.arange(SIZE, dtype=np.uint8)[None, :, None], (SIZE, SIZE, 3)) * 2
    image, unit = np.ascontiguousarray(ramp), SIZE / 256
    part = np.zeros((SIZE, SIZE), np.bool_)
    part[40:80, 40:80] = True
    for seed in range(12):
        out, region = KINDS["shifted"](image, part, image, np.random.default_rng(seed))
        y, x = np.nonzero(region)
        assert 8 * unit <= max(np.ptp(x), np.ptp(y)) <= 24 * unit
        assert np.array_equal(out[~region], image[~region])
        # The ramp rises by 2 a pixel: no pixel comes from further than 4 units along it.
        assert np.abs(out.astype(int) - image).max() <= 2 * 4 * unit + 1


def test_what_cannot_be_seen_is_left_out() -> None:
    """Nothing is seen of what moves or takes away a piece of an even surface; of a spot on it, much."""
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
    large, larger = (np.stack([cv2.resize(image, None, fx=by, fy=by) for image in normals]) for by in (2, 4))
    for kind in KINDS:
        areas = []
        for images in (large, larger):
            whole = enlarged(PART, images.shape[1] // SIZE)
            part = whole if kind in ("bent", "worn") else None
            found = [
                damage(KINDS[kind], images[0], part, images[1], np.random.default_rng([5, seed]))
                for seed in range(12)
            ]
            areas.append(np.median([made[1].mean() for made in found if made is not None]))
        assert 1 / 3 < areas[0] / areas[1] < 3, kind
    thin = [damage(KINDS["scratch"], large[0], None, large[1], np.random.default_rng(s)) for s in range(12)]
    widths = [cv2.distanceTransform(made[1].astype(np.uint8), cv2.DIST_L2, 3).max() for made in thin if made]
    assert np.median(widths) <= 4.5  # half a width, at 256 px, of what the smoothing spreads it to
