"""Lines that are about no single frame, such as a station's parts, as messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmdd_edge.runtime.delivery import Delivery
from tests.runtime.delivery.delivery_receiver import Receiver

LINES: list[dict[str, Any]] = [
    {"type": "part", "part_id": 1, "status": "good", "late": False},
    {"type": "part", "part_id": 2, "status": "anomalous", "late": False},
    {"type": "part", "part_id": 3, "status": "unreliable", "late": False},
    {"type": "part", "part_id": 4, "status": "good", "late": True},
    {"type": "missed", "part_id": 5},
]


@pytest.mark.parametrize(("notify", "delivered"), [("all", [1, 2, 3, 4, 5]), ("anomalous", [2, 3, 4, 5])])
def test_whatever_did_not_pass_is_delivered(
    receiver: Receiver, deliver: Callable[..., Delivery], notify: str, delivered: list[int]
) -> None:
    delivery = deliver(webhook=receiver.url, notify=notify)
    for line in LINES:
        delivery.line(dict(line))
    delivery.close()
    messages = [request.message for request in receiver.requests]
    assert [message["part_id"] for message in messages] == delivered
    ids = [message.pop("id") for message in messages]
    run = ids[0].rpartition("-")[0]
    # Omitted lines are counted too, so that all destinations give a part the same id.
    assert ids == [f"{run}-{number - 1}" for number in delivered]
    assert messages == [line for line in LINES if line["part_id"] in delivered]
