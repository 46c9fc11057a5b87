"""The OPC UA server on real sockets, with the library's own client."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from asyncua import ua
from asyncua.sync import Client, SyncNode
from asyncua.ua import uaerrors
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError

from dmdd_edge.errors import DeliveryError, OptionError
from dmdd_edge.runtime.station.plc import opcua
from dmdd_edge.runtime.station.plc.client import PlcClient
from dmdd_edge.runtime.station.plc.opcua import PASSWORD_VARIABLE, USER_VARIABLE, OpcUaPort
from dmdd_edge.runtime.station.plc.signals import COMMANDS, SIGNALS, STATUS, off
from dmdd_edge.runtime.station.plc.transport import Command, Image
from dmdd_edge.runtime.station.settings import ModbusSettings, OpcUaSettings
from tests.runtime.station.plc.station import Station, until, verdict_of

LOCAL = OpcUaSettings(host="127.0.0.1", port=0)


class Port:
    """A server alone: commands are kept, and shown at once."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.image = Image()
        self.port = OpcUaPort(LOCAL, self._take)

    def _take(self, command: Command) -> None:
        self.commands.append(command)
        self.show(Image({**self.image.commands, **command.values}, self.image.status))
        command.seen()

    def show(self, image: Image) -> None:
        self.image = image
        self.port.publish(image)


class Plc:
    """A client and its nodes by (direction, name)."""

    def __init__(self, port: int) -> None:
        self.client = Client(f"opc.tcp://127.0.0.1:{port}/dmdd-edge/", timeout=20)
        self.client.connect()
        space = self.client.get_namespace_index("urn:dmdd-edge:station")
        self.nodes: dict[tuple[str, str], SyncNode] = {
            (signal.direction, signal.name): self.client.get_node(f"ns={space};s={signal.node}")
            for signal in SIGNALS
        }

    def status(self) -> dict[str, int]:
        values = self.client.read_values([self.nodes["status", signal.name] for signal in STATUS])
        return {signal.name: int(value) for signal, value in zip(STATUS, values, strict=True)}

    def write(self, **values: object) -> None:
        types = {
            "bit": ua.VariantType.Boolean,
            "word": ua.VariantType.UInt16,
            "double word": ua.VariantType.UInt32,
        }
        kinds = {signal.name: types[signal.kind] for signal in COMMANDS}
        self.client.write_values(
            [self.nodes["command", name] for name in values],
            [ua.DataValue(ua.Variant(value, kinds[name])) for name, value in values.items()],
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Port]:
    made = Port()
    yield made
    made.port.close()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """A client that is not closed keeps its thread, and the program that has it does not end."""
    before = set(threading.enumerate())
    yield
    assert [each for each in threading.enumerate() if not each.daemon and each not in before] == []


@pytest.fixture
def plc(server: Port) -> Iterator[Plc]:
    server.show(Image())
    server.commands.clear()
    made = Plc(server.port.port)
    yield made
    made.client.disconnect()


def test_every_signal_is_a_node_with_its_type_help_and_access(plc: Plc) -> None:
    kinds = {
        "bit": ua.VariantType.Boolean,
        "word": ua.VariantType.UInt16,
        "double word": ua.VariantType.UInt32,
    }
    for signal in SIGNALS:
        node = plc.nodes[signal.direction, signal.name]
        assert node.read_data_value().Value.VariantType == kinds[signal.kind]
        assert node.read_description().Text == signal.help.replace("`", "")
        writable = ua.AccessLevel.CurrentWrite in node.get_access_level()
        assert writable == (signal.direction == "command")


def test_one_request_is_one_command_and_shows_what_it_caused(server: Port, plc: Plc) -> None:
    plc.write(PartID=70000, Trigger=True)
    (command,) = server.commands
    assert (command.values, command.origin) == ({"PartID": 70000, "Trigger": 1}, "opcua")
    assert plc.nodes["command", "PartID"].read_value() == 70000
    assert plc.nodes["command", "Trigger"].read_value() is True


def test_status_cannot_be_written_and_wrong_types_are_refused(server: Port, plc: Plc) -> None:
    with pytest.raises(uaerrors.BadUserAccessDenied):
        plc.nodes["status", "Pass"].write_value(True)
    with pytest.raises(uaerrors.BadTypeMismatch):
        plc.nodes["command", "Trigger"].write_value(5)
    # A value that is marked as bad says nothing.
    bad = ua.DataValue(ua.Variant(True, ua.VariantType.Boolean), StatusCode=ua.StatusCode(StatusCodes.Bad))
    plc.nodes["command", "Trigger"].write_value(bad)
    assert server.commands == []
    assert plc.nodes["command", "Trigger"].read_value() is False


def test_no_read_is_torn(server: Port, plc: Plc) -> None:
    done = threading.Event()

    def change() -> None:
        number = 0
        while not done.is_set():
            number = (number + 1) % 60000
            status = {"ResultValid": number & 1, "Pass": number & 1, "ErrorCode": number, "LatencyMs": number}
            server.show(Image(off("command"), {**off("status"), **status}))
            time.sleep(0.002)

    thread = threading.Thread(target=change)
    thread.start()
    seen: set[int] = set()
    reads = 0
    try:
        while len(seen) < 20 and reads < 5000:
            reads += 1
            status = plc.status()
            number = status["ErrorCode"]
            assert status["LatencyMs"] == number
            assert status["ResultValid"] == status["Pass"] == number & 1
            seen.add(number)
    finally:
        done.set()
        thread.join()
    assert len(seen) >= 20


