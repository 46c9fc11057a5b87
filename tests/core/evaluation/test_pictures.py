"""Heat colours fixed to the threshold, and what the sheets show."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dmdd_edge.evaluation.pictures import Case, case_sheet, hardest, heat_overlay, heat_scale, score_histogram

GREY = np.full((32, 32, 3), 100, np.uint8)


@pytest.mark.parametrize(
    ("value", "threshold", "place"),
    [
        (0.0, 0.2, 0.0),
        (0.1, 0.2, 0.25),
        (0.2, 0.2, 0.5),
        (0.3, 0.2, 0.75),
        (0.4, 0.2, 1.0),
        (0.9, 0.2, 1.0),
        (0.8, 0.6, 0.75),  # twice the threshold is beyond 1: the scale ends at 1
        (1.0, 0.6, 1.0),
        (1.0, 1.0, 0.5),
        (0.0, 0.0, 0.0),
    ],
)
def test_scale(value, threshold, place):
    assert heat_scale(value, threshold) == pytest.approx(place, abs=1e-9)


def over(value, threshold=0.2):
    pixel = heat_overlay(GREY, np.full((32, 32), value, np.float32), threshold)[5, 5]
    return pixel.astype(int)


def test_colours():
    assert over(0.0).tolist() == [100, 100, 100]
    blue, green, red = over(0.2)
    assert green > 150 and red > 150 and blue < 60  # noqa: PT018 - one colour: yellow
    blue, green, red = over(0.4)
    assert red > 150 and green < 50 and blue < 50  # noqa: PT018 - red
    assert over(1.0).tolist() == over(0.4).tolist()
    blue, green, red = over(0.1)
    assert blue > green > red  # bluish, and faint:
    assert abs(over(0.1) - 100).max() < 25


def test_a_pixel_never_depends_on_the_rest_of_the_map():
    values = np.random.default_rng(0).random((32, 32)).astype(np.float32) * 0.15
    lone = values.copy()
    lone[0, 0] = 1.0
    np.testing.assert_array_equal(heat_overlay(GREY, values, 0.2)[1:], heat_overlay(GREY, lone, 0.2)[1:])


def test_the_image_is_untouched_and_the_map_is_stretched():
    image = GREY.copy()
    values = np.zeros((4, 4), np.float32)
    values[3, 0] = 1
    result = heat_overlay(image, values, 0.2)
    np.testing.assert_array_equal(image, GREY)
    assert result[31, 0].tolist() == over(1.0).tolist()
    assert result[0, 31].tolist() == [100, 100, 100]


def test_hardest_are_the_deepest_on_the_wrong_side():
    scores = [0.05, 0.5, 0.35, 0.9, 0.1, 0.29]
    labels = [True, True, False, True, False, True]
    # threshold 0.3: missed by far; then a false alarm by 0.05; then one missed by 0.01.
    assert hardest(scores, labels, 0.3, 3) == [0, 2, 5]
    assert len(hardest(scores, labels, 0.3, 99)) == 6


def test_histogram_draws_each_kind_on_its_side():
    image = score_histogram([0.1] * 10 + [0.9] * 5, [False] * 10 + [True] * 5, 0.5)
    assert image.shape == (480, 900, 3)
    line = np.flatnonzero((image[200] < 70).all(axis=1))  # the threshold, the only ink in that row
    assert abs(line.mean() - (60 + 816 * 0.5 / (0.9 * 1.04))) <= 1  # the axis ends 4 % beyond the last score
    saturation = image[425].max(axis=1).astype(int) - image[425].min(axis=1)
    coloured = np.flatnonzero(saturation > 60)
    good, bad = coloured[coloured < line[0]], coloured[coloured > line[0]]
    assert len(good) > 5
    assert len(bad) > 5
    assert image[425, good[3], 1] > image[425, good[3], 2]  # greenish
    assert image[425, bad[3], 2] > image[425, bad[3], 1]  # reddish


@pytest.mark.parametrize(("scores", "labels"), [([], []), ([0.0], [False]), ([0.3, 0.3], [True, True])])
def test_histogram_of_little(scores, labels):
    assert score_histogram(scores, labels, 0.3).dtype == np.uint8


def test_sheet_outlines_the_truth_and_overlays_the_map():
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    values = np.zeros((32, 32), np.float32)
    values[20:, 20:] = 1
    case = Case(GREY, values, mask, 0.1, True, "bent/000")
    sheet = case_sheet([case] * 5, 0.2, columns=2, tile=64)
    assert sheet.shape[1] == 2 * (2 * 64 + 4 + 10) + 10
    left, right = sheet[10:74, 10:74], sheet[10:74, 78:142]
    assert (left[32, 16] == (255, 60, 255)).all()  # the outline, at the mask's left edge
    assert left[32, 32].tolist() == [100, 100, 100]  # inside it the picture is kept
    assert right[60, 60].tolist() == over(1.0).tolist()
    assert right[10, 10].tolist() == [100, 100, 100]
    np.testing.assert_array_equal(GREY, 100)


def test_sheet_of_nothing_can_still_be_written(tmp_path):
    assert cv2.imwrite(str(tmp_path / "s.png"), case_sheet([], 0.2))
