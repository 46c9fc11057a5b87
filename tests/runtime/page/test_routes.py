from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from dmdd_edge import DmddError, __version__
from dmdd_edge.runtime.page import Page, open_page, router
from dmdd_edge.runtime.page.snapshot import KEPT_SECONDS
from tests.runtime.page.a_run import BROKEN, FakeControl, feed, result_of

Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def _never_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.page.snapshot.KEPT_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def _wrong_tokens_are_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "WRONG_TOKEN_DELAY", 0.0)


def test_the_state_holds_what_the_page_shows(page: Page, control: FakeControl, ask: Ask) -> None:
    control.message = "the bundle was not changed"
    feed(control, page, result_of(0), result_of(1, 0.75, dropped=3), result_of(2, math.nan, "unreliable"))
    page.broken(BROKEN)
    state = ask("/api/state").json
    assert state["category"] == "plate"
    assert state["version"] == "20261124-080000"
    assert state["program"] == __version__
    assert state["message"] == "the bundle was not changed"
    assert (state["threshold"], state["ended"], state["trouble"]) == (0.5, False, "")
    counts = ("frames", "good", "anomalous", "unreliable", "skipped", "dropped")
    assert state["counts"] == dict(zip(counts, (3, 1, 1, 1, 0, 3), strict=True))
    assert state["latency_ms"] == {"p50": 10.0, "p90": None, "p99": None}
    assert state["age_ms"]["p50"] > 0
    assert state["source"]["reconnects"] == 2
    assert state["skipped"] == {"source": "line/x.png", "message": "line/x.png: the file is empty"}
    assert state["points"] == [
        [1, 0.25, "good", 10.0, 0.5],
        [2, 0.75, "anomalous", 10.0, 0.5],
        [3, None, "unreliable", 10.0, 0.5],
    ]
    assert state["latest"]["number"] == 3
    assert [point[0] for point in ask("/api/state?after=2").json["points"]] == [3]
    for odd in ("-1", "x", "", "1" * 30, "٣"):
        assert len(ask(f"/api/state?after={'%D9%A3' if odd == '٣' else odd}").json["points"]) == 3
    (interval,) = ask("/api/history").json["intervals"]
    assert (interval["frames"], interval["highest_score"]) == (3, 0.75)
    assert "suspect" not in json.dumps([state, interval])
    assert "suspect" not in ask("/metrics").body.decode()


def test_the_end_of_the_run_is_shown(page: Page, control: FakeControl, ask: Ask) -> None:
    page.summary(control.statistics.summary())
    assert ask("/api/state").json["ended"] is True