def test_result_valid_rises_last_and_falls_first(server: Port, plc: Plc) -> None:
    changes: list[tuple[str, object]] = []
    names = {str(plc.nodes["status", name].nodeid): name for name in ("ResultValid", "Pass", "PartID")}

    class Handler:
        def datachange_notification(self, node: SyncNode, value: object, data: object) -> None:
            changes.append((names[str(node.nodeid)], value))

    subscription = plc.client.create_subscription(10, Handler())
    subscription.subscribe_data_change([plc.nodes["status", name] for name in names.values()])
    assert until(lambda: len(changes) == 3)
    changes.clear()
    up = {**off("status"), "ResultValid": 1, "Pass": 1, "PartID": 9}
    server.show(Image(off("command"), up))
    assert until(lambda: len(changes) == 3)
    server.show(Image(off("command"), {**up, "ResultValid": 0, "Pass": 0}))
    assert until(lambda: len(changes) == 5)
    assert set(changes[:2]) == {("Pass", True), ("PartID", 9)}
    assert changes[2:] == [("ResultValid", True), ("ResultValid", False), ("Pass", False)]


def test_every_part_gets_one_verdict_in_order() -> None:
    with Station(opcua=LOCAL, acknowledge_ms=60_000.0) as station:
        with PlcClient("127.0.0.1", station.port, "opcua", timeout=20) as plc:
            verdicts = list(plc.run(range(1, 31), 0.0, patience=60))
        assert [each.part_id for each in verdicts] == list(range(1, 31))
        expected = {"good": "Pass", "anomalous": "Fail"}
        assert [each.verdict for each in verdicts] == [
            expected[verdict_of(number)] for number in range(1, 31)
        ]
        assert {trigger.origin for trigger in station.desk.triggers} == {"opcua"}


def test_both_servers_show_the_same_and_nothing_passes_after_the_end() -> None:
    with Station(opcua=LOCAL, modbus=ModbusSettings(host="127.0.0.1", port=0)) as station:
        modbus_port = int(station.ports.addresses[0].split(",")[0].rpartition(":")[2])
        with PlcClient("127.0.0.1", modbus_port, timeout=20) as modbus:
            assert modbus.wait_for(lambda status: bool(status["Ready"]), 20)
            modbus.exchange(Trigger=1, PartID=4)
            assert modbus.wait_for(lambda status: bool(status["Pass"]), 20)
            plc = Plc(station.port)
            beats = {"Heartbeat"}
            assert until(
                lambda: (
                    {k: v for k, v in plc.status().items() if k not in beats}
                    == {k: v for k, v in modbus.exchange().items() if k not in beats}
                )
            )
            assert plc.status()["Pass"] == 1
            # Acknowledged over one, seen over the other.
            plc.write(ResultAck=True)
            assert not modbus.exchange(ResultAck=1)["ResultValid"]
        seen = [plc.status()]
        closing = threading.Thread(target=station.ports.close)
        closing.start()
        try:
            while True:
                seen.append(plc.status())
        except (ConnectionError, UaError, TimeoutError):
            with suppress(ConnectionError, UaError, TimeoutError):
                plc.client.disconnect()
        closing.join(30)
        assert seen[-1] == off("status")


def test_a_login_is_demanded_when_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER_VARIABLE, "plc")
    monkeypatch.setenv(PASSWORD_VARIABLE, "s3cret")
    port = OpcUaPort(LOCAL, lambda command: command.seen())
    try:
        assert len(port.warnings) == 1
        assert "does not encrypt: user, password" in port.warnings[0]
        assert "s3cret" not in port.warnings[0]
        with PlcClient("127.0.0.1", port.port, "opcua", timeout=20) as plc:
            assert plc.exchange() == off("status")
        for user, password in (("plc", "wrong"), ("other", "s3cret"), ("admin", "s3cret"), (None, "")):
            client = Client(f"opc.tcp://127.0.0.1:{port.port}/dmdd-edge/", timeout=20)
            if user:
                client.set_user(user)
                client.set_password(password)
            with pytest.raises(UaError):
                client.connect()
            client.tloop.stop()
    finally:
        port.close()


def test_half_a_login_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER_VARIABLE, "plc")
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(OptionError, match=f"incomplete: {PASSWORD_VARIABLE} is not set"):
        OpcUaPort(LOCAL, lambda _: None)


def test_without_a_login_that_is_said_aloud(server: Port) -> None:
    (warning,) = server.port.warnings
    assert "no login and does not encrypt" in warning
    assert USER_VARIABLE in warning


@pytest.mark.slow
def test_a_port_in_use_and_an_address_of_another_machine_are_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OptionError, match=rf"plc.opcua: 127.0.0.1 port {port} is in use") as raised:
            OpcUaPort(OpcUaSettings(host="127.0.0.1", port=port), lambda _: None)
    assert raised.value.fix.endswith(": sudo ss -ltnp")
    with pytest.raises(OptionError, match=r"plc.opcua: 192.0.2.1 port 4840: this machine cannot listen"):
        OpcUaPort(OpcUaSettings(host="192.0.2.1"), lambda _: None)


def test_a_server_that_does_not_start_in_time_is_named_so_and_lets_its_port_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    monkeypatch.setattr(opcua, "_START_SECONDS", 0)
    before = set(threading.enumerate())
    with pytest.raises(OptionError, match=r"plc.opcua: the server did not start within 0 s\."):
        OpcUaPort(OpcUaSettings(host="127.0.0.1", port=port), lambda _: None)
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()
    socket.create_server(("127.0.0.1", port)).close()


def test_a_client_names_a_station_that_does_not_answer() -> None:
    for protocol in ("modbus", "opcua"):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
        with (
            PlcClient("127.0.0.1", port, protocol) as plc,
            pytest.raises(DeliveryError, match="does not answer"),
        ):
            plc.exchange()
