"""Modbus TCP as a client of the signals."""

from __future__ import annotations

from dmdd_edge.errors import DeliveryError
from dmdd_edge.extras import need
from dmdd_edge.runtime.station.plc.signals import MIRROR, WIDTH, Values, pack, unpack

with need("plc"):
    from pyModbusTCP.client import ModbusClient


class ModbusLink:
    """A connection; one request writes the commands and reads the status.

    Args:
        host, port: of the server.
        timeout: of a request, in seconds.
    """

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._client = ModbusClient(host, port, timeout=timeout, auto_open=True)

    def exchange(self, commands: Values) -> dict[str, int]:
        """Write all commands, then read the status.

        Raises:
            DeliveryError: the station does not answer.
        """
        client = self._client
        words = client.write_read_multiple_registers(
            0, list(pack("command", commands)), MIRROR, WIDTH["status"]
        )
        if words is None:
            cause = client.last_except_as_full_txt if client.last_except else client.last_error_as_txt
            raise DeliveryError(
                f"The station at {client.host}:{client.port} does not answer over Modbus TCP: {cause}.",
                "Check that it runs, and that plc.modbus in its file names this address.",
            )
        return unpack("status", words)

    def close(self) -> None:
        """Leave."""
        self._client.close()