def test_the_run_is_asked_four_times_a_second_at_most(
    page: Page, control: FakeControl, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KEPT_SECONDS == 0.25
    monkeypatch.setattr("dmdd_edge.runtime.page.snapshot.KEPT_SECONDS", 3600.0)
    for path in ("/api/state", "/metrics", "/healthz", "/api/state"):
        ask(path)
    assert control.asked == 1


def test_the_current_frame(page: Page, control: FakeControl, ask: Ask) -> None:
    assert ask("/frame.jpg").status == 204
    feed(control, page, result_of(7, 0.75))
    answer = ask("/frame.jpg")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    said = json.loads(answer.headers["Dmdd-Frame"])
    assert (said["number"], said["index"], said["status"], said["score"]) == (1, 7, "anomalous", 0.75)
    drawn, plain = (
        cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        for body in (answer.body, ask("/frame.jpg?overlay=0").body)
    )
    assert drawn is not None
    assert plain is not None
    assert plain.shape == (64, 96, 3)
    assert drawn.shape == (256, 384, 3), "enlarged, so that the boxes can be seen"
    np.testing.assert_allclose(plain, 90, atol=3)
    # Twice the threshold is red: in BGR the last channel leads.
    assert drawn[96, 144, 2] > 150 > drawn[96, 144, 0]
    assert ask("/frame.jpg?have=1").status == 204, "nothing newer"


def test_names_that_http_could_stumble_over(page: Page, control: FakeControl, ask: Ask) -> None:
    frame, result = result_of(0)
    name = 'Prüfling\r\nSet-Cookie: a=b\n"日本".png'
    feed(control, page, (frame, type(result)(**{**result.__dict__, "source": name})))
    answer = ask("/frame.jpg")
    assert answer.headers["Set-Cookie"] is None
    assert json.loads(answer.headers["Dmdd-Frame"])["source"] == name
    assert ask("/api/state").json["latest"]["source"] == name


def test_the_last_anomalies(page: Page, control: FakeControl, ask: Ask) -> None:
    feed(control, page, result_of(0), result_of(1, 0.75))
    done = threading.Event()
    while not (listed := ask("/api/state").json["anomalies"]):
        done.wait(0.02)
    assert [(one["number"], one["score"], one["passed"], one["regions"]) for one in listed] == [
        (2, 0.75, 0, 1)
    ]
    for path in ("/anomalies/2.jpg", "/anomalies/2-small.jpg"):
        answer = ask(path)
        assert (answer.status, answer.body[:2]) == (200, b"\xff\xd8")
    for path in ("/anomalies/1.jpg", "/anomalies/2.png", "/anomalies/%32%0A.jpg", "/anomalies/-2.jpg"):
        assert ask(path).status == 404
    # One that was replaced by newer ones is an image that says so: the browser may list it for a moment.
    page._gallery._last_dropped = 1
    answer = ask("/anomalies/1-small.jpg")
    assert (answer.status, answer.headers["Content-Type"], answer.body[:4]) == (200, "image/svg+xml", b"<svg")
    assert ask("/anomalies/3.jpg").status == 404


def test_the_threshold_needs_the_token(
    page: Page, control: FakeControl, ask: Ask, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    for wrong in (None, "wrong-token", token + "x", token[:-1]):
        answer = ask("/api/threshold", "POST", {"threshold": 0.3}, wrong)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json["message"]
        assert ask("/api/token", token=wrong).status == 401
    assert control.threshold == 0.5
    assert ask("/api/token", token=token).status == 204
    answer = ask("/api/threshold", "POST", {"threshold": 0.3}, token)
    assert (answer.status, answer.json) == (200, {"threshold": 0.3, "before": 0.5})
    assert control.threshold == 0.3
    assert ask("/api/state").json["threshold"] == 0.3
    assert "changed 0.5 -> 0.3 by 127.0.0.1" in caplog.text
    assert token not in caplog.text


def test_a_changed_threshold_is_seen_at_once(
    page: Page, ask: Ask, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.page.snapshot.KEPT_SECONDS", 3600.0)
    assert ask("/api/state").json["threshold"] == 0.5
    ask("/api/threshold", "POST", {"threshold": 0.3}, token)
    assert ask("/api/state").json["threshold"] == 0.3


def test_a_wrong_token_has_to_wait(page: Page, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(router, "WRONG_TOKEN_DELAY", 1.0)
    monkeypatch.setattr("dmdd_edge.runtime.page.router.asyncio.sleep", sleep)
    ask("/api/token", token="wrong-token")
    assert waited[-1] == 1.0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"threshold": 1.5}, "out of range"),
        ({"threshold": -0.1}, "out of range"),
        ({"threshold": "0.3"}, "must be a number"),
        ({"threshold": True}, "must be a number"),
        ({"threshold": None}, "must be a number"),
        ({}, "must be a number"),
        ([0.3], "must be a number"),
        (b"", "must be a number"),
        (b"{", "must be a number"),
        (b"\xff\xfe", "must be a number"),
        (b'{"threshold": NaN}', "must be a number"),
        (b'{"threshold": 1e999}', "must be a number"),
        (b'{"threshold": ' + b"9" * 400 + b"}", "must be a number"),
        (b"[" * 4000, "must be a number"),
    ],
)
def test_what_is_no_threshold(
    body: Any, said: str, page: Page, control: FakeControl, ask: Ask, token: str
) -> None:
    answer = ask("/api/threshold", "POST", body, token, Content_Type="application/json")
    assert answer.status == 400
    assert said in answer.json["message"]
    assert control.threshold == 0.5


def test_no_other_site_can_change_the_threshold(
    page: Page, control: FakeControl, ask: Ask, token: str
) -> None:
    own = page.url.rstrip("/")
    for origin in ("http://evil.example", "null", own.replace("127.0.0.1", "localhost")):
        answer = ask("/api/threshold", "POST", {"threshold": 0.3}, token, Origin=origin)
        assert answer.status == 403
    # What a form of another site can send without asking first, had it the token.
    answer = ask("/api/threshold", "POST", b'{"threshold": 0.3}', token, Content_Type="text/plain")
    assert answer.status == 415
    assert ask("/api/threshold?threshold=0.3", token=token).status == 405
    assert control.threshold == 0.5
    assert ask("/api/threshold", "POST", {"threshold": 0.3}, token, Origin=own).status == 200
    allowed = [name for name in answer.headers if name.lower().startswith("access-control")]
    assert allowed == []


