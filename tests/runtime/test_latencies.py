"""Latencies are counted once: the newest for percentiles, all of them by bounds."""

from __future__ import annotations

import pytest

from dmdd_edge.runtime.latencies import KEPT_LATENCIES, Latencies, NewestValues
from dmdd_edge.runtime.result import Timings


def test_latencies_are_counted_by_bounds() -> None:
    latencies = Latencies()
    for milliseconds in (0.5, 1.0, 1.5, 60, 9000):
        latencies.add_timings(Timings(milliseconds / 2, 0.0, milliseconds / 2, 0.0))
    histogram = latencies.histogram()
    # Bounds 1, 2.5, 5, 10, 25, 50, 100 ms ...; a value on a bound counts as below it.
    assert histogram.counts == (2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    assert histogram.seconds == pytest.approx(9.063)
    assert histogram.stages == pytest.approx({"capture": 4.5315, "prepare": 0, "infer": 4.5315, "finish": 0})
    assert latencies.percentiles().p50 == 1.5


def test_a_histogram_does_not_change_later() -> None:
    latencies = Latencies()
    before = latencies.histogram()
    latencies.add_timings(Timings(infer=1.0))
    assert sum(before.counts) == 0
    assert before.stages["infer"] == 0


def test_the_newest_values_are_bounded() -> None:
    values = NewestValues()
    for number in range(KEPT_LATENCIES + 10):
        values.add(float(number))
    assert len(values) == KEPT_LATENCIES
    # 10 to 65545: the nearest rank of the median is the 32768th.
    assert values.percentiles().p50 == 10 + 32768 - 1
