"""Modbus TCP server with the signals.

pyModbusTCP 0.3.1 was chosen over pymodbus 3.16.1 by ``benchmarks/modbus_servers.py``. On two busy cores it
passes a write to our code in 23 us (pymodbus: 131 us), answers a write in 40 us (200 us), and answers all of
three requests that arrive in one TCP segment (pymodbus: one of three, so the others time out). Neither tore
one of 10,000 reads, or kept anything of 200 clients that vanished; with two silent clients both use less than
0.03 % of a core. Each client has a thread here, so their number is limited. Two of its habits are changed
below: it would continue in the middle of an answer that a client did not read, and it would keep the
connection of a client without power for two hours.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.extras import need
from dmdd_edge.runtime.station.plc.signals import (
    BITS,
    MIRROR,
    NAMED,
    WIDTH,
    Direction,
    Values,
    pack,
    touched,
    unpack,
)
from dmdd_edge.runtime.station.plc.transport import Command, Image, Pass
from dmdd_edge.runtime.station.settings import ModbusSettings

with need("plc"):
    from pyModbusTCP.constants import EXP_DATA_ADDRESS, EXP_GATEWAY_TARGET_DEVICE_FAILED_TO_RESPOND, EXP_NONE
    from pyModbusTCP.server import DataBank, DataHandler, ModbusServer

_LOG = logging.getLogger(__name__)
#: Clients that may be connected at once; each has a thread.
CLIENTS = 32
#: A client that is silent for 10 s is asked three times, 5 s apart, whether it still exists.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
_SEND_BUFFER = 16384
_START_SECONDS = 5.0


class ModbusPort:
    """The server; a transport.

    Args:
        settings: where it listens.
        put: takes the commands of clients.

    Attributes:
        address, warnings: as in ``Transport``.
        port: where it listens; the one that was chosen, if the settings say 0.

    Raises:
        OptionError: the address cannot be used.
    """

    def __init__(self, settings: ModbusSettings, put: Pass) -> None:
        self._memory = _Memory(settings.unit, put)
        self._server = _Server(
            settings.host, settings.port, no_block=True, ipv6=":" in settings.host, data_hdl=self._memory
        )
        try:
            self._server.start()
        except (ModbusServer.NetworkError, OSError) as error:
            cause = error.args[0] if isinstance(error, ModbusServer.NetworkError) else error
            raise _refused(settings, cause) from error
        _wait_for(lambda: self._server.is_run)
        self.port = self._server.bound_port
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.address = f"Modbus TCP on {host}:{self.port}, " + (
            f"unit {settings.unit}" if settings.unit else "any unit"
        )
        self.warnings = _warnings(settings, self.port)

    def publish(self, image: Image) -> None:
        """Show an image; every read of a client is answered from one image."""
        self._memory.show(image)

    def close(self) -> None:
        """Stop listening; a client that is connected can read once more, then its connection ends."""
        self._server.stop()


class _Shown:
    """An image as registers and bits, made once."""

    def __init__(self, image: Image) -> None:
        self.commands = pack("command", image.commands)
        self.status = pack("status", image.status)


class _Memory(DataHandler):  # type: ignore[misc]
    """What clients read and write."""

    def __init__(self, unit: int, put: Pass) -> None:
        super().__init__(DataBank(virtual_mode=True))
        self._unit, self._put = unit, put
        self._shown = _Shown(Image())

    def show(self, image: Image) -> None:
        self._shown = _Shown(image)

    def read_coils(self, address: int, count: int, srv_info: Any) -> Any:
        return self._read(address, count, srv_info, True, _bits)

    def read_h_regs(self, address: int, count: int, srv_info: Any) -> Any:
        return self._read(address, count, srv_info, True, _registers)

    def read_d_inputs(self, address: int, count: int, srv_info: Any) -> Any:
        return self._read(address, count, srv_info, False, _bits)

    def read_i_regs(self, address: int, count: int, srv_info: Any) -> Any:
        return self._read(address, count, srv_info, False, _registers)

    def _read(self, address: int, count: int, info: Any, both: bool, part: Callable[..., Any]) -> Any:
        if not self._ours(info):
            return _refuse(EXP_GATEWAY_TARGET_DEVICE_FAILED_TO_RESPOND)
        # One look at the attribute, so that the whole answer is of one moment.
        shown = self._shown
        if not both:
            values = part("status", shown.status)
        elif address >= MIRROR:
            values, address = part("status", shown.status), address - MIRROR
        else:
            values = part("command", shown.commands)
        if address + count > len(values):
            return _refuse(EXP_DATA_ADDRESS)
        return DataHandler.Return(EXP_NONE, list(values[address : address + count]))

    def write_coils(self, address: int, bits_l: Sequence[bool], srv_info: Any) -> Any:
        names = {signal.bit: name for name, signal in NAMED["command"].items() if signal.bit is not None}
        if address + len(bits_l) > BITS["command"]:
            return _refuse(EXP_DATA_ADDRESS)
        return self._write({names[address + i]: int(bit) for i, bit in enumerate(bits_l)}, srv_info)

    def write_h_regs(self, address: int, words_l: Sequence[int], srv_info: Any) -> Any:
        if address + len(words_l) > WIDTH["command"]:
            return _refuse(EXP_DATA_ADDRESS)
        # The other half of a double word stays as it is.
        words = list(self._shown.commands)
        words[address : address + len(words_l)] = words_l
        values = unpack("command", words)
        names = touched("command", address, len(words_l))
        return self._write({name: values[name] for name in names}, srv_info)

    def _write(self, values: Values, info: Any) -> Any:
        if not self._ours(info):
            return _refuse(EXP_GATEWAY_TARGET_DEVICE_FAILED_TO_RESPOND)
        command = Command(values, "modbus")
        self._put(command)
        command.wait()
        return DataHandler.Return(EXP_NONE)

    def _ours(self, info: Any) -> bool:
        return self._unit in (0, info.recv_frame.mbap.unit_id)


def _registers(_: Direction, words: tuple[int, ...]) -> tuple[int, ...]:
    return words


def _bits(direction: Direction, words: tuple[int, ...]) -> list[int]:
    # All bits of a direction are in its first register.
    return [words[0] >> number & 1 for number in range(BITS[direction])]


def _refuse(code: int) -> Any:
    return DataHandler.Return(code)


class _Service(ModbusServer.ModbusService):  # type: ignore[misc]
    """One client's connection."""

    def setup(self) -> None:
        super().setup()
        # Answers are at most 260 bytes; a client that does not read is noticed soon.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        for name, value in _KEEPALIVE.items():
            self.request.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def handle(self) -> None:
        if self.server.slots.acquire(blocking=False):
            try:
                super().handle()
            finally:
                self.server.slots.release()
        else:
            _LOG.warning("A Modbus client was refused: %d clients are connected already.", CLIENTS)

    def _send_all(self, data: bytes) -> bool:
        # The library would continue in the middle of an answer.
        if not super()._send_all(data):
            raise ModbusServer.NetworkError("the client does not read")
        return True


