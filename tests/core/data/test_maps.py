"""A map at another size: peaks stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dmdd_edge.data.maps import fit_map


@pytest.mark.parametrize("size", [(100, 100), (37, 61), (300, 20), (256, 256)])
def test_a_single_pixel_stays_where_it_is_and_as_high(size: tuple[int, int]) -> None:
    values = np.zeros((256, 256), np.float32)
    values[200, 40] = 0.8
    small = fit_map(values, *size)
    assert small.shape == (size[1], size[0])
    assert small.max() == pytest.approx(0.8, rel=0.35)
    row, column = divmod(int(small.argmax()), size[0])
    assert (row / size[1], column / size[0]) == (
        pytest.approx(200 / 256, abs=2 / size[1]),
        pytest.approx(40 / 256, abs=2 / size[0]),
    )


def test_a_growing_map_is_interpolated() -> None:
    values = np.random.default_rng(3).random((24, 32)).astype(np.float32)
    np.testing.assert_array_equal(fit_map(values, 80, 60), cv2.resize(values, (80, 60)))
    assert fit_map(values, 32, 24) is values
