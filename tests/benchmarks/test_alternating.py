from __future__ import annotations

from typing import Any

import alternating
import numpy as np
import pytest
from alternating import alternate, block_ratios


def test_sessions_alternate_and_the_warm_up_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(alternating, "run_session", lambda session, image: order.append(session))
    sessions: dict[str, Any] = {"a": "A", "b": "B"}
    times = alternate(sessions, np.zeros((1, 2, 2, 3), np.uint8), warm_up=1, runs=3)
    assert "".join(order) == "BAABBAAB"
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_the_ratio_of_each_block_is_that_of_its_medians() -> None:
    first = [2.0, 2.0, 9.0, *[4.0] * 12]
    assert block_ratios(first, [2.0] * 15) == [1.0, 2.0, 2.0, 2.0, 2.0]
