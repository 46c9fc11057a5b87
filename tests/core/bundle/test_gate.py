from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from dmdd_edge import DmddError
from dmdd_edge.bundle.area import Area, parse_area
from dmdd_edge.bundle.gate import Gate, combined_gate, reach


@pytest.mark.parametrize(
    ("text", "expected", "written"),
    [
        ("120", Area(120), "120px"),
        (" 120 px ", Area(120), "120px"),
        (120, Area(120), "120px"),
        (0.5, Area(0.5), "0.5px"),
        ("2.5mm2", Area(2.5, "mm2"), "2.5mm2"),
        ("2.5 mm²", Area(2.5, "mm2"), "2.5mm2"),
        (".5mm^2", Area(0.5, "mm2"), "0.5mm2"),
        ("1e-7mm2", Area(1e-7, "mm2"), "1e-07mm2"),
        (1234567, Area(1234567), "1234567px"),
    ],
)
def test_areas(text: str | float, expected: Area, written: str) -> None:
    assert parse_area(text) == expected
    assert str(expected) == written
    assert parse_area(written) == expected


@pytest.mark.parametrize("text", ["", "px", "-3", "3cm2", "3,5mm2", "nan", "1e999", True, None])
def test_what_is_no_area(text: object) -> None:
    with pytest.raises(DmddError, match="is not an area"):
        parse_area(text)  # type: ignore[arg-type]


def test_square_millimeters_need_the_size_of_a_pixel() -> None:
    with pytest.raises(DmddError, match="size of a pixel is not known") as caught:
        combined_gate(Gate(), "2.5mm2", None)
    assert "--mm-per-px" in caught.value.fix
    gate = combined_gate(Gate(), "2.5mm2", 0.05)
    assert gate.smallest == pytest.approx(1000)  # 2.5 / 0.0025
    assert gate.square_mm(400) == pytest.approx(1.0)
    with pytest.raises(DmddError, match="--mm-per-px is 0"):
        combined_gate(Gate(), None, 0.0)


def test_what_is_given_goes_before_what_is_kept_and_millimeters_stay_millimeters() -> None:
    kept = Gate(min_area="2.5mm2", mm_per_px=0.05)
    assert combined_gate(kept, None, None) == kept
    assert combined_gate(kept, None, 0.1).smallest == pytest.approx(250)  # the camera was moved away
    assert combined_gate(kept, "30", None).smallest == 30
    assert not combined_gate(kept, "0", None)


def test_an_area_that_is_exactly_as_large_counts_in_spite_of_rounding() -> None:
    gate = Gate(min_area="1mm2", mm_per_px=0.1)  # 1 / 0.1**2 is 99.99999999999999
    assert gate.admits(100)
    assert not gate.admits(99)


@pytest.mark.parametrize("seed", range(5))
def test_reach_is_where_the_largest_region_becomes_too_small(seed: int) -> None:
    noise = np.random.default_rng(seed).random((48, 48))
    anomaly_map = ndimage.gaussian_filter(noise, 2).astype(np.float32)
    anomaly_map /= anomaly_map.max()
    gate = Gate(min_area="60px")
    found = reach(anomaly_map, 4.0, gate)  # 15 pixels of the map
    for level in np.linspace(0, 1, 101, dtype=np.float32):
        labels, count = ndimage.label(anomaly_map > level, structure=np.ones((3, 3)))
        largest = max(np.bincount(labels.ravel())[1:], default=0) if count else 0
        assert (level < found) == (4 * largest >= 60)


def test_a_map_that_is_too_small_has_no_reach_and_without_a_gate_it_is_the_peak() -> None:
    anomaly_map = np.zeros((8, 8), np.float32)
    anomaly_map[2, 3] = 0.7
    assert reach(anomaly_map, 1.0, Gate(min_area="65")) == -math.inf
    assert reach(anomaly_map, 1.0, Gate(min_area="64")) == 0.0
    assert reach(anomaly_map, 1.0, Gate(min_area="1")) == np.float32(0.7)
    assert reach(anomaly_map, 1.0, Gate()) == np.float32(0.7)


def test_nothing_is_written_that_is_not_set() -> None:
    assert Gate().model_dump() == {}
    assert Gate(mm_per_px=0.1).model_dump() == {"mm_per_px": 0.1}
