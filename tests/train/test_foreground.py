"""Where the part is: drawn objects with a known outline, textures without one, and the cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.synthesis.foreground import (
    cached_masks,
    choose,
    grabcut_foreground,
    grown,
    masks,
    otsu_foreground,
)
from dmdd_edge.train.synthesis.textures import ProceduralTextures
from tests.train.zip_damage import LIKE_A_FEATURE, marked

SIZE = 128
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def part(seed: int, faint: bool = False, falling: float = 0.0) -> tuple[Image, Mask]:
    """A turned plate on a noisy background, and its outline.

    Args:
        seed: of place, turn and noise.
        faint: whether the plate hardly differs from the background.
        falling: by how many levels the light changes across the background.
    """
    rng = np.random.default_rng(seed)
    truth = np.zeros((SIZE, SIZE), np.uint8)
    centre = tuple(float(v) for v in rng.uniform(56, 72, 2))
    box = cv2.boxPoints((centre, (60.0, 44.0), float(rng.uniform(0, 90))))
    cv2.fillPoly(truth, [np.rint(box).astype(np.int32)], 1)
    image = np.full((SIZE, SIZE, 3), (60, 70, 65), np.float64)
    image += np.linspace(-falling / 2, falling / 2, SIZE)[None, :, None]
    image[truth > 0] = (88, 87, 71) if faint else (190, 200, 205)
    image += rng.normal(0, 2 if faint else 4, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), truth.astype(np.bool_)


def overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("find", [otsu_foreground, grabcut_foreground])
def test_a_part_before_an_even_background_is_found(find: Any, seed: int) -> None:
    image, truth = part(seed)
    found = find(image)
    assert found.dtype == np.bool_
    assert overlap(found, truth) > 0.9
    assert not (truth & ~cv2.dilate(found.astype(np.uint8), np.ones((3, 3))).astype(np.bool_)).any()


def test_a_dark_part_on_a_light_background_is_found_too() -> None:
    image, truth = part(1)
    assert overlap(otsu_foreground(255 - image), truth) > 0.9


def test_holes_are_filled_and_specks_go() -> None:
    image, truth = part(2)
    y, x = (int(v) for v in np.argwhere(truth).mean(0))
    cv2.circle(image, (x, y), 8, (60, 70, 65), -1)
    image[5, 5] = image[120, 100] = 255
    found = otsu_foreground(image)
    assert found[y, x]
    assert not found[:10, :10].any()
    assert not found[118:123, 98:103].any()


@pytest.mark.parametrize("size", [64, 128, 256])
def test_a_foreground_grows_alike_at_every_size(size: int) -> None:
    mask = np.zeros((size, size), np.bool_)
    mask[size // 2 :, size // 2 :] = True
    side = size // 64  # four 256ths
    wider = grown(mask, 8)
    assert wider[size // 2 - 2 * side, -1]
    assert not wider[: size // 2 - 2 * side].any()
    assert not wider[:, : size // 2 - 2 * side].any()
    assert np.array_equal(grown(mask, 0), mask)


def test_grabcut_repeats_whatever_was_drawn_before() -> None:
    dots = ProceduralTextures(SIZE)._dots(np.random.default_rng(0))
    image = np.repeat((40 + 150 * dots)[..., None], 3, 2).astype(np.uint8)
    # On such an image the random numbers matter.
    assert any(
        not np.array_equal(grabcut_foreground(image, s), grabcut_foreground(image, 0)) for s in (1, 2, 3)
    )
    first = grabcut_foreground(image)
    for seed in (1, 2, 12345):
        cv2.setRNGSeed(seed)
        assert np.array_equal(grabcut_foreground(image), first)


def test_grabcut_finds_a_part_where_light_falls_off() -> None:
    image, truth = part(3, falling=100)
    assert overlap(grabcut_foreground(image), truth) > 0.9


def test_auto_takes_otsu_for_parts_before_an_even_background() -> None:
    assert choose([part(seed)[0] for seed in range(6)]) == "otsu"


def test_auto_takes_grabcut_where_a_part_hardly_differs() -> None:
    assert choose([part(seed, faint=True)[0] for seed in range(6)]) == "grabcut"


@pytest.mark.slow
def test_auto_takes_the_whole_image_of_textures() -> None:
    bank = ProceduralTextures(SIZE)
    patterns = [bank.draw(np.random.default_rng(seed)) for seed in range(12)]
    assert choose(patterns) == "none"
    for name in ("_grain", "_clouds", "_checks"):
        drawn = [getattr(bank, name)(np.random.default_rng(seed)) for seed in range(6)]
        fabric = [np.repeat((90 + 70 * p)[..., None], 3, 2).astype(np.uint8) for p in drawn]
        assert choose(fabric) == "none", name


@pytest.mark.slow
def test_an_image_of_one_colour_counts_as_a_whole() -> None:
    plain = np.full((SIZE, SIZE, 3), 90, np.uint8)
    image, truth = part(0)
    for kind in ("otsu", "grabcut"):
        method, found, failed = masks([plain, image], kind)
        assert method == kind
        assert found[0] is None
        assert found[1] is not None
        assert overlap(found[1], truth) > 0.9
        assert failed == 1


def test_none_asks_no_image() -> None:
    assert masks([part(0)[0]] * 3, "none") == ("none", [None] * 3, 0)


class Counting:
    """Counts how often masks are worked out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.original = foreground.masks
        monkeypatch.setattr(foreground, "masks", self)

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self.original(*arguments)


