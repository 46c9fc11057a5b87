"""What the page of a run answers where a frame can be suspect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dmdd_edge.runtime.page import Page
from tests.runtime.page.a_run import FakeControl, feed, result_of
from tests.runtime.page.chromium import Browser
from tests.runtime.page.looks import shows

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


@pytest.mark.slow
def test_the_page_shows_suspect_frames_only_where_there_can_be_some(
    browser: Browser, page: Page, control: FakeControl
) -> None:
    visible = "getComputedStyle(document.querySelector('[data-band-only]')).display !== 'none'"
    feed(control, page, result_of(0))
    browser.open(page.url)
    shows(browser, "#verdict", "Good")
    browser.until("document.body.dataset.band === 'false'")
    assert not browser.js(visible)
    control.suspect_threshold = 0.4
    feed(control, page, result_of(1, 0.45, "suspect", suspect_threshold=0.4))
    shows(browser, "#verdict", "Suspect")
    assert browser.text("#verdict-score") == "0.4000 < 0.4500 ≤ 0.5000"
    assert browser.js("document.querySelector('#verdict use').getAttribute('href')") == "#sign-suspect"
    browser.until("document.getElementById('count-suspect').textContent === '1'")
    assert browser.js(visible)
    browser.until("document.querySelector('.marks-suspect').getAttribute('d') !== ''")
    browser.until("document.querySelector('#gallery b')?.dataset.status === 'suspect'")
    feed(control, page, result_of(2, 0.75, "good", suspect_threshold=0.4, gated=True))
    shows(browser, "#verdict-score", "0.7500 > 0.5000, no region is large enough")
    assert browser.complaints == []
