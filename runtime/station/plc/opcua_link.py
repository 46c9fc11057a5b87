"""OPC UA as a client of the signals."""

from __future__ import annotations

import os
from concurrent.futures import TimeoutError as LateError
from contextlib import suppress

from dmdd_edge.errors import DeliveryError
from dmdd_edge.extras import need
from dmdd_edge.runtime.station.plc.signals import COMMANDS, OPCUA_NAMESPACE, STATUS, Values

with need("opcua"):
    from asyncua import ua
    from asyncua.sync import Client, SyncNode

    from dmdd_edge.runtime.station.plc.opcua import PASSWORD_VARIABLE, USER_VARIABLE, variant

_FAILURES = (OSError, ua.UaError, LateError, ConnectionError)


class OpcUaLink:
    """A connection; one request writes the commands, another one reads the status.

    Args:
        host, port: of the server; the login is read from the server's variables.
        timeout: of a request, in seconds.
    """

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._url, self._timeout = f"opc.tcp://{host}:{port}/dmdd-edge/", timeout
        self._client: Client | None = None
        self._commands: list[SyncNode] = []
        self._status: list[SyncNode] = []

    def exchange(self, commands: Values) -> dict[str, int]:
        """Write all commands, then read the status.

        Raises:
            DeliveryError: the station does not answer.
        """
        try:
            client = self._client or self._connect()
            values = [ua.DataValue(variant(signal, commands[signal.name])) for signal in COMMANDS]
            client.write_values(self._commands, values)
            status = client.read_values(self._status)
        except _FAILURES as error:
            self.close()
            raise DeliveryError(
                f"The station at {self._url} does not answer: {error or type(error).__name__}.",
                "Check that it runs, and that plc.opcua in its file names this address.",
            ) from error
        return {signal.name: int(value) for signal, value in zip(STATUS, status, strict=True)}

    def _connect(self) -> Client:
        client = Client(self._url, timeout=self._timeout)
        if user := os.environ.get(USER_VARIABLE):
            client.set_user(user)
            client.set_password(os.environ.get(PASSWORD_VARIABLE, ""))
        self._client = client
        client.connect()
        space = client.get_namespace_index(OPCUA_NAMESPACE)
        self._commands = [client.get_node(ua.NodeId(signal.node, space)) for signal in COMMANDS]
        self._status = [client.get_node(ua.NodeId(signal.node, space)) for signal in STATUS]
        return client

    def close(self) -> None:
        """Leave."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(*_FAILURES):
                client.disconnect()
