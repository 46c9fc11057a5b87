"""Masks that cannot be the truth of their images are named and not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import Category, load_category
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.evaluation.test_set import load_test_set

Edit = Callable[[int, Any], Any]
MASK = np.zeros((60, 80), np.uint8)
MASK[20:30, 40:60] = 255


@pytest.fixture
def category(tmp_path: Path) -> Callable[[Edit], Category]:
    """A category with four defective images whose masks the function makes (None: no mask)."""

    def make(edit: Edit) -> Category:
        def write(name: str, values: Any) -> None:
            path = tmp_path / "part" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), values)

        image = np.full((60, 80, 3), 90, np.uint8)
        for number in range(4):
            write(f"train/good/{number}.png", image)
            write(f"test/good/{number}.png", image)
            write(f"test/dent/{number}.png", image)
            mask = edit(number, MASK.copy())
            if mask is not None:
                write(f"ground_truth/dent/{number}_mask.png", mask)
        return load_category(tmp_path / "part")

    return make


def known(found: Category) -> list[bool]:
    """Which defective images have a mask after reading; twice, since two commands may read."""
    first = load_test_set(found, Preprocess(), 40)
    again = load_test_set(found, Preprocess(), 40)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert first.has_mask[:4].all()
    assert (first.has_mask[4:] == first.masks[4:].any(axis=(1, 2))).all()
    assert first.has_mask.tolist() == again.has_mask.tolist()
    return first.has_mask[4:].tolist()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (np.zeros_like(MASK), "marks nothing"),
        (MASK[:, :60], "another shape"),
        (np.rot90(MASK), "another shape"),
        (np.full_like(MASK, 127) | MASK, "no pixel is black"),
        (np.random.default_rng(0).integers(0, 256, (60, 80, 3)), "photograph or shades"),
    ],
)
def test_one_wrong_mask_is_named_and_the_others_used(
    category: Callable[[Edit], Category], wrong: Any, reason: str
) -> None:
    found = category(lambda number, mask: wrong if number == 1 else mask)
    assert known(found) == [True, False, True, True]
    [(path, why)] = found.skipped
    assert (path.name, reason in why) == ("1_mask.png", True)
    assert found.summary()["masks"] == 3
    assert "note: pixel figures come from 3 of 4 defective images" in found.remarks()


def test_inverted_masks_are_not_used(category: Callable[[Edit], Category]) -> None:
    found = category(lambda number, mask: 255 - mask)
    assert known(found) == [False] * 4
    assert [line for line in found.remarks() if "inverted" in line and line.startswith("not used: 4 files")]


def test_one_defect_all_over_the_picture_is_used_with_a_note(category: Callable[[Edit], Category]) -> None:
    found = category(lambda number, mask: np.full_like(mask, 255) if number == 2 else mask)
    assert known(found) == [True] * 4
    assert [(path.name, reason) for path, reason in found.notes] == [
        ("2_mask.png", "the mask marks most of the image")
    ]


def test_a_mask_of_half_the_size_marks_the_same(category: Callable[[Edit], Category]) -> None:
    found = category(lambda number, mask: mask[::2, ::2] if number else mask)
    # With a region of interest too, which is in pixels of the image.
    prepared = load_test_set(found, Preprocess(roi=(30, 10, 40, 40)), 40).masks[4:]
    expected = MASK[10:50, 30:70] > 0
    for mask in prepared:
        np.testing.assert_array_equal(mask, expected)
    assert len(found.notes) == 3


def test_an_unreadable_mask_is_named(category: Callable[[Edit], Category]) -> None:
    found = category(lambda number, mask: mask)
    (found.root / "ground_truth/dent/3_mask.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert known(found) == [True, True, True, False]
    assert found.skipped[0][0].name == "3_mask.png"
