"""The Modbus TCP server on real sockets, seen by a client that shares no code with it (pymodbus)."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time

import pytest
from pymodbus.client import ModbusTcpClient

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.station.plc.modbus import CLIENTS, ModbusPort
from dmdd_edge.runtime.station.plc.signals import MIRROR, off
from dmdd_edge.runtime.station.plc.transport import Command, Image
from dmdd_edge.runtime.station.settings import ModbusSettings
from tests.runtime.station.plc.station import until


class Port:
    """A server alone: commands are kept, and shown at once."""

    def __init__(self, unit: int = 0, host: str = "127.0.0.1") -> None:
        self.commands: list[Command] = []
        self.image = Image()
        self.port = ModbusPort(ModbusSettings(host=host, port=0, unit=unit), self._take)

    def _take(self, command: Command) -> None:
        self.commands.append(command)
        self.show(Image({**self.image.commands, **command.values}, self.image.status))
        command.seen()

    def show(self, image: Image) -> None:
        self.image = image
        self.port.publish(image)


@pytest.fixture
def server():
    made = Port()
    yield made
    made.port.close()


@pytest.fixture
def plc(server):
    with ModbusTcpClient("127.0.0.1", port=server.port.port, timeout=5) as client:
        yield client


STATUS = {**off("status"), "Online": 1, "ResultValid": 1, "Pass": 1, "ErrorCode": 11, "PartID": 0x10002}


def test_status_is_the_same_by_bits_registers_and_mirror(server, plc) -> None:
    server.show(Image(off("command"), STATUS))
    registers = [0b110001, 11, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0]
    assert plc.read_input_registers(0, count=12).registers == registers
    assert plc.read_holding_registers(100, count=12).registers == registers
    bits = [True, False, False, False, True, True, False, False, False, False, False, False]
    assert plc.read_discrete_inputs(0, count=12).bits[:12] == bits
    assert plc.read_coils(100, count=12).bits[:12] == bits
    assert plc.read_input_registers(5, count=2).registers == [1, 2]


@pytest.mark.parametrize("by", ["coils", "coil", "word"])
def test_bits_are_written_as_coils_or_as_a_word(server, plc, by: str) -> None:
    if by == "coils":
        plc.write_coils(0, [True, False])
        expected = {"TriggerEnable": 1, "Trigger": 0}
    elif by == "coil":
        plc.write_coil(1, True)
        expected = {"Trigger": 1}
    else:
        plc.write_register(0, 0b10001)
        expected = {"TriggerEnable": 1, "Trigger": 0, "ResultAck": 0, "ClearError": 0, "Heartbeat": 1}
    (command,) = server.commands
    assert (command.values, command.origin) == (expected, "modbus")
    word = sum(expected.get(name, 0) << bit for bit, name in enumerate(list(off("command"))[:5]))
    assert plc.read_holding_registers(0, count=1).registers == [word]
    assert plc.read_coils(0, count=5).bits[:5] == [bool(word >> bit & 1) for bit in range(5)]


def test_words_are_written_together_or_half_by_half(server, plc) -> None:
    plc.write_registers(1, [7, 0x12, 0x34])
    assert server.commands[-1].values == {"RecipeRequest": 7, "PartID": 0x120034}
    plc.write_register(3, 0x35)
    assert server.commands[-1].values == {"PartID": 0x120035}


def test_one_request_writes_and_reads_what_it_caused(server, plc) -> None:
    server.show(Image(off("command"), STATUS))
    answer = plc.readwrite_registers(read_address=100, read_count=2, write_address=0, values=[2])
    assert answer.registers == [0b110001, 11]
    assert server.commands[-1].values["Trigger"] == 1


def test_addresses_without_a_signal_are_refused(server, plc) -> None:
    for answer in (
        plc.read_input_registers(12, count=1),
        plc.read_input_registers(0, count=13),
        plc.read_holding_registers(6, count=1),
        plc.read_holding_registers(112, count=1),
        plc.read_discrete_inputs(13, count=1),
        plc.read_coils(5, count=1),
        plc.write_register(6, 1),
        plc.write_register(100, 1),
        plc.write_coils(4, [True, True]),
        plc.write_coil(104, True),
    ):
        assert answer.isError()
        assert answer.exception_code == 2
    assert server.commands == []


def test_another_unit_is_not_answered_as_this_one() -> None:
    made = Port(unit=5)
    try:
        with ModbusTcpClient("127.0.0.1", port=made.port.port, timeout=5) as plc:
            assert plc.read_input_registers(0, count=1, device_id=5).registers == [0]
            for answer in (
                plc.read_input_registers(0, count=1, device_id=6),
                plc.write_register(0, 2, device_id=6),
            ):
                assert answer.exception_code == 0x0B
            assert made.commands == []
    finally:
        made.port.close()


def test_no_read_is_torn(server, plc) -> None:
    """While registers that belong together change, a read sees all of one change or nothing of it."""
    done = threading.Event()

    def change() -> None:
        number = 0
        while not done.is_set():
            number = (number + 1) % 60000
            time.sleep(0)
            status = {
                "ResultValid": number & 1, "Pass": number & 1, "ErrorCode": number, "AcquisitionID": number,
                "PartID": number << 16 | number, "RegionCount": number, "EncoderCount": number,
            }  # fmt: skip
            server.show(Image(off("command"), {**off("status"), **status}))

    thread = threading.Thread(target=change)
    thread.start()
    seen: set[int] = set()
    reads = 0
    try:
        while len(seen) < 400 and reads < 20_000:
            reads += 2
            for answer in (
                plc.read_input_registers(0, count=12),
                plc.read_holding_registers(MIRROR, count=12),
            ):
                words = answer.registers
                number = words[1]
                bits = 0b110000 * (number & 1)
                assert words == [bits, number, 0, 0, *[number] * 3, 0, number, 0, 0, number]
                seen.add(number)
    finally:
        done.set()
        thread.join()
    assert len(seen) >= 400


def test_a_client_that_never_reads_does_not_hold_up_another_one(server, plc) -> None:
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", server.port.port))
        deaf.settimeout(0.2)
        request = struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 12) * 1000
        with pytest.raises(OSError, match=r"timed out|reset|pipe"):
            _send_forever(deaf, request)
        begun = time.monotonic()
        for number in range(20):
            server.show(Image(off("command"), {**STATUS, "ErrorCode": number}))
            assert plc.read_input_registers(1, count=1).registers == [number]
        assert time.monotonic() - begun < 5


def _send_forever(client: socket.socket, data: bytes) -> None:
    while True:
        client.sendall(data)


def test_nonsense_is_survived(server, plc) -> None:
    generator = random.Random(5)
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", server.port.port)) as client:
            body = generator.randbytes(generator.randrange(2, 20))
            head = struct.pack(">HHHB", 1, 0, len(body) + 1, 1)
            client.sendall(head + body if generator.random() < 0.7 else body)
    assert plc.read_input_registers(0, count=12).registers[0] == 0


def test_there_is_a_limit_of_clients_and_places_are_free_again(server) -> None:
    clients = [ModbusTcpClient("127.0.0.1", port=server.port.port, timeout=5) for _ in range(CLIENTS)]
    for client in clients:
        assert client.connect()
        assert client.read_input_registers(0, count=1).registers == [0]
    with socket.create_connection(("127.0.0.1", server.port.port)) as one_more:
        one_more.settimeout(20)
        assert one_more.recv(1) == b""
    for client in clients:
        client.close()

    def served() -> bool:
        with socket.create_connection(("127.0.0.1", server.port.port)) as late:
            late.settimeout(20)
            late.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0, 1))
            return len(late.recv(64)) == 11

    assert until(served)


def test_all_of_several_requests_in_one_segment_are_answered(server) -> None:
    with socket.create_connection(("127.0.0.1", server.port.port)) as client:
        client.settimeout(20)
        client.sendall(b"".join(struct.pack(">HHHBBHH", number, 0, 6, 1, 4, 0, 1) for number in (1, 2, 3)))
        data = b""
        while len(data) < 33:
            data += client.recv(64)
    assert [struct.unpack(">H", data[start : start + 2])[0] for start in (0, 11, 22)] == [1, 2, 3]


def test_a_port_in_use_is_named_with_the_way_to_find_who_uses_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OptionError) as raised:
            ModbusPort(ModbusSettings(host="127.0.0.1", port=port), lambda _: None)
    assert raised.value.message == f"plc.modbus: 127.0.0.1 port {port} is in use by another program."
    assert raised.value.fix.endswith(": sudo ss -ltnp")


def test_a_port_that_needs_a_permission_is_named_with_the_ways_to_get_it(monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socketserver.TCPServer.server_bind", refused)
    with pytest.raises(OptionError, match="ports below 1024 need a permission") as raised:
        ModbusPort(ModbusSettings(port=502), lambda _: None)
    for way in ("1502", "net.ipv4.ip_unprivileged_port_start=502", "setcap cap_net_bind_service=+ep "):
        assert way in raised.value.fix


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(OptionError, match=f"plc.modbus: {host} port 1502: this machine cannot listen on it"):
        ModbusPort(ModbusSettings(host=host, port=1502), lambda _: None)


def test_all_interfaces_are_said_aloud() -> None:
    made = Port(host="0.0.0.0")
    made.port.close()
    (warning,) = made.port.warnings
    assert "all network interfaces, and Modbus has no passwords" in warning
    assert made.port.address == f"Modbus TCP on 0.0.0.0:{made.port.port}, any unit"