def test_masks_are_kept_and_used_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counting = Counting(monkeypatch)
    file = tmp_path / "foreground.npz"
    images = [part(seed)[0] for seed in range(3)] + [np.full((SIZE, SIZE, 3), 90, np.uint8)]
    first = cached_masks(file, images, "otsu")
    again = cached_masks(file, images, "otsu")
    assert counting.calls == 1
    assert again.method == first.method == "otsu"
    assert again.failed == first.failed == 1
    assert first.masks[3] is None
    assert again.masks[3] is None
    for a, b in zip(first.masks[:3], again.masks[:3], strict=True):
        assert a is not None
        assert b is not None
        assert np.array_equal(a, b)


def test_other_images_another_method_or_a_broken_file_work_them_out_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counting = Counting(monkeypatch)
    file = tmp_path / "foreground.npz"
    images = [part(seed)[0] for seed in range(2)]
    cached_masks(file, images, "otsu")
    moved = [np.roll(images[0], 20, axis=1), images[1]]
    found = cached_masks(file, moved, "otsu")
    assert counting.calls == 2
    assert found.masks[0] is not None
    assert np.array_equal(found.masks[0], otsu_foreground(moved[0]))
    assert cached_masks(file, moved, "grabcut").method == "grabcut"
    assert counting.calls == 3
    whole = cached_masks(file, moved, "otsu") and file.read_bytes()
    third = len(whole) // 3
    garbled = whole[:third] + bytes(255 - value for value in whole[third : 2 * third]) + whole[2 * third :]
    for count, damage in enumerate((b"", b"no archive", whole[:200], garbled), start=5):
        file.write_bytes(damage)
        assert cached_masks(file, moved, "otsu").masks[0] is not None
        assert counting.calls == count
    cached_masks(file, moved, "otsu")
    assert counting.calls == 8


@pytest.mark.parametrize("damage", LIKE_A_FEATURE)
def test_a_file_whose_damage_looks_like_a_feature_of_zip_is_worked_out_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: tuple[int, int, int]
) -> None:
    counting = Counting(monkeypatch)
    file, images = tmp_path / "foreground.npz", [part(seed)[0] for seed in range(2)]
    cached_masks(file, images, "otsu")
    file.write_bytes(marked(file.read_bytes(), *damage))
    assert cached_masks(file, images, "otsu").masks[0] is not None
    assert counting.calls == 2


def test_a_pipe_in_the_place_of_the_kept_masks_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "foreground.npz"
    os.mkfifo(file)
    images = [np.full((32, 32, 3), 128, np.uint8)]
    assert cached_masks(file, images, "otsu").method == "otsu"
    assert file.is_file()
