"""Webhooks, to a receiver that fails, hangs, refuses, goes away and comes back."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.delivery import Delivery, webhook
from dmdd_edge.runtime.latencies import Latency
from dmdd_edge.runtime.summary import Summary
from tests.runtime.delivery.delivery_receiver import Answer, Receiver, Request
from tests.runtime.delivery.delivery_results import (
    BROKEN,
    FRAME,
    Said,
    first_arrivals,
    make_result,
    wait_until,
)

Deliver = Callable[..., Delivery]
SUMMARY = Summary(2, 1, 1, 0, 1, 0, Latency(1.0, None, None), 5.0, 0.4, "cpu")


def _send(delivery: Delivery, indices: range) -> None:
    for index in indices:
        delivery.result(FRAME, make_result(index))


def test_each_message_arrives_once_in_order_over_one_connection(receiver: Receiver, deliver: Deliver) -> None:
    delivery = deliver(webhook=receiver.url, category="screw", version="20261124T081500Z-1f0c9a2b")
    _send(delivery, range(3))
    delivery.broken(BROKEN)
    delivery.summary(SUMMARY)
    delivery.close()
    messages = [request.message for request in receiver.requests]
    run = messages[0]["id"].removesuffix("-0")
    assert len(run) == 32
    added = {"category": "screw", "version": "20261124T081500Z-1f0c9a2b"}
    assert messages[:3] == [{**make_result(n).to_json(), "id": f"{run}-{n}", **added} for n in range(3)]
    assert messages[3] == {
        "type": "error",
        "source": "images/bad.png",
        "index": 3,
        "message": "images/bad.png is not an image.",
        "fix": "Remove it.",
        "id": f"{run}-3",
        **added,
    }
    assert messages[4] == {**json.loads(json.dumps(SUMMARY.to_json())), "id": f"{run}-4", **added}
    assert receiver.connections == 1
    assert {request.path for request in receiver.requests} == {"/results"}
    assert receiver.requests[2].headers["idempotency-key"] == f"{run}-2"
    assert receiver.requests[2].headers["content-type"] == "application/json"
    state = delivery.state()
    assert (state.delivered, state.waiting, state.dropped, state.refused) == (5, 0, 0, 0)
    assert state.message == ""


def test_two_runs_share_no_id_and_the_version_is_that_of_the_moment(
    receiver: Receiver, deliver: Deliver
) -> None:
    version = ["one"]
    for _ in range(2):
        delivery = deliver(webhook=receiver.url, version=lambda: version[0])
        _send(delivery, range(1))
        version[0] = "two"
        _send(delivery, range(1, 2))
        delivery.close()
    messages = [request.message for request in receiver.requests]
    assert [message["version"] for message in messages] == ["one", "two", "two", "two"]
    assert len({message["id"] for message in messages}) == 4


def test_only_what_is_not_good_is_notified(receiver: Receiver, deliver: Deliver) -> None:
    delivery = deliver(webhook=receiver.url, notify="anomalous")
    for index, status in enumerate(("good", "anomalous", "unreliable", "good")):
        delivery.result(FRAME, make_result(index, status))  # type: ignore[arg-type]
    delivery.broken(BROKEN)
    delivery.summary(SUMMARY)
    delivery.close()
    messages = [request.message for request in receiver.requests]
    assert [message.get("status", message["type"]) for message in messages] == [
        "anomalous",
        "unreliable",
        "error",
        "summary",
    ]
    # A result has the same number wherever it is sent, so what was left out leaves a gap.
    assert [message["id"].rpartition("-")[2] for message in messages] == ["1", "2", "4", "5"]


@pytest.mark.parametrize(
    "trouble", [Answer(500), Answer(503), Answer(408), Answer(429), Answer(302), Answer(misbehave="hang up")]
)
def test_what_passes_is_tried_again(
    receiver: Receiver, deliver: Deliver, said: Said, trouble: Answer
) -> None:
    def answer(request: Request) -> Answer:
        # Every message is taken at its third attempt.
        seen = sum(r.message["index"] == request.message["index"] for r in receiver.requests)
        return Answer() if seen >= 3 else trouble

    receiver.answer = answer
    delivery = deliver(webhook=receiver.url)
    _send(delivery, range(4))
    delivery.close()
    assert [request.message["index"] for request in receiver.requests if request in receiver.accepted][
        -1
    ] == 3
    assert first_arrivals([r.message["index"] for r in receiver.requests]) == [0, 1, 2, 3]
    assert len(receiver.requests) == 12
    assert delivery.state().delivered == 4
    assert len(said.about("messages are queued in")) == 1


def test_a_message_whose_answer_was_lost_comes_again_with_the_same_id(
    receiver: Receiver, deliver: Deliver
) -> None:
    receiver.answer = lambda request: Answer(misbehave="hang up" if len(receiver.requests) == 1 else "")
    delivery = deliver(webhook=receiver.url)
    _send(delivery, range(1))
    delivery.close()
    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_a_receiver_that_does_not_answer_is_tried_again(receiver: Receiver, deliver: Deliver) -> None:
    receiver.answer = lambda request: Answer(misbehave="hang" if len(receiver.requests) == 1 else "")
    delivery = deliver(webhook=receiver.url, answer_timeout=0.2)
    _send(delivery, range(2))
    wait_until(lambda: delivery.state().delivered == 2)
    assert [request.message["index"] for request in receiver.requests] == [0, 0, 1]


def test_what_is_refused_is_moved_aside(
    receiver: Receiver, deliver: Deliver, said: Said, tmp_path: Path
) -> None:
    receiver.answer = lambda request: Answer(422 if request.message["index"] % 2 else 200)
    delivery = deliver(webhook=receiver.url)
    _send(delivery, range(6))
    delivery.close()
    assert receiver.indices == [0, 2, 4]
    assert [request.message["index"] for request in receiver.requests] == list(range(6))
    state = delivery.state()
    assert (state.delivered, state.refused, state.waiting) == (3, 3, 0)
    [file] = tmp_path.rglob("refused.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["message"]["index"] for line in lines] == [1, 3, 5]
    assert {line["refused"] for line in lines} == {"HTTP 422 Unprocessable Entity"}
    # Said once, not three times.
    assert len(said.about("rejected: ")) == 1
    assert str(file) in said.about("rejected: ")[0]
    assert "3 refused" in said.lines[-1]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407, 409, 410, 423, 425, 451, 499])
def test_what_may_come_from_a_proxy_is_sent_again(receiver: Receiver, deliver: Deliver, status: int) -> None:
    receiver.answer = lambda request: Answer(status if len(receiver.requests) < 4 else 204)
    delivery = deliver(webhook=receiver.url)
    _send(delivery, range(3))
    delivery.close()
    assert receiver.indices == [0, 1, 2]
    state = delivery.state()
    assert (state.delivered, state.refused, state.waiting) == (3, 0, 0)


def test_a_proxy_is_not_used(receiver: Receiver, deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    delivery = deliver(webhook=receiver.url)
    _send(delivery, range(2))
    delivery.close()
    assert receiver.indices == [0, 1]


def test_a_receiver_that_is_down_misses_nothing(receiver: Receiver, deliver: Deliver, said: Said) -> None:
    delivery = deliver(webhook=receiver.url)
    index = 0
    for _ in range(4):
        _send(delivery, range(index, index + 10))
        wait_until(lambda start=index: len(receiver.accepted) > start)
        receiver.go_away()
        _send(delivery, range(index + 10, index + 20))
        wait_until(lambda: bool(delivery.state().message))
        assert not delivery.state().connected
        receiver.come()
        index += 20
        wait_until(lambda last=index - 1: last in receiver.indices)
    delivery.close()
    assert first_arrivals(receiver.indices) == list(range(80))
    # An outage is reported once, and its end too; those that follow within a minute are not.
    assert len(said.about("messages are queued in")) == 1
    assert len(said.about("Reconnected after")) == 1


def test_the_receivers_wish_to_be_left_alone_is_granted(receiver: Receiver, deliver: Deliver) -> None:
    receiver.answer = lambda request: (
        Answer(429, {"Retry-After": "1"}) if len(receiver.requests) == 1 else Answer()
    )
    delivery = deliver(webhook=receiver.url)
    _send(delivery, range(1))
    delivery.close()  # the end of the run does not cut it short
    first, second = receiver.requests
    assert second.time - first.time >= 0.99
    assert delivery.state().waiting == 0


def test_no_time_is_wasted_on_a_receiver_that_wants_longer_than_the_run_waits(
    receiver: Receiver, deliver: Deliver, said: Said
) -> None:
    receiver.answer = lambda request: Answer(503, {"Retry-After": "3000"})
    delivery = deliver(webhook=receiver.url, close_wait=600.0)
    _send(delivery, range(2))
    wait_until(lambda: len(receiver.requests) == 1)
    delivery.close()
    assert len(receiver.requests) == 1
    assert "2 remain for the next run" in said.lines[-1]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("999999999999", 3600.0),
        ("soon", None),
        ("-5", None),
        (None, None),
        ("²", None),
    ],
)
def test_retry_after_in_seconds(text: str | None, seconds: float | None) -> None:
    assert webhook._retry_after(text) == seconds


def test_retry_after_as_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    assert webhook._retry_after(formatdate(1_700_000_090, usegmt=True)) == 90.0
    assert webhook._retry_after(formatdate(1_600_000_000, usegmt=True)) == 0.0


def test_a_kept_connection_that_was_closed_meanwhile_is_not_an_outage(
    receiver: Receiver, deliver: Deliver, said: Said
) -> None:
    delivery = deliver(webhook=receiver.url)
    for index in range(5):
        _send(delivery, range(index, index + 1))
        wait_until(lambda count=index + 1: delivery.state().delivered == count)
        receiver.cut_connections()
        wait_until(lambda: not receiver._open)
    delivery.close()
    assert receiver.indices == list(range(5))
    assert said.about("messages are queued in") == []


def test_long_answers_do_not_get_in_the_way(receiver: Receiver, deliver: Deliver) -> None:
    receiver.answer = lambda request: Answer(200, body=b"x" * 200_000)
    delivery = deliver(webhook=receiver.url)
    _send(delivery, range(3))
    delivery.close()
    assert receiver.indices == [0, 1, 2]


def test_the_end_of_a_run_is_bounded_and_the_next_run_delivers_the_rest(
    receiver: Receiver, deliver: Deliver, said: Said
) -> None:
    receiver.answer = lambda request: Answer(misbehave="hang")
    delivery = deliver(webhook=receiver.url, answer_timeout=600.0, close_wait=0.1)
    _send(delivery, range(5))
    wait_until(lambda: len(receiver.requests) == 1)
    delivery.close()  # would take ten minutes if it waited for the answer
    state = delivery.state()
    assert (state.delivered, state.waiting) == (0, 5)
    assert "0 delivered, 5 remain for the next run, in" in said.lines[-1]
    wait_until(lambda: not delivery._sender._thread.is_alive())  # nothing continues after the end
    receiver.answer = lambda request: Answer()
    receiver.requests.clear()
    delivery = deliver(webhook=receiver.url)
    assert "Delivering 5 messages left by an earlier run" in said.lines[-1]
    _send(delivery, range(5, 7))
    delivery.close()
    assert receiver.indices == list(range(7))
    assert said.lines[-1].endswith("7 delivered.")


def test_a_result_is_taken_while_the_receiver_hangs(receiver: Receiver, deliver: Deliver) -> None:
    receiver.answer = lambda request: Answer(misbehave="hang")
    delivery = deliver(webhook=receiver.url, answer_timeout=600.0, close_wait=0.0)
    _send(delivery, range(200))  # would not come back
    assert delivery.state().waiting == 200


def test_a_run_that_is_shown_to_end_tries_once_more_at_once(receiver: Receiver, deliver: Deliver) -> None:
    receiver.go_away()
    delivery = deliver(webhook=receiver.url, first_retry=500.0, longest_retry=500.0)
    _send(delivery, range(3))
    wait_until(lambda: bool(delivery.state().message))
    receiver.come()
    delivery.close()
    assert receiver.indices == [0, 1, 2]


def test_the_body_is_signed_and_the_token_sent(
    receiver: Receiver, deliver: Deliver, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINE_KEY", "hunter2")
    monkeypatch.setenv("LINE_TOKEN", "swordfish")
    receiver.answer = lambda request: Answer(401 if len(receiver.requests) == 1 else 200)
    delivery = deliver(webhook=receiver.url, webhook_secret_env="LINE_KEY", webhook_token_env="LINE_TOKEN")
    _send(delivery, range(2))
    delivery.close()
    request = receiver.requests[1]
    expected = hmac.new(b"hunter2", request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-dmdd-signature"] == f"sha256={expected}"
    assert request.headers["authorization"] == "Bearer swordfish"
    everything = " ".join(said.lines) + repr(delivery.state())
    assert "hunter2" not in everything
    assert "swordfish" not in everything


def test_user_and_password_become_basic_authorisation(
    receiver: Receiver, deliver: Deliver, said: Said
) -> None:
    # The example of RFC 7617.
    url = receiver.url.replace("://", "://Aladdin:open%20sesame@")
    delivery = deliver(webhook=url)
    _send(delivery, range(1))
    delivery.close()
    assert receiver.requests[0].headers["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert "sesame" not in " ".join(said.lines) + repr(delivery.state())


@pytest.mark.parametrize("option", ["webhook_secret_env", "webhook_token_env"])
def test_a_secret_that_is_not_set_is_an_error(
    receiver: Receiver, deliver: Deliver, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.delenv("LINE_KEY", raising=False)
    with pytest.raises(DmddError, match=f"--{option.replace('_', '-')} names .* LINE_KEY, which is not set"):
        deliver(webhook=receiver.url, **{option: "LINE_KEY"})
    monkeypatch.setenv("LINE_KEY", "a\nb")
    with pytest.raises(DmddError, match="LINE_KEY must be printable ASCII"):
        deliver(webhook=receiver.url, **{option: "LINE_KEY"})


@pytest.fixture
def safe_receiver(certificate: tuple[Path, Path]) -> Iterator[Receiver]:
    receiver = Receiver(*certificate)
    yield receiver
    receiver.close()


def test_https_trusts_what_the_environment_names(
    safe_receiver: Receiver,
    deliver: Deliver,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    delivery = deliver(webhook=safe_receiver.url)
    _send(delivery, range(3))
    delivery.close()
    assert safe_receiver.indices == [0, 1, 2]
    assert safe_receiver.connections == 1


def test_a_run_ends_while_a_safe_receiver_hangs(
    safe_receiver: Receiver, deliver: Deliver, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    safe_receiver.answer = lambda request: Answer(misbehave="hang")
    delivery = deliver(webhook=safe_receiver.url, answer_timeout=600.0, close_wait=0.1)
    _send(delivery, range(1))
    wait_until(lambda: len(safe_receiver.requests) == 1)
    delivery.close()
    wait_until(lambda: not delivery._sender._thread.is_alive())
    assert delivery.state().waiting == 1


def test_https_trusts_nobody_else(safe_receiver: Receiver, deliver: Deliver) -> None:
    delivery = deliver(webhook=safe_receiver.url, close_wait=0.0)
    _send(delivery, range(1))
    wait_until(lambda: "its certificate is not trusted" in delivery.state().message)
    assert safe_receiver.requests == []


def test_a_file_name_that_is_not_utf8_is_still_json(receiver: Receiver, deliver: Deliver) -> None:
    delivery = deliver(webhook=receiver.url)
    source = b"images/schr\xe4ube.png".decode("utf-8", "surrogateescape")
    delivery.broken(type(BROKEN)(source, 0, BROKEN.error))
    delivery.close()
    assert receiver.requests[0].message["source"] == source