class _Server(ModbusServer):  # type: ignore[misc]
    ModbusService = _Service

    @property
    def bound_port(self) -> int:
        return int(self._service.server_address[1])

    def _serve(self) -> None:
        self._service.slots = threading.BoundedSemaphore(CLIENTS)
        # The library lets five wait; the next one would have to try again after a second.
        self._service.socket.listen(CLIENTS)
        super()._serve()


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _START_SECONDS
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)


def _warnings(settings: ModbusSettings, port: int) -> tuple[str, ...]:
    if settings.host not in ("0.0.0.0", "::"):
        return ()
    return (
        f"Modbus TCP port {port} is open on all network interfaces, and Modbus has no passwords: whoever "
        "reaches it can trigger parts and change recipes. Set plc.modbus.host to the address on the PLC's "
        "network, or close the port to others in the firewall.",
    )


def _refused(settings: ModbusSettings, error: Any) -> OptionError:
    where = f"plc.modbus: {settings.host} port {settings.port}"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return OptionError(
            f"{where} is in use by another program.",
            "Set another plc.modbus.port, or stop that program, which this names: sudo ss -ltnp",
        )
    if number in (errno.EACCES, errno.EPERM):
        return OptionError(
            f"{where}: ports below 1024 need a permission.",
            "Set plc.modbus.port to 1502 here and in the PLC, or allow them to all of this machine with "
            f"sudo sysctl net.ipv4.ip_unprivileged_port_start={settings.port}, or to this Python: "
            f"sudo setcap cap_net_bind_service=+ep {Path(sys.executable).resolve()}",
        )
    return OptionError(
        f"{where}: this machine cannot listen on it: {error}.",
        "Set plc.modbus.host to an address of this machine; 0.0.0.0 is all of them. `ip address` lists them.",
    )
