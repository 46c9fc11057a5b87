from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from dmdd_edge import DmddError
from dmdd_edge.data.quality import FrameLimits, frame_statistics, limits_from, reason_against, view_statistics
from dmdd_edge.data.tiles import Layout, Tiling

SIZE = 64


def _plain(level: int) -> NDArray[np.uint8]:
    return np.full((SIZE, SIZE, 3), level, np.uint8)


def _part(brightness: int = 0) -> NDArray[np.uint8]:
    """A grey, structured picture: a checkerboard under noise."""
    rows, columns = np.indices((SIZE, SIZE)) // 8
    noise = np.random.default_rng(5).integers(-20, 21, (SIZE, SIZE))
    grey = 100 + 60 * ((rows + columns) % 2) + noise + brightness
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def test_statistics_of_a_picture_worked_out_by_hand() -> None:
    image = _plain(100)
    image[:16] = 0  # a quarter black
    image[16:24] = 255  # an eighth saturated
    found = frame_statistics(image)
    assert found.black == pytest.approx(0.25)
    assert found.saturated == pytest.approx(0.125)
    assert found.mean == pytest.approx(0.125 * 255 + 0.625 * 100)


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    image = _part()
    laplacian = ndimage.laplace(image[:, :, 0].astype(np.float64), mode="mirror")
    assert frame_statistics(image).sharpness == pytest.approx(laplacian.var(), rel=1e-9)
    assert frame_statistics(_plain(77)).sharpness == 0


def test_ignored_pixels_and_their_border_do_not_count() -> None:
    image = _part()
    ignored = np.zeros((SIZE, SIZE), bool)
    ignored[:, :32] = True
    filled = image.copy()
    filled[ignored] = 0
    found = frame_statistics(filled, ignored)
    assert found.mean == pytest.approx(image[:, 32:, 0].mean())
    assert found.black == 0
    # The column beside the fill sees it through the Laplacian, so it is left out as well.
    laplacian = ndimage.laplace(image[:, :, 0].astype(np.float64), mode="mirror")
    assert found.sharpness == pytest.approx(laplacian[:, 33:].var(), rel=1e-9)


def test_limits_leave_the_stated_margins() -> None:
    dark, bright = frame_statistics(_part(-20)), frame_statistics(_part(20))
    limits = limits_from([bright, dark])
    assert limits.images == 2
    assert limits.mean_min == pytest.approx(dark.mean / 2)
    assert limits.mean_max == pytest.approx((bright.mean + 255) / 2)
    assert limits.saturated_max == pytest.approx(0.5)
    assert limits.black_max == pytest.approx(0.5)
    assert limits.sharpness_min == pytest.approx(min(dark.sharpness, bright.sharpness) / 10)
    with pytest.raises(DmddError, match="no training image"):
        limits_from([])


def test_what_the_detector_makes_up_for_is_not_too_bright() -> None:
    bright = frame_statistics(np.full((64, 64, 3), 190, np.uint8))
    assert limits_from([bright]).mean_max == pytest.approx(222.5)
    assert limits_from([bright], 1.25).mean_max == pytest.approx(237.5)
    white = frame_statistics(np.full((64, 64, 3), 230, np.uint8))
    assert limits_from([white], 1.25).mean_max == 255


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (_part(), None),
        (_part(15), None),
        (_plain(0), "too dark: mean level 0"),
        (_plain(255), "too bright: mean level 255"),
        (cv2.GaussianBlur(_part(), (0, 0), 8), "blurred: sharpness"),
    ],
)
def test_judging_frames(image: NDArray[np.uint8], reason: str | None) -> None:
    limits = limits_from([frame_statistics(_part(level)) for level in (-20, 0, 20)])
    found = reason_against(frame_statistics(image), limits)
    assert found is None if reason is None else found is not None and found.startswith(reason)


def test_shares_are_judged_where_the_mean_is_not_telling() -> None:
    image = _plain(0)
    image[:28] = 255  # mean 111, but 56 % black and 44 % saturated
    limits = FrameLimits(mean_min=50, mean_max=200, saturated_max=1, black_max=0.5, sharpness_min=0, images=1)
    seen = frame_statistics(image)
    assert reason_against(seen, limits) == "too dark: 56% of the pixels are black, limit 50%"
    limits = limits.model_copy(update={"black_max": 1.0, "saturated_max": 0.25})
    assert reason_against(seen, limits) == "too bright: 44% of the pixels are saturated, limit 25%"


def test_a_dark_file_of_too_few_bits_names_the_option():
    from dmdd_edge.data.quality import hint_of_bits

    assert hint_of_bits("too dark: mean level 8", 4095).endswith("train with --bits 12)")
    assert "--bits 10" in hint_of_bits("too dark: mean level 2", 1023)
    assert hint_of_bits("too dark: mean level 8", 4096) == ""
    assert hint_of_bits("too dark: mean level 8", None) == ""
    assert hint_of_bits("blurred: sharpness 0.1", 4000) == ""


def _tiled(image: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None) -> Layout:
    shape = image.shape[0], image.shape[1]
    rows, columns = (tuple(range(0, side - SIZE + 1, SIZE)) for side in shape)
    return Layout(shape, SIZE, rows, columns, 0, Tiling(tile=SIZE, overlap=0), ignored)


def test_a_tiled_view_of_one_pattern_has_the_statistics_of_a_tile() -> None:
    tile = _part()
    view = np.tile(tile, (6, 9, 1))
    found, one = view_statistics(view, _tiled(view)), frame_statistics(tile)
    assert found.sharpness == pytest.approx(one.sharpness, rel=1e-9)
    assert found.edges == pytest.approx(one.edges, rel=1e-6)
    assert found.mean == pytest.approx(one.mean, rel=1e-9)
    assert view_statistics(tile, Layout((SIZE, SIZE), SIZE, (0,), (0,))) == one


def test_a_blur_of_two_pixels_is_seen_in_a_view_of_many_megapixels() -> None:
    view = np.tile(_part(), (32, 40, 1))
    layout = _tiled(view)
    limits = limits_from([view_statistics(view, layout)])
    blurred = np.asarray(cv2.GaussianBlur(view, (0, 0), 2), np.uint8)
    reason = reason_against(view_statistics(blurred, layout), limits)
    assert reason is not None
    assert reason.startswith("blurred")
    # Reduced to the network's input, the two can hardly be told apart: both lack all fine detail.
    small, small_blurred = (
        np.asarray(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)
        for image in (view, blurred)
    )
    small_limits = limits_from([frame_statistics(small)])
    assert reason_against(frame_statistics(small_blurred), small_limits) is None


def test_ignored_pixels_of_a_tiled_view_do_not_count() -> None:
    view = np.tile(_part(), (4, 5, 1))
    filled, ignored = view.copy(), np.zeros(view.shape[:2], np.bool_)
    filled[:, :100] = 0
    ignored[:, :100] = True
    seen = view_statistics(filled, _tiled(view, ignored))
    assert seen.black == 0
    assert seen.mean == pytest.approx(frame_statistics(_part()).mean, abs=3)
    assert seen.sharpness == pytest.approx(frame_statistics(_part()).sharpness, rel=0.05)
    everything = view_statistics(view, _tiled(view, np.ones(view.shape[:2], np.bool_)))
    assert everything.sharpness == 0