def test_a_name_that_was_pointed_here_reads_nothing(page: Page, ask: Ask, token: str) -> None:
    for path in ("/", "/api/state", "/frame.jpg", "/metrics", "/healthz", "/page.js"):
        assert ask(path, Host="evil.example:8080").status == 421
    answer = ask("/api/threshold", "POST", {"threshold": 0.3}, token, Host="evil.example")
    assert answer.status == 421
    assert ask("/api/state", Host="localhost:9000").status == 200, "a tunnel has another port"


def test_a_page_for_others_goes_by_any_name(control: FakeControl) -> None:
    import http.client

    page = open_page("0.0.0.0:0", control)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(page.url).port, timeout=20)
        connection.request("GET", "/healthz", headers={"Host": "line-2.factory.example"})
        assert connection.getresponse().status == 200
        connection.close()
        first, second, third = page.announcement
        assert first == f"live page: {page.url}"
        assert page.token in second
        assert third.startswith("warning: every machine that reaches 0.0.0.0:")
    finally:
        page.close()


def test_what_is_reported_at_the_start(page: Page, token: str) -> None:
    assert page.announcement == [f"live page: {page.url}"], "a token that was given is not repeated"
    assert page.token == token


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/../page.py", "/%2e%2e/page.py", "/..%2fpage.py", "//etc/passwd", "/assets/page.js"),
        *("/page.js/", "/page.js%00", "/.%2e/routes.py", "/index.html/../../page.py"),
    ],
)
def test_nothing_else_is_read_from_the_disk(path: str, page: Page, ask: Ask) -> None:
    assert ask(path).status == 404


