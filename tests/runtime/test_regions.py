from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from dmdd_edge.bundle.gate import Gate, reach
from dmdd_edge.data.geometry import Geometry
from dmdd_edge.data.preprocess import Preprocess, Roi
from dmdd_edge.runtime.regions import MOST_REGIONS, find_regions


def place(shape: tuple[int, ...], size: int = 64, roi: Roi | None = None) -> Geometry:
    """The geometry of an image of this shape and its map of size x size."""
    return Preprocess(roi=roi).geometry(shape, size)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_regions_agree_with_scipy(seed: int) -> None:
    noise = np.random.default_rng(seed).random((96, 96))
    smooth = ndimage.gaussian_filter(noise, 3)
    anomaly_map = ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)
    threshold = 0.6
    labels, count = ndimage.label(anomaly_map > threshold, structure=np.ones((3, 3)))
    expected = set()
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        part = labels == number
        expected.add(
            (
                *(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start),
                *(int(part.sum()), float(anomaly_map[part].max())),
            )
        )
    regions = find_regions(anomaly_map, threshold, place((96, 96, 3), 96))
    assert 3 < count == len(regions)
    assert {(r.x, r.y, r.width, r.height, r.area, r.peak) for r in regions} == expected
    assert [r.peak for r in regions] == sorted((r.peak for r in regions), reverse=True)


def test_the_area_is_in_source_pixels() -> None:
    anomaly_map = np.zeros((64, 64), np.float32)
    anomaly_map[10:12, 20:24] = 0.9  # 8 of 4096 pixels
    (region,) = find_regions(anomaly_map, 0.5, place((640, 1280, 3)))
    assert (region.x, region.y, region.width, region.height) == (400, 100, 80, 20)
    assert region.area == 8 * 640 * 1280 // 4096
    (region,) = find_regions(anomaly_map, 0.5, place((640, 1280, 3), roi=(100, 50, 64, 32)))
    assert (region.x, region.y, region.width, region.height) == (120, 55, 4, 1)
    assert region.area == 4


def test_corners_touching_make_one_region() -> None:
    anomaly_map = np.zeros((16, 16), np.float32)
    anomaly_map[3, 3], anomaly_map[4, 4] = 0.7, 0.8
    (region,) = find_regions(anomaly_map, 0.5, place((16, 16), 16))
    assert (region.area, region.peak) == (2, pytest.approx(0.8))


def test_noise_all_over_is_cut_to_the_highest_peaks() -> None:
    anomaly_map = np.zeros((64, 64), np.float32)
    anomaly_map[::2, ::2] = np.linspace(0.6, 0.9, 1024).reshape(32, 32)  # 1024 regions of one pixel
    regions = find_regions(anomaly_map, 0.5, place((64, 64)))
    assert len(regions) == MOST_REGIONS
    assert regions[0].peak == pytest.approx(0.9)
    assert regions[-1].peak == pytest.approx(0.9 - 0.3 * 99 / 1023)


def test_nothing_above_and_everything_above() -> None:
    level = np.full((16, 16), 0.5, np.float32)
    assert find_regions(level, 0.5, place((16, 16), 16)) == ()
    (region,) = find_regions(level, 0.0, place((16, 16), 16))
    assert (region.x, region.y, region.width, region.height, region.area) == (0, 0, 16, 16, 256)


def test_regions_below_the_smallest_area_are_left_out_and_millimeters_are_reported() -> None:
    anomaly_map = np.zeros((64, 64), np.float32)
    anomaly_map[10:12, 20:24] = 0.9  # 8 pixels of the map, 1600 of the source
    anomaly_map[40, 40] = 0.95  # 1 pixel, 200 of the source, with the higher peak
    where = place((640, 1280, 3))
    small, large = find_regions(anomaly_map, 0.5, where)
    assert (small.area, large.area, small.area_mm2) == (200, 1600, None)
    for text, areas in (("200", [200, 1600]), ("201", [1600]), ("1600px", [1600]), ("1601", [])):
        found = find_regions(anomaly_map, 0.5, where, Gate(min_area=text))
        assert [region.area for region in found] == areas
    (only,) = find_regions(anomaly_map, 0.5, where, Gate(min_area="3mm2", mm_per_px=0.05))
    assert (only.area, only.area_mm2) == (1600, pytest.approx(4.0))
    assert only.to_json()["area_mm2"] == 4.0
    assert "area_mm2" not in large.to_json()
    everything = find_regions(anomaly_map, 0.5, where, Gate(mm_per_px=0.05))
    assert [region.area_mm2 for region in everything] == [pytest.approx(0.5), pytest.approx(4.0)]


def test_the_smallest_area_is_asked_of_all_regions_not_of_those_that_are_listed() -> None:
    anomaly_map = np.zeros((64, 64), np.float32)
    anomaly_map[::3, ::3] = 0.9  # 484 specks
    anomaly_map[62:, 60:] = 0.6  # and one region of 8 pixels with the lowest peak
    (found,) = find_regions(anomaly_map, 0.5, place((64, 64, 3)), Gate(min_area="8"))
    assert (found.area, found.peak) == (8, pytest.approx(0.6))


@pytest.mark.parametrize("seed", [1, 2])
def test_reach_says_the_same_as_the_regions(seed: int) -> None:
    noise = np.random.default_rng(seed).random((64, 64))
    anomaly_map = ndimage.gaussian_filter(noise, 2).astype(np.float32)
    anomaly_map = (anomaly_map - anomaly_map.min()) / np.ptp(anomaly_map)
    where = place((480, 640, 3), roi=(10, 20, 300, 200))
    gate = Gate(min_area="900px")
    limit = reach(anomaly_map, where.source_pixels, gate)
    for level in np.linspace(0, 1, 41):
        assert bool(find_regions(anomaly_map, level, where, gate)) == (level < limit)
