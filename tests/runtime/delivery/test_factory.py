"""From options to deliveries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.delivery import Delivery, DeliveryOptions, open_delivery
from dmdd_edge.runtime.delivery.options import default_spool
from tests.runtime.delivery.delivery_receiver import Receiver
from tests.runtime.delivery.delivery_results import FRAME, Said, make_result, wait_until

Deliver = Callable[..., Delivery]


def test_the_spools_lie_in_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/line")
    assert default_spool() == Path("/home/line/.local/state/dmdd-edge/spool")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/line/state")
    assert default_spool() == Path("/home/line/state/dmdd-edge/spool")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/dmdd-edge:/var/lib/other")
    assert default_spool() == Path("/var/lib/dmdd-edge/spool")


def test_nothing_is_opened_for_nothing() -> None:
    assert open_delivery() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"notify": "bad"}, "--notify 'bad' is unknown"),
        ({"fsync": "hourly"}, "--fsync 'hourly' is unknown"),
        ({"spool_limit": 5}, "--spool-limit must be at least 64 KiB"),
    ],
)
def test_wrong_options_are_errors(deliver: Deliver, options: dict[str, object], message: str) -> None:
    with pytest.raises(DmddError, match=message):
        deliver(webhook="http://localhost:9/", **options)


def test_a_result_has_the_same_id_at_both(receiver: Receiver, tmp_path: Path, said: Said) -> None:
    pytest.importorskip("paho.mqtt")
    options = DeliveryOptions(spool=tmp_path, category="screw", fsync="never", close_wait=0.0)
    broker, hook = open_delivery("mqtt://localhost:9/line", receiver.url, options, said)
    for delivery in (broker, hook):
        delivery.result(FRAME, make_result())
    wait_until(lambda: hook.state().delivered == 1)
    broker.close()
    hook.close()
    [file] = (tmp_path / "screw").glob("mqtt-*/*.spool")
    assert receiver.requests[0].body in file.read_bytes()


def test_one_that_cannot_be_opened_leaves_none_open(receiver: Receiver, tmp_path: Path, said: Said) -> None:
    pytest.importorskip("paho.mqtt")
    options = DeliveryOptions(spool=tmp_path, close_wait=0.0)
    [first] = open_delivery(webhook=receiver.url, options=options, say=said)
    with pytest.raises(DmddError, match="is in use by process"):
        open_delivery("mqtt://localhost:9/line", receiver.url, options, said)
    first.close()
    for delivery in open_delivery("mqtt://localhost:9/line", receiver.url, options, said):
        delivery.close()


def test_categories_do_not_share_a_spool(receiver: Receiver, deliver: Deliver) -> None:
    deliver(webhook=receiver.url, category="screw")
    deliver(webhook=receiver.url, category="nut")
    with pytest.raises(DmddError, match="is in use by process"):
        deliver(webhook=receiver.url, category="screw")


def test_what_the_limit_drops_is_reported_and_counted(
    receiver: Receiver, deliver: Deliver, said: Said
) -> None:
    receiver.go_away()
    delivery = deliver(webhook=receiver.url, spool_limit=64 << 10, close_wait=0.0)
    for index in range(500):
        delivery.result(FRAME, make_result(index))
    dropped = delivery.state().dropped
    assert dropped > 100
    assert delivery.state().waiting == 500 - dropped
    assert len(said.about("dropped so far, oldest first: the spool has reached its limit of 64 KiB")) == 1
    delivery.close()
    assert f"{500 - dropped} remain for the next run" in said.lines[-1]
    assert f"{dropped} dropped" in said.lines[-1]


def test_the_state_says_what_is_wrong_and_is_json(receiver: Receiver, deliver: Deliver) -> None:
    receiver.go_away()
    delivery = deliver(webhook=receiver.url, close_wait=0.0)
    delivery.result(FRAME, make_result())
    wait_until(lambda: bool(delivery.state().message))
    assert delivery.state().to_json() == {
        "name": f"http://localhost:{receiver.port}/results",
        "delivered": 0,
        "waiting": 1,
        "dropped": 0,
        "refused": 0,
        "connected": False,
        "message": "connection refused",
    }
    delivery.close()
    assert delivery.state().waiting == 1