def test_every_answer_forbids_what_the_page_does_not_need(page: Page, ask: Ask) -> None:
    for path in ("/", "/page.css", "/page.js", "/icon.svg", "/api/state", "/nothing"):
        headers = ask(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert ask("/page.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert ask("/", "POST").status == 405
    assert ask("/", "HEAD").body == b""


def test_health(page: Page, control: FakeControl, ask: Ask) -> None:
    feed(control, page, result_of(0))
    answer = ask("/healthz")
    assert answer.status == 200
    assert answer.json["status"] == "ok"
    assert answer.json["age_limit"] == 10.0
    assert answer.json["source"] == "rtsp://camera/line"
    control.source.frame_age = 10.5
    answer = ask("/healthz")
    assert (answer.status, answer.json["reason"]) == (503, "no frame for 10 s (at most 10 s)")
    control.source.fps = 0.25  # one frame in four seconds: five of them may be missing
    assert (ask("/healthz").status, ask("/healthz").json["age_limit"]) == (200, 20.0)
    control.source.live = False  # files wait for nobody
    control.source.frame_age = 4000.0
    assert ask("/healthz").status == 200
    control.source.connected, control.source.message = False, "no answer, trying again in 4 s"
    answer = ask("/healthz")
    assert (answer.status, answer.json["status"]) == (503, "unhealthy")
    assert answer.json["reason"] == "no answer, trying again in 4 s"
    assert ask("/api/state").json["trouble"] == "no answer, trying again in 4 s"


def test_a_camera_that_waits_for_triggers_is_healthy_for_hours(
    page: Page, control: FakeControl, ask: Ask
) -> None:
    feed(control, page, result_of(0))
    control.source.triggered, control.source.frames, control.source.frame_age = True, 1, 7200.0
    assert ask("/healthz").status == 200
    control.source.frame_age = None  # no trigger since the start
    assert ask("/healthz").status == 200
    control.source.frames, control.source.frame_age = 2, 12.0  # the second frame never had a result
    answer = ask("/healthz")
    assert (answer.status, answer.json["status"]) == (503, "unhealthy")
    assert answer.json["reason"] == "no result for a frame of 12 s ago (at most 10 s)"
    control.source.frames, control.source.connected, control.source.message = 1, False, "no answer"
    assert ask("/healthz").json["reason"] == "no answer"


def test_a_run_that_hangs_is_not_healthy(
    page: Page, control: FakeControl, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.page.snapshot.HEALTHY_AGE", -1.0)
    control.source.frame_age, control.source.fps = -2.0, None  # fresh frames, as this limit goes
    assert ask("/healthz").json["reason"].startswith("frames arrive, but no result for 0 s")
    control.source.frame_age = None  # none yet, and the run is older than the limit
    assert ask("/healthz").json["reason"].startswith("no frame for 0 s")


def test_metrics_are_what_prometheus_reads(page: Page, control: FakeControl, ask: Ask) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client")
    control.version = 'a "quoted" \\ one\nwith a break'
    feed(control, page, result_of(0), result_of(1, 0.75, latency=30, dropped=3))

    def read() -> dict[str, Any]:
        answer = ask("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return {family.name: family for family in parser.text_string_to_metric_families(answer.body.decode())}

    families = read()
    assert all(family.documentation for family in families.values())
    assert all(name.startswith("dmdd_edge_") for name in families)

    def value(name: str, suffix: str = "", **labels: str) -> float:
        samples = families[name].samples
        (found,) = [s.value for s in samples if s.name == name + suffix and s.labels == labels]
        return float(found)

    assert families["dmdd_edge_frames"].type == "counter"
    assert value("dmdd_edge_frames", "_total", status="good") == 1
    assert value("dmdd_edge_frames", "_total", status="anomalous") == 1
    assert value("dmdd_edge_frames", "_total", status="unreliable") == 0
    assert value("dmdd_edge_frames_dropped", "_total") == 3
    assert value("dmdd_edge_frames_skipped", "_total") == 0
    assert value("dmdd_edge_source_reconnects", "_total") == 2
    assert value("dmdd_edge_source_connected") == 1
    assert value("dmdd_edge_score") == 0.75
    assert value("dmdd_edge_threshold") == 0.5
    assert value("dmdd_edge_last_frame_time_seconds") == 1795507201.0
    assert families["dmdd_edge_latency_seconds"].type == "histogram"
    assert value("dmdd_edge_latency_seconds", "_bucket", le="0.01") == 1
    assert value("dmdd_edge_latency_seconds", "_bucket", le="0.025") == 1
    assert value("dmdd_edge_latency_seconds", "_bucket", le="0.05") == 2
    assert value("dmdd_edge_latency_seconds", "_bucket", le="+Inf") == 2
    assert value("dmdd_edge_latency_seconds", "_count") == 2
    assert value("dmdd_edge_latency_seconds", "_sum") == pytest.approx(0.04)
    assert value("dmdd_edge_stage_seconds", "_sum", stage="infer") == pytest.approx(0.02)
    (build,) = families["dmdd_edge_build_info"].samples
    names = ("version", "category", "bundle", "backend")
    assert build.labels == dict(zip(names, (__version__, "plate", control.version, "cpu"), strict=True))
    feed(control, page, result_of(2, math.nan, "unreliable"))
    control.source.connected = False
    families = read()
    assert value("dmdd_edge_frames", "_total", status="unreliable") == 1
    assert value("dmdd_edge_source_connected") == 0
    assert math.isnan(value("dmdd_edge_score"))


def test_metrics_without_prometheus_client_say_what_to_install(
    page: Page, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "dmdd_edge.runtime.page.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    answer = ask("/metrics")
    assert (answer.status, "pip install prometheus-client" in answer.body.decode()) == (501, True)
    assert ask("/api/state").status == 200


def test_a_run_that_cannot_answer_ends_neither_page_nor_run(
    page: Page, control: FakeControl, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise DmddError("the backend is gone")

    monkeypatch.setattr(control, "state", broken)
    assert ask("/api/state").status == 500
    monkeypatch.undo()
    assert ask("/api/state").status == 200


def test_a_page_leaves_nothing_behind(control: FakeControl) -> None:
    before = set(threading.enumerate())
    page = open_page("127.0.0.1:0", control)
    feed(control, page, result_of(0, 0.75))
    page.close()
    feed(control, page, result_of(1, 0.75))  # nobody looks any more
    page.close()
    assert set(threading.enumerate()) <= before
    port = urlsplit(page.url).port
    open_page(f"127.0.0.1:{port}", control).close()
