"""MQTT, to a real mosquitto that is killed, stands still, turns people away and comes back."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.delivery import Delivery
from dmdd_edge.runtime.delivery.address import parse_mqtt
from dmdd_edge.runtime.delivery.spool import Message
from dmdd_edge.runtime.delivery.transport import Refusal, UnreachableError
from tests.runtime.delivery.delivery_broker import Broker, Listener, Wire, mosquitto
from tests.runtime.delivery.delivery_results import (
    BROKEN,
    FRAME,
    Said,
    first_arrivals,
    make_result,
    wait_until,
)
from tests.runtime.delivery.old_broker import OldBroker

pytest.importorskip("paho.mqtt", reason="no paho-mqtt: pip install '.[mqtt]'")

Deliver = Callable[..., Delivery]
TOPIC = "plant/line3"
STATUS = "plant/line3/status"


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    listener = Listener(broker.port)
    yield listener
    listener.close()


@pytest.fixture
def wire(broker: Broker) -> Iterator[Wire]:
    wire = Wire(broker.port)
    yield wire
    wire.close()


def _send(delivery: Delivery, indices: range) -> None:
    for index in indices:
        delivery.result(FRAME, make_result(index))


def _url(port: int, user: str = "") -> str:
    return f"mqtt://{user}127.0.0.1:{port}/{TOPIC}"


def _status(listener: Listener) -> list[bytes]:
    return [body for topic, body, _ in list(listener.received) if topic == STATUS]


def test_each_message_is_published_once_in_order(
    broker: Broker, listener: Listener, deliver: Deliver, said: Said
) -> None:
    delivery = deliver(_url(broker.port), category="screw", version="v1")
    _send(delivery, range(300))
    delivery.broken(BROKEN)
    delivery.close()
    wait_until(lambda: len(listener.messages(TOPIC)) == 301 and _status(listener)[-1:] == [b"offline"])
    messages = listener.messages(TOPIC)
    run = messages[0]["id"].removesuffix("-0")
    added = {"category": "screw", "version": "v1"}
    assert messages[7] == {**make_result(7).to_json(), "id": f"{run}-7", **added}
    assert [message["id"] for message in messages] == [f"{run}-{n}" for n in range(301)]
    assert messages[300]["type"] == "error"
    assert _status(listener) == [b"online", b"offline"]
    state = delivery.state()
    assert (state.delivered, state.waiting, state.refused, state.message) == (301, 0, 0, "")
    assert said.lines == [f"mqtt://127.0.0.1:{broker.port}/plant/line3: 301 delivered."]


def test_who_comes_later_learns_that_nobody_is_there_any_more(broker: Broker, deliver: Deliver) -> None:
    delivery = deliver(_url(broker.port))
    wait_until(lambda: delivery.state().connected)
    late = Listener(broker.port)
    wait_until(lambda: (STATUS, b"online", True) in late.received)
    late.close()
    delivery.close()
    late = Listener(broker.port)
    wait_until(lambda: (STATUS, b"offline", True) in late.received)
    late.close()


def test_a_killed_run_is_reported_offline(broker: Broker, listener: Listener, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from dmdd_edge.runtime.delivery import DeliveryOptions, open_delivery\n"
        "open_delivery(sys.argv[1], options=DeliveryOptions(spool=Path(sys.argv[2])))\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, _url(broker.port), tmp_path / "spool"])
    wait_until(lambda: _status(listener) == [b"online"])
    process.kill()
    process.wait(60)
    wait_until(lambda: _status(listener) == [b"online", b"offline"])


def test_a_broker_that_is_killed_again_and_again_loses_nothing(
    broker: Broker, listener: Listener, wire: Wire, deliver: Deliver
) -> None:
    delivery = deliver(_url(wire.port))
    index = 0
    for attempt in range(6):
        _send(delivery, range(index, index + 150))
        # Killed in the middle of things: when some of this round have come, and some not.
        wait_until(lambda seen=index + 5 * attempt: len(set(listener.indices(TOPIC))) > seen)
        broker.stop(signal.SIGKILL)
        wire.cut()
        _send(delivery, range(index + 150, index + 200))
        wait_until(lambda: not delivery.state().connected)
        broker.start()
        listener.connect()  # first, so that nothing is published while nobody listens
        wire.open()
        index += 200
        wait_until(lambda: delivery.state().connected)
    delivery.close()
    assert delivery.state().waiting == 0
    wait_until(lambda: 1199 in listener.indices(TOPIC))
    assert first_arrivals(listener.indices(TOPIC)) == list(range(1200))
    # What came twice has the same id.
    messages = listener.messages(TOPIC)
    assert len({message["id"] for message in messages}) == 1200


def test_a_lost_connection_is_made_again_though_there_is_nothing_to_send(
    broker: Broker, listener: Listener, deliver: Deliver
) -> None:
    delivery = deliver(_url(broker.port))
    wait_until(lambda: _status(listener) == [b"online"])
    broker.stop(signal.SIGKILL)
    wait_until(lambda: bool(delivery.state().message))
    broker.start()
    listener.connect()
    wait_until(lambda: delivery.state().connected)
    wait_until(lambda: _status(listener)[1:] == [b"online"])
    assert delivery.state().message == ""


def test_a_broker_that_stands_still_is_left_and_tried_again(
    broker: Broker, listener: Listener, wire: Wire, deliver: Deliver
) -> None:
    delivery = deliver(_url(wire.port), answer_timeout=0.3)
    _send(delivery, range(3))
    wait_until(lambda: delivery.state().delivered == 3)
    wire.hold()
    _send(delivery, range(3, 5))
    wait_until(lambda: "does not acknowledge" in delivery.state().message)
    assert not delivery.state().connected
    wire.let_go()
    delivery.close()
    wait_until(lambda: 4 in listener.indices(TOPIC))
    assert first_arrivals(listener.indices(TOPIC)) == [0, 1, 2, 3, 4]
    assert delivery.state().waiting == 0


def test_the_end_of_a_run_is_bounded_while_the_broker_stands_still(
    wire: Wire, deliver: Deliver, said: Said
) -> None:
    delivery = deliver(_url(wire.port), answer_timeout=600.0, close_wait=0.1)
    wait_until(lambda: delivery.state().connected)
    wire.hold()
    _send(delivery, range(3))
    delivery.close()  # would take ten minutes if it waited for the broker
    assert "3 remain for the next run" in said.lines[-1]
    wait_until(lambda: not delivery._sender._thread.is_alive())  # nothing continues after the end


def test_what_is_left_goes_first_in_the_next_run(
    broker: Broker, listener: Listener, deliver: Deliver, said: Said
) -> None:
    broker.stop()
    delivery = deliver(_url(broker.port), close_wait=0.0)
    _send(delivery, range(5))
    wait_until(lambda: "refused" in delivery.state().message)  # the connection is
    delivery.close()
    broker.start()
    listener.connect()
    delivery = deliver(_url(broker.port))
    assert len(said.about("Delivering 5 messages left by an earlier run")) == 1
    _send(delivery, range(5, 8))
    delivery.close()
    wait_until(lambda: 7 in listener.indices(TOPIC))
    assert listener.indices(TOPIC) == list(range(8))
    assert len({message["id"] for message in listener.messages(TOPIC)}) == 8


def _guarded(folder: Path, *settings: str) -> Broker:
    """A broker for the user ``line`` with the password ``hunter2`` alone."""
    folder.mkdir()
    passwords = folder / "passwords"
    passwords.touch(0o600)
    command = [mosquitto("mosquitto_passwd"), "-b", passwords, "line", "hunter2"]
    subprocess.run(command, check=True, capture_output=True)
    return Broker(folder, "allow_anonymous false", f"password_file {passwords}", *settings)


def test_user_and_password_open_the_door_and_are_not_shown(
    tmp_path: Path, deliver: Deliver, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = _guarded(tmp_path / "guarded")
    try:
        listener = Listener(broker.port, "line", "hunter2")
        wrong = deliver(_url(broker.port, "line:swordfish@"), close_wait=0.0)
        _send(wrong, range(1))
        wait_until(lambda: "check user, password and client_id" in wrong.state().message)
        wrong.close()
        right = deliver(_url(broker.port, "line:hunter2@"))
        _send(right, range(1, 2))
        right.close()
        monkeypatch.setenv("DMDD_MQTT_USER", "line")
        monkeypatch.setenv("DMDD_MQTT_PASSWORD", "hunter2")
        right = deliver(_url(broker.port))
        _send(right, range(2, 3))
        right.close()
        wait_until(lambda: 2 in listener.indices(TOPIC))
        # The messages of the one who was turned away wait for whoever comes to the same topic.
        assert listener.indices(TOPIC) == [0, 1, 2]
        everything = " ".join(said.lines) + repr(wrong.state()) + repr(right.state())
        assert "hunter2" not in everything
        assert "swordfish" not in everything
        assert not [path for path in tmp_path.rglob("*") if "hunter2" in path.name]
        listener.close()
    finally:
        broker.stop()


def test_what_the_broker_refuses_is_moved_aside(tmp_path: Path, deliver: Deliver, said: Said) -> None:
    folder = tmp_path / "guarded"
    rules = tmp_path / "rules"
    rules.write_text("user line\ntopic readwrite plant/line3/status\ntopic read #\n")
    rules.chmod(0o600)
    broker = _guarded(folder, f"acl_file {rules}")
    try:
        # The rule might be corrected, so it is tried again for a while.
        delivery = deliver(_url(broker.port, "line:hunter2@"), refusal_patience=0.3)
        _send(delivery, range(3))
        delivery.close()
        state = delivery.state()
        assert (state.delivered, state.refused, state.waiting) == (0, 3, 0)
        assert "the broker answered 0x87 not authorized" in said.about("rejected: ")[0]
        [file] = tmp_path.rglob("refused.jsonl")
        assert len(file.read_text().splitlines()) == 3
    finally:
        broker.stop()


def test_what_is_too_large_for_the_broker_is_moved_aside(tmp_path: Path, deliver: Deliver) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    broker = Broker(folder, "max_packet_size 1000")
    try:
        listener = Listener(broker.port)
        delivery = deliver(_url(broker.port))
        _send(delivery, range(2))
        delivery.broken(type(BROKEN)("x" * 2000, 2, BROKEN.error))
        _send(delivery, range(3, 4))
        delivery.close()
        wait_until(lambda: 3 in listener.indices(TOPIC))
        assert listener.indices(TOPIC) == [0, 1, 3]
        assert (delivery.state().delivered, delivery.state().refused) == (3, 1)
        listener.close()
    finally:
        broker.stop()


def test_no_more_is_under_way_than_the_session_allows() -> None:
    from dmdd_edge.runtime.delivery.mqtt import MqttTransport

    class Session:
        in_flight, most_bytes, alive = 3, None, True
        under_way: ClassVar[list[int]] = []
        most = sent = 0

        def publish(self, topic: str, body: bytes) -> int:
            self.sent += 1
            self.under_way.append(self.sent)
            self.most = max(self.most, len(self.under_way))
            return self.sent

        def await_acknowledgment(self, mid: int, seconds: float) -> int:
            self.under_way.remove(mid)
            return 0x87 if mid == 5 else 0

    transport, session = MqttTransport(parse_mqtt("mqtt://h/t")), Session()
    transport._session = session  # type: ignore[assignment]
    messages = [Message(number, f"id-{number}", b"{}", None) for number in range(1, 11)]
    reported: list[tuple[int, Refusal | None]] = []
    transport.deliver(messages, lambda message, refusal: reported.append((message.number, refusal)))
    assert session.most == 3
    refused = Refusal("the broker answered 0x87 not authorized", final=False)
    assert reported == [(number, refused if number == 5 else None) for number in range(1, 11)]


def test_the_broker_says_how_many_may_be_under_way(tmp_path: Path, deliver: Deliver) -> None:
    folder = tmp_path / "slow"
    folder.mkdir()
    broker = Broker(folder, "max_inflight_messages 5")
    try:
        delivery = deliver(_url(broker.port))
        wait_until(lambda: delivery.state().connected)
        assert delivery._transport.window == 8 * 5
        _send(delivery, range(50))
        delivery.close()
        assert delivery.state().delivered == 50
    finally:
        broker.stop()


def test_tls(tmp_path: Path, deliver: Deliver, certificate: tuple[Path, Path]) -> None:
    folder = tmp_path / "safe"
    folder.mkdir()
    broker = Broker(folder, f"certfile {certificate[0]}", f"keyfile {certificate[1]}")
    url = f"mqtts://localhost:{broker.port}/{TOPIC}"
    try:
        stranger = deliver(url, close_wait=0.0)
        wait_until(lambda: "its certificate is not trusted" in stranger.state().message)
        stranger.close()
        delivery = deliver(f"{url}?ca={certificate[0]}")
        _send(delivery, range(100))
        delivery.close()
        assert delivery.state().delivered == 100
    finally:
        broker.stop()


@pytest.mark.parametrize("hang_up", [True, False])
def test_an_old_broker_is_served_in_its_own_version(deliver: Deliver, said: Said, hang_up: bool) -> None:
    broker = OldBroker(hang_up)
    delivery = deliver(_url(broker.port))
    _send(delivery, range(100))
    delivery.close()
    broker.close()
    assert broker.levels == [5, 4]
    results = [json.loads(body)["index"] for topic, body in broker.published if topic == TOPIC]
    assert results == list(range(100))
    assert [body for topic, body in broker.published if topic == STATUS] == [b"online", b"offline"]
    assert said.about("messages are queued in") == []


def test_attempts_leave_nothing_open(broker: Broker, wire: Wire) -> None:
    from dmdd_edge.runtime.delivery.mqtt import MqttTransport

    def attempts(count: int) -> int:
        for _ in range(count):
            transport.open()
            wire.cut()
            wait_until(lambda: not transport.connected)
            with pytest.raises(UnreachableError):
                transport.open()
            wire.open()
        wait_until(lambda: not wire._open)
        return len(list(Path("/proc/self/fd").iterdir()))

    transport = MqttTransport(parse_mqtt(_url(wire.port)))
    threads = threading.active_count()
    gc.disable()  # months must not depend on when it runs
    try:
        before = attempts(2)
        assert attempts(20) <= before
    finally:
        gc.enable()
    transport.close()
    wait_until(lambda: threading.active_count() <= threads)


def test_a_certificate_that_cannot_be_loaded_is_an_error(tmp_path: Path, deliver: Deliver) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(DmddError, match="a certificate cannot be loaded"):
        deliver(f"mqtts://h/t?ca={tmp_path / 'ca.pem'}")


def test_without_paho_the_error_says_what_to_install(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("paho", "dmdd_edge.runtime.delivery.mqtt"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "paho", None)
    with pytest.raises(DmddError, match="--mqtt requires paho-mqtt") as caught:
        deliver("mqtt://h/t")
    assert install_command("mqtt") in caught.value.fix
