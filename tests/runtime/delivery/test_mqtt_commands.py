"""Commands over MQTT: messages to a topic of the delivery reach the one who takes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dmdd_edge.runtime.delivery import Delivery
from tests.runtime.delivery.delivery_broker import Broker, Listener


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_commands_reach_their_taker_also_after_the_broker_was_away(
    broker: Broker, deliver: Callable[..., Delivery]
) -> None:
    taken: list[bytes] = []

    def take(body: bytes) -> None:
        taken.append(body)
        if body == b"bad":
            raise ValueError(body)

    listener = Listener(broker.port)
    client: Any = listener._client
    # A retained message is an old one: it would come again with each connection.
    client.publish("line1/recipe", b"9", qos=1, retain=True).wait_for_publish(60)
    delivery = deliver(mqtt=f"mqtt://127.0.0.1:{broker.port}/line1", commands={"recipe": take})
    _wait_until(lambda: ("line1/status", b"online") in [each[:2] for each in listener.received])

    def published(body: bytes) -> None:
        def arrived() -> bool:
            client.publish("line1/recipe", body, qos=1)  # the subscription may take a moment
            time.sleep(0.05)
            return body in taken

        _wait_until(arrived)

    published(b"2")
    client.publish("line1/other", b"7", qos=1)
    published(b"bad")
    published(b"3")
    broker.stop()
    broker.start()
    listener.connect()
    client = listener._client
    published(b"4")
    delivery.close()
    listener.close()
    assert list(dict.fromkeys(taken)) == [b"2", b"bad", b"3", b"4"]
