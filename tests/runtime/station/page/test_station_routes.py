"""What the page of a station answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dmdd_edge._version import __version__
from dmdd_edge.runtime.latencies import LATENCY_BOUNDS
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.page import StationPage, open_station_page
from tests.runtime.page.asking import Answer
from tests.runtime.station.page.a_station import MOMENT, FakeStation, judged

Ask = Callable[..., Answer]


def test_the_state_of_a_station(page: StationPage, station: FakeStation, ask: Ask) -> None:
    judged(page, 1, lid=0.25, seal=0.125)
    judged(page, 2, lid=0.75, seal=None)
    judged(page, 3, late=True, lid=0.25)
    state = ask("/api/state").json
    assert (state["name"], state["program"], state["ended"]) == ("line1", __version__, False)
    assert state["state"] == {
        "online": True, "ready": True, "busy": False, "recipe": 1, "recipe_name": "product 1",
        "changing_to": 0, "fault": False, "message": "", "queued": 2, "error_code": 0,
    }  # fmt: skip
    assert state["counts"] == {
        "parts": 9, "passed": 6, "anomalous": 2, "unreliable": 1, "late": 1, "missed": 3,
    }  # fmt: skip
    assert (state["trouble"], state["kept"]) == ("", "")
    assert [(each["number"], each["name"], each["parts"], each["passed"]) for each in state["recipes"]] == [
        (1, "product 1", 8, 5),
        (12, "product 12", 0, 0),
    ]
    assert [(each["name"], each["source"], each["frames"]) for each in state["cameras"]] == [
        ("top", "genicam://1234", 0),
        ("side", "rtsp://camera/side", 8),
    ]
    lid, seal, cap = state["inspections"]
    assert lid["counts"] == {"good": 6, "anomalous": 2, "unreliable": 0, "failed": 1}
    assert (lid["category"], lid["version"], lid["threshold"]) == ("lid", "20261124-080000", 0.5)
    assert (lid["camera"], seal["camera"], seal["threshold"]) == ("top", "side", 0.25)
    assert (lid["newest"]["index"], seal["newest"]["index"], cap["newest"]) == (3, 1, None)
    assert (cap["in_force"], cap["threshold"], cap["name"]) == (False, None, "cap <b>")
    assert state["signals"] == {
        "commands": {"Trigger": 1, "PartID": 70000},
        "status": {"Ready": 1, "Pass": 0, "AcquisitionID": 42},
    }
    latest, second, first = state["parts"]
    assert (first["part_id"], first["status"], first["passed"]) == (1001, "good", True)
    assert (second["part_id"], second["status"], second["error"]) == (1002, "anomalous", "no frame came")
    assert second["score"] == 1.0  # of the one that was not judged
    assert (latest["late"], latest["passed"], latest["time"]) == (True, False, MOMENT + 3)
    assert state["latency_ms"]["p50"] == 12.5
    assert state["rate"] > 0


def test_a_station_without_plc_has_no_signals(station: FakeStation, tmp_path: Path) -> None:
    from dataclasses import replace

    from tests.runtime.page.asking import send

    page = open_station_page("127.0.0.1:0", station.settings)
    page.show(replace(station.view(), signals=None, recipe=lambda: None))
    try:
        state = send(page.url, "/api/state").json
        assert state["signals"] is None
        assert [each["in_force"] for each in state["inspections"]] == [False, False, False]
        assert page.announcement == [
            f"live page: {page.url}",
            f"to change the recipe on it: {page.url}#token={page.token}",
        ]
    finally:
        page.close()


def test_the_newest_image_of_each_inspection(page: StationPage, ask: Ask) -> None:
    assert ask("/inspections/0.jpg").status == 204
    judged(page, 1, lid=0.25, seal=0.75)
    judged(page, 2, lid=0.75)
    lid, seal = ask("/inspections/0.jpg"), ask("/inspections/1.jpg?overlay=0")
    assert '"index": 2, "status": "anomalous"' in lid.headers["Dmdd-Frame"]
    assert '"index": 1, "status": "anomalous"' in seal.headers["Dmdd-Frame"]
    drawn, plain = (
        cv2.imdecode(np.frombuffer(each.body, np.uint8), cv2.IMREAD_COLOR) for each in (lid, seal)
    )
    assert drawn is not None
    assert plain is not None
    assert plain.shape == (64, 96, 3)
    assert np.ptp(plain) <= 2  # a gray image, as it came
    assert np.ptp(drawn) > 100  # with the map over it
    assert ask("/inspections/0.jpg?have=3").status == 204
    assert ask("/inspections/2.jpg").status == 204
    for path in ("/inspections/3.jpg", "/inspections/-1.jpg", "/inspections/lid.jpg", "/frame.jpg"):
        assert ask(path).status == 404


def test_anomalies_of_all_inspections_are_kept(page: StationPage, ask: Ask) -> None:
    judged(page, 1, lid=0.25, seal=0.75)
    listed = None
    for _ in range(400):
        listed = ask("/api/state").json["anomalies"]
        if listed:
            break
    assert listed
    assert [(each["source"], each["index"], each["number"]) for each in listed] == [("seal", 1, 2)]
    assert ask("/anomalies/2-small.jpg").body[:2] == b"\xff\xd8"


@pytest.mark.parametrize("path", ["/api/recipe", "/api/clear", "/api/trigger"])
def test_changes_need_the_token(
    page: StationPage, station: FakeStation, ask: Ask, token: str, path: str
) -> None:
    for wrong in (None, "wrong-token", token[:-1]):
        answer = ask(path, "POST", {"recipe": 12}, wrong)
        assert answer.status == 401
        assert ask("/api/token", token=wrong).status == 401
    assert ask(path, "POST", {"recipe": 12}, token, Origin="http://elsewhere.example").status == 403
    assert ask(path, "POST", b'{"recipe": 12}', token, Content_Type="text/plain").status == 415
    assert ask(path, token=token).status == 405
    assert (station.desk.requested, station.desk.cleared, station.desk.triggered) == ([], 0, 0)
    assert ask(path, "POST", {"recipe": 12}, token).status == 202
    done = {"/api/recipe": [12], "/api/clear": 1, "/api/trigger": 1}[path]
    assert done in (station.desk.requested, station.desk.cleared, station.desk.triggered)


def test_what_is_no_recipe(page: StationPage, station: FakeStation, ask: Ask, token: str) -> None:
    for body in (
        {"recipe": 2},
        {"recipe": "1"},
        {"recipe": True},
        {"recipe": 1.5},
        {},
        [1],
        {"recipe": None},
    ):
        answer = ask("/api/recipe", "POST", body, token)
        assert answer.status == 400
        assert answer.json["fix"] == "Send one of 1, 12."
    assert station.desk.requested == []


def test_a_trigger_that_is_refused_says_why(
    page: StationPage, station: FakeStation, ask: Ask, token: str
) -> None:
    assert ask("/api/trigger", "POST", {}, token).json == {"acquisition_id": 7}
    station.desk.answer = ErrorCode.QUEUE_OVERFLOW
    answer = ask("/api/trigger", "POST", {}, token)
    assert (answer.status, answer.json["message"]) == (409, "The trigger was refused: queue overflow.")


def test_the_health_of_a_station(page: StationPage, station: FakeStation, ask: Ask) -> None:
    answer = ask("/healthz")
    assert answer.status == 200
    assert answer.json == {
        "status": "ok", "reason": "", "online": True, "ready": True, "fault": False, "recipe": 1,
        "error_code": 0, "cameras": {"top": True, "side": True}, "parts": 9,
    }  # fmt: skip
    station.desk.change(ready=False, changing_to=12)
    assert ask("/healthz").status == 200  # a change of recipe is no trouble
    station.desk.change(cameras={"top": "", "side": "no answer"})
    assert (ask("/healthz").status, ask("/healthz").json["reason"]) == (503, "side: no answer")
    station.desk.change(fault=True, code=ErrorCode.GRAPH_FAILED, message="The graph failed.")
    answer = ask("/healthz")
    assert (answer.status, answer.json["reason"], answer.json["error_code"]) == (503, "The graph failed.", 8)
    station.desk.change(online=False, message="")
    assert ask("/healthz").json["reason"] == "the station is not online"
    assert ask("/api/state").json["trouble"] == "the station is not online"


def test_metrics_name_camera_recipe_and_inspection(page: StationPage, station: FakeStation, ask: Ask) -> None:
    judged(page, 1, lid=0.25, seal=0.75)
    station.sources["side"].connected = False
    answer = ask("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {
        (sample.name.removeprefix("dmdd_edge_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return samples[name, frozenset(labels.items())]

    assert value("build_info", version=__version__, station="line1") == 1
    assert value("station_ready") == 1
    assert value("station_recipe") == 1
    assert value("station_state_kept") == 1
    verdicts = ("good", "anomalous", "unreliable")
    assert [value("parts_total", recipe="1", status=each) for each in verdicts] == [5, 2, 1]
    assert value("parts_total", recipe="12", status="good") == 0
    assert value("parts_passed_total", recipe="1") == 5
    assert value("parts_late_total", recipe="1") == 1
    assert value("parts_missed_total") == 3
    assert value("inspections_total", camera="top", inspection="lid", status="anomalous") == 2
    assert value("inspections_total", camera="top", inspection="lid", status="failed") == 1
    seal = {"camera": "side", "inspection": "seal"}
    assert value("threshold", **seal, category="seal", bundle="20261124-080000") == 0.25
    assert value("score", **seal) == 0.75
    assert value("source_connected", camera="top") == 1
    assert value("source_connected", camera="side") == 0
    assert value("source_frames_total", camera="side") == 8
    assert value("part_latency_seconds_count") == 1
    assert value("part_latency_seconds_sum") == 0.0125
    empty = [bound for bound in LATENCY_BOUNDS if not value("part_latency_seconds_bucket", le=f"{bound:g}")]
    assert empty == [0.001, 0.0025, 0.005, 0.01]


def test_a_station_that_has_ended_says_so(page: StationPage, ask: Ask) -> None:
    from dmdd_edge.runtime.summary import RunStatistics

    page.summary(RunStatistics("cpu").summary())
    assert ask("/api/state").json["ended"] is True


def test_the_page_itself_is_that_of_a_station(page: StationPage, ask: Ask) -> None:
    assert b'id="tiles"' in ask("/").body
    assert ask("/").body == ask("/station.html").body


def test_a_page_that_was_never_shown_gives_its_address_back(station: FakeStation) -> None:
    page = open_station_page("127.0.0.1:0", station.settings)
    page.close()
    page.close()
    again = open_station_page(page.url.removeprefix("http://").rstrip("/"), station.settings)
    again.close()


def test_without_a_band_the_station_says_nothing_about_it(page: StationPage, ask: Ask) -> None:
    judged(page, 1, lid=0.25, seal=0.125)
    assert b"suspect" not in ask("/api/state").body.lower()
    assert b"suspect" not in ask("/metrics").body.lower()


def test_suspect_parts_are_in_state_and_metrics(page: StationPage, station: FakeStation, ask: Ask) -> None:
    for _, detector in station.loaded.inspections:
        detector.threshold.suspect = 0.2
    station.desk.change(suspect=2)
    station.counts.recipes[1].suspect = station.counts.inspections["lid"].suspect = 2
    state = ask("/api/state").json
    assert state["counts"]["suspect"] == 2
    assert state["recipes"][0]["suspect"] == 2
    lid, _, cap = state["inspections"]
    assert (lid["suspect_threshold"], lid["counts"]["suspect"]) == (0.2, 2)
    assert "suspect_threshold" not in cap
    metrics = ask("/metrics").body.decode()
    for line in (
        'dmdd_edge_parts_total{recipe="1",status="suspect"} 2.0',
        'dmdd_edge_parts_total{recipe="1",status="good"} 3.0',  # 8 - 2 - 1 - 2
        'dmdd_edge_parts_total{recipe="12",status="suspect"} 0.0',
        'dmdd_edge_inspections_total{camera="top",inspection="lid",status="suspect"} 2.0',
    ):
        assert line in metrics
    assert 'dmdd_edge_suspect_threshold{bundle="20261124-080000",camera="side",category="seal"' in metrics
