"""Two MQTT clients with one id: the broker serves the last, and the message says why the other is cut off."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmdd_edge.runtime.delivery import Delivery
from dmdd_edge.runtime.delivery.address import parse_mqtt
from dmdd_edge.runtime.delivery.transport import UnreachableError
from tests.runtime.delivery.delivery_broker import Broker
from tests.runtime.delivery.delivery_results import FRAME, Said, make_result, wait_until

pytest.importorskip("paho.mqtt", reason="no paho-mqtt: pip install '.[mqtt]'")


class _Ended:
    """A session that the broker ended."""

    alive, ended_by_broker, in_flight = False, True, 1

    def __init__(self, taken_over: bool, seconds: float) -> None:
        self.taken_over, self.seconds = taken_over, seconds

    def drop(self) -> None:
        pass


def test_two_clients_with_one_id_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    from dmdd_edge.runtime.delivery.mqtt import MqttTransport

    def ends(transport: MqttTransport, taken_over: bool, seconds: float) -> str:
        transport._session = _Ended(taken_over, seconds)  # type: ignore[assignment]
        try:
            transport.open()
        except UnreachableError as error:
            return error.reason
        return ""

    monkeypatch.setattr(MqttTransport, "_connect", lambda self: None)
    five = MqttTransport(parse_mqtt("mqtt://h/t?client_id=line1"))
    reason = ends(five, True, 300.0)
    assert reason.startswith("another client with the client_id line1 took over the connection")
    # MQTT 3.1.1 has no such word: the broker closes the connection, again and again.
    old = MqttTransport(parse_mqtt("mqtt://h/t?client_id=line1"))
    assert [ends(old, False, 0.4) for _ in range(2)] == ["", ""]
    assert "if another client has the client_id line1, use a different client_id" in ends(old, False, 0.4)
    assert [ends(old, False, 300.0), ends(old, False, 0.4), ends(old, False, 0.4)] == ["", "", ""]
    # An id that was drawn at random is nobody else's.
    drawn = MqttTransport(parse_mqtt("mqtt://h/t"))
    assert [ends(drawn, False, 0.4) for _ in range(4)] == [""] * 4


def test_two_clients_with_one_id_at_a_real_broker(
    broker: Broker, deliver: Callable[..., Delivery], said: Said
) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}/plant/line3?client_id=line1"
    first = deliver(url, category="one")
    wait_until(lambda: first.state().connected)
    second = deliver(url, category="two")
    # Which of the two words it is depends on the broker.
    wait_until(lambda: bool(said.about("client_id line1 took over") + said.about("has the client_id line1")))
    second.close()
    for index in range(2):
        first.result(FRAME, make_result(index))
    wait_until(lambda: first.state().delivered == 2)
