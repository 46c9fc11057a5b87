"""A camera's clock read as this machine's."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from dmdd_edge.runtime.sources.clock_map import ClockMap


def test_a_frame_that_waited_on_its_way_keeps_its_own_time() -> None:
    clock = ClockMap()
    assert clock.local(100.004, 5000.0) == pytest.approx(100.004)
    # Both arrive together, 300 ms late, after this program was busy.
    assert clock.local(100.400, 5000.1) == pytest.approx(100.104)
    assert clock.local(100.401, 5000.2) == pytest.approx(100.204)


def test_the_shortest_way_shows_the_offset() -> None:
    draw = random.Random(1)
    clock = ClockMap()
    ways = [0.02 + draw.uniform(0, 0.05) for _ in range(50)]
    for number, way in enumerate(ways):
        local = clock.local(10 + 0.1 * number + way, 0.1 * number)
        assert local == pytest.approx(10 + 0.1 * number + min(ways[: number + 1]))


def test_a_camera_whose_clock_is_slow_is_followed() -> None:
    clock = ClockMap()
    # 100 millionths slower than this machine, for ten minutes: 60 ms in all, 6 ms within a minute.
    errors = [clock.local(number, number * (1 - 1e-4)) - number for number in range(1, 600)]
    assert max(errors) <= 0
    assert min(errors) >= -0.0061


@pytest.mark.parametrize("there", [[0.0, 0.0, 0.0], [9.0, 5.0, 1.0], [0.0, 1000.0, 2000.0]])
def test_a_clock_that_cannot_be_one_is_not_believed(there: list[float]) -> None:
    clock = ClockMap()
    assert [clock.local(here, time) for here, time in zip((1.0, 2.5, 4.0), there, strict=True)] == [
        1.0,
        2.5,
        4.0,
    ]


def test_times_stay_in_order_while_the_offset_is_learnt() -> None:
    draw = random.Random(2)
    clock = ClockMap()
    local = [clock.local(7 + 0.1 * number + draw.uniform(0, 0.09), 0.1 * number) for number in range(200)]
    assert all(earlier < later for earlier, later in pairwise(local[50:]))


def test_a_restarted_camera_begins_again() -> None:
    clock = ClockMap()
    clock.local(10.0, 5000.0)
    clock.reset()
    assert clock.local(20.0, 1.0) == 20.0
