"""The page over a real station: two recipes, a camera that is made up, and a change from the page."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.station.counters import Counters
from dmdd_edge.runtime.station.engine import StationEngine
from dmdd_edge.runtime.station.page import StationView, open_station_page
from tests.runtime.page.asking import send
from tests.runtime.station.constant_bundles import station_settings, wait_until, write_constant_bundle
from tests.runtime.station.running import Camera, Running

TOKEN = "correct-horse"


def test_the_page_of_a_real_station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.station.page.snapshot.KEPT_SECONDS", 0.0)
    for category, score in (("lid", 0.25), ("seal", 0.75)):
        write_constant_bundle(tmp_path / "models", category, score)
    settings = station_settings(tmp_path, {"lid": "lid", "seal": "seal"}, {1: ["lid"], 2: ["lid", "seal"]})
    cameras = {"top": Camera()}
    with (
        closing(Counters(settings.state_dir, print)) as counters,
        closing(open_station_page("127.0.0.1:0", settings, TOKEN)) as page,
    ):
        engine = StationEngine(settings, cameras, counters, [page])
        engine.desk.events.observe(page)
        page.show(StationView(settings, engine.desk, counters, cameras, engine.book.current))
        station = Running(engine)
        station.start()
        station.ready()
        try:
            assert send(page.url, "/api/trigger", "POST", {}, TOKEN).json == {"acquisition_id": 1}
            wait_until(lambda: len(send(page.url, "/api/state").json["parts"]) == 1)
            assert send(page.url, "/api/recipe", "POST", {"recipe": 2}, TOKEN).status == 202
            wait_until(lambda: send(page.url, "/api/state").json["state"]["recipe"] == 2)
            station.trigger(2)

            def shown() -> list[Any]:
                inspections = send(page.url, "/api/state").json["inspections"]
                return [each["newest"] and each["newest"]["index"] for each in inspections]

            wait_until(lambda: shown() == [3, 3])
            wait_until(lambda: len(send(page.url, "/api/state").json["parts"]) == 3)
            state = send(page.url, "/api/state").json
            image = send(page.url, "/inspections/1.jpg")
            metrics = send(page.url, "/metrics").body.decode()
            assert send(page.url, "/healthz").status == 200
        finally:
            station.stop()
    assert [(part["acquisition_id"], part["recipe"], part["status"]) for part in state["parts"]] == [
        (3, 2, "anomalous"),
        (2, 2, "anomalous"),
        (1, 1, "good"),
    ]
    assert [each["newest"]["score"] for each in state["inspections"]] == [0.25, 0.75]
    assert [each["parts"] for each in state["recipes"]] == [1, 2]
    assert state["inspections"][0]["counts"]["good"] == 3
    assert state["inspections"][1]["counts"]["anomalous"] == 2
    assert (image.status, image.body[:2]) == (200, b"\xff\xd8")
    assert 'dmdd_edge_inspections_total{camera="top",inspection="seal",status="anomalous"} 2.0' in metrics
