"""What is seen of an image: its noise, its place, and whether it is the same shot as another one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dmdd_edge.runtime.collect.measures import measure
from dmdd_edge.runtime.collect.position import position_of
from dmdd_edge.runtime.collect.repeats import COMPRESSED_LIMIT, LIMIT, difference
from dmdd_edge.runtime.collect.sketch import sketch_of
from dmdd_edge.runtime.collect.stillness import Stillness
from tests.runtime.collect.parts import blurred, moved, part, shot


@pytest.mark.parametrize("sigma", [1.5, 3.0, 6.0])
@pytest.mark.parametrize("scale", [1, 4])
def test_the_noise_of_a_flat_image_is_what_was_added(sigma: float, scale: int) -> None:
    image = shot(np.full((256 * scale, 256 * scale), 120.0), 3, sigma)
    # Averaging over scale x scale pixels divides white noise by scale; quiet blocks show a little less.
    assert sketch_of(image).noise == pytest.approx(sigma / scale, rel=0.2)


def test_two_shots_of_one_part_are_the_same_and_two_parts_are_not() -> None:
    image = part(1, noise=0)
    sketches = [sketch_of(shot(image, seed, 2.0)) for seed in range(4)]
    assert max(difference(sketches[0], other) for other in sketches[1:]) < LIMIT / 1.5
    others = [sketch_of(part(seed, noise=2.0, shift=0)) for seed in range(10, 20)]
    assert min(difference(sketches[0], other) for other in others) > 1.5 * LIMIT


def test_parts_that_differ_in_one_small_mark_only_are_two_parts() -> None:
    image = part(1, noise=0)
    other = image.copy()
    other[60:72, 70:82] += np.uint8(25)
    assert difference(sketch_of(shot(image, 1)), sketch_of(shot(other, 2))) > LIMIT


def test_a_lamp_that_became_brighter_makes_no_other_part_of_it() -> None:
    image = part(1, noise=0)
    brighter = np.clip(image * 1.03 + 2, 0, 255)
    assert difference(sketch_of(shot(image, 1)), sketch_of(shot(brighter, 2))) < LIMIT


def test_two_shots_that_jpeg_compressed_are_the_same() -> None:
    image = part(1, 320, noise=0)

    def compressed(seed: int, of: int = 1) -> np.ndarray:
        done, data = cv2.imencode(
            ".jpg", shot(part(of, 320, noise=0), seed, 2.0), [cv2.IMWRITE_JPEG_QUALITY, 85]
        )
        assert done
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    measures, first = measure(compressed(1))
    assert measures.compressed
    assert not measure(image)[0].compressed
    assert difference(first, sketch_of(compressed(2))) < COMPRESSED_LIMIT
    assert difference(first, sketch_of(compressed(3, of=2))) > COMPRESSED_LIMIT


def test_images_of_different_sizes_are_never_the_same() -> None:
    assert difference(sketch_of(part(1)), sketch_of(part(1, 200))) == float("inf")


@pytest.mark.parametrize(
    ("x", "y", "turn"), [(6, 0, 0), (0, -9, 0), (4, 5, 0), (0, 0, 4), (0, 0, -7), (-5, 3, 3)]
)
@pytest.mark.parametrize("size", [160, 640])
def test_shift_and_turn_are_measured(x: float, y: float, turn: float, size: int) -> None:
    scale = size / 160
    image = part(1, size)
    place = position_of(sketch_of(moved(image, x * scale, y * scale, turn)), sketch_of(image))
    assert place is not None
    assert place.x == pytest.approx(x * scale, abs=0.4 * scale)
    assert place.y == pytest.approx(y * scale, abs=0.4 * scale)
    assert place.turn == pytest.approx(turn, abs=0.4)
    assert place.match > 0.9


def test_a_plain_image_has_no_place() -> None:
    plain = sketch_of(np.full((160, 160, 3), 90, np.uint8))
    assert position_of(plain, sketch_of(part(1))) is None


def test_sharpness_falls_with_blur_also_under_noise() -> None:
    sharp, soft = measure(part(1, noise=2.0))[0], measure(blurred(part(1, noise=0), 1.5))[0]
    assert soft.fine < 0.5 * sharp.fine
    assert soft.coarse < 0.8 * sharp.coarse


def taken(frames: list[np.ndarray]) -> list[int]:
    stillness = Stillness()
    return [index for index, frame in enumerate(frames) if stillness.ready(frame)]


def test_an_image_is_taken_once_for_each_part_that_came_to_rest() -> None:
    first, second = part(1, noise=0), part(2, noise=0)
    belt = [moved(second, x=offset) for offset in (-120, -80, -40, -10)]
    frames = [first] * 6 + belt + [second] * 6
    noisy = [shot(frame, index) for index, frame in enumerate(frames)]
    assert taken(noisy) == [2, 11 + 1]


def test_what_only_passes_is_no_new_part() -> None:
    first = part(1, noise=0)
    hand = first.copy()
    hand[:, :60] = 200
    frames = [first] * 6 + [hand, first * 0, hand] + [first] * 6
    assert taken([shot(frame, index) for index, frame in enumerate(frames)]) == [2]
