"""What the page of a run answers where a frame can be suspect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dmdd_edge.runtime.page import Page
from tests.runtime.page.a_run import FakeControl, feed, result_of

Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def _never_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.page.snapshot.KEPT_SECONDS", 0.0)


def test_a_band_is_in_state_history_gallery_and_metrics(page: Page, control: FakeControl, ask: Ask) -> None:
    control.suspect_threshold = 0.4
    feed(control, page, result_of(0, suspect_threshold=0.4))
    state = ask("/api/state").json
    assert (state["suspect_threshold"], state["counts"]["suspect"], state["anomalies"]) == (0.4, 0, [])
    feed(control, page, result_of(1, 0.45, "suspect", suspect_threshold=0.4))
    state = ask("/api/state").json
    assert (state["counts"]["suspect"], state["counts"]["good"], state["counts"]["frames"]) == (1, 1, 2)
    assert state["points"][1][2] == "suspect"
    assert (state["latest"]["status"], state["latest"]["suspect_threshold"]) == ("suspect", 0.4)
    done = threading.Event()
    while not (listed := ask("/api/state").json["anomalies"]):  # it is drawn in another thread
        done.wait(0.02)
    assert [each["status"] for each in listed] == ["suspect"]
    (interval,) = ask("/api/history").json["intervals"]
    assert (interval["suspect"], interval["anomalous"]) == (1, 0)
    metrics = ask("/metrics").body.decode()
    assert 'dmdd_edge_frames_total{status="suspect"} 1.0' in metrics
    assert "dmdd_edge_suspect_threshold 0.4" in metrics
