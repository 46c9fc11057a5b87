"""OPC UA server with the signals as nodes, on asyncua, in a thread with its own event loop.

A write request with several nodes is one command, as a Modbus request is, and a read request is answered from
one image: nothing in the loop comes between the nodes of an image.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.extras import need
from dmdd_edge.runtime.station.plc.signals import (
    COMMANDS,
    NAMED,
    OPCUA_NAMESPACE,
    OPCUA_ROOT,
    SIGNALS,
    Signal,
)
from dmdd_edge.runtime.station.plc.transport import Command, Image, Pass
from dmdd_edge.runtime.station.settings import OpcUaSettings

with need("opcua"):
    from asyncua import Node, Server, ua
    from asyncua.common.callback import CallbackType
    from asyncua.crypto.permission_rules import User, UserRole

#: Login of the PLC; without them, everybody who reaches the port may write.
USER_VARIABLE, PASSWORD_VARIABLE = "DMDD_OPCUA_USER", "DMDD_OPCUA_PASSWORD"
_TYPES = {
    "bit": ua.VariantType.Boolean,
    "word": ua.VariantType.UInt16,
    "double word": ua.VariantType.UInt32,
}
#: Images that may wait for the loop; older ones are passed over.
_ROOM = 1024
#: How long the last image stays readable before the connections end, in seconds.
_GRACE = 0.3
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


class OpcUaPort:
    """The server; a transport.

    Args:
        settings: where it listens.
        put: takes the commands of clients.

    Attributes:
        address, warnings: as in ``Transport``.
        port: where it listens; the one that was chosen, if the settings say 0.

    Raises:
        OptionError: the address cannot be used, or only one of user and password is set.
    """

    def __init__(self, settings: OpcUaSettings, put: Pass) -> None:
        self._put = put
        self._login = _login()
        self._images: deque[Image] = deque(maxlen=_ROOM)
        self._last = Image()
        self._shown: dict[Signal, int] = {}
        self._nodes: dict[Signal, Node] = {}
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(settings, started)), name="dmdd-opcua", daemon=True
        )
        self._thread.start()
        try:
            self.port = self._wait(started, settings)
        except OSError as error:
            raise _refused(settings, error) from error
        self.address = f"OPC UA at {_url(settings.host, self.port)}"
        self.warnings = self._warnings(settings)

    @staticmethod
    def _wait(started: Future[int], settings: OpcUaSettings) -> int:
        try:
            return started.result(_START_SECONDS)
        except FutureTimeoutError as error:  # in Python 3.11 an OSError without a word
            if not started.cancel():  # it has ended just now
                return started.result()
            raise OptionError(
                f"plc.opcua: the server did not start within {_START_SECONDS:g} s.",
                "Start the station again when this machine is less busy; `top` shows what it works on.",
            ) from error

    def publish(self, image: Image) -> None:
        """Show an image; passes it to the loop."""
        self._images.append(image)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._apply()))

    def close(self) -> None:
        """Stop the server."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_SECONDS)

    async def _serve(self, settings: OpcUaSettings, started: Future[int]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await self._started(settings)
        except BaseException as error:
            if started.set_running_or_notify_cancel():
                started.set_exception(error)
            return
        if not started.set_running_or_notify_cancel():  # nobody waits for it any more: the port is free again
            await server.stop()
            return
        assert server.bserver is not None  # it has started
        started.set_result(server.bserver.port)
        await self._stop.wait()
        await self._apply()
        await asyncio.sleep(_GRACE)
        await server.stop()

    async def _started(self, settings: OpcUaSettings) -> Server:
        server = Server(user_manager=_Users(self._login))
        await server.init()
        server.set_endpoint(_url(settings.host, settings.port))
        server.socket_address = (settings.host, settings.port)
        server.set_server_name("dmdd-edge station")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_identity_tokens([ua.UserNameIdentityToken if self._login else ua.AnonymousIdentityToken])
        server.allow_remote_admin(False)
        await self._add_nodes(server)
        server.subscribe_server_callback(CallbackType.PostWrite, self._written)
        with _quiet():
            await server.start()
        return server

    async def _add_nodes(self, server: Server) -> None:
        space = await server.register_namespace(OPCUA_NAMESPACE)
        root = await server.nodes.objects.add_object(ua.NodeId(OPCUA_ROOT, space), f"{space}:{OPCUA_ROOT}")
        folders: dict[str, Node] = {}
        for signal in SIGNALS:
            if (folder := folders.get(signal.folder)) is None:
                identifier = ua.NodeId(f"{OPCUA_ROOT}.{signal.folder}", space)
                folder = folders[signal.folder] = await root.add_object(
                    identifier, f"{space}:{signal.folder}"
                )
            node = await folder.add_variable(
                ua.NodeId(signal.node, space), f"{space}:{signal.name}", variant(signal, 0)
            )
            await node.write_attribute(
                ua.AttributeIds.Description,
                ua.DataValue(ua.Variant(ua.LocalizedText(signal.help.replace("`", "")))),
            )
            if signal in COMMANDS:
                await node.set_writable()
            self._nodes[signal], self._shown[signal] = node, 0
        self._by_node = {node.nodeid: signal for signal, node in self._nodes.items()}

    async def _written(self, event: Any, _: Any) -> None:
        """A request of a client, or one of our own, has written nodes."""
        if not event.is_external:
            return
        values = {}
        for item, status in zip(event.request_params.NodesToWrite, event.response_params, strict=True):
            signal = self._by_node.get(item.NodeId)
            if signal is None or item.AttributeId != ua.AttributeIds.Value or not status.is_good():
                continue
            # The node shows what the client wrote, whatever it was, until the image is applied.
            self._shown.pop(signal, None)
            quality, written = item.Value.StatusCode, item.Value.Value
            value = written.Value if written is not None else None
            # A PLC that marks a value as bad does not vouch for it.
            if isinstance(value, int) and (quality is None or quality.is_good()):
                values[signal.name] = int(value)
        if values:
            command = Command(values, "opcua")
            self._put(command)
            # Short, and this thread serves clients alone.
            command.wait()
        await self._apply()

    async def _apply(self) -> None:
        """Write the nodes that changed; ``ResultValid`` rises after the others and falls before them."""
        while self._images:
            self._last = self._images.popleft()
            await self._write(self._last)
        # A client may have written what no image shows.
        await self._write(self._last)

    async def _write(self, image: Image) -> None:
        valid = NAMED["status"]["ResultValid"]
        rises = image.status["ResultValid"] == 1
        for signal in sorted(self._nodes, key=lambda each: (each is valid) == rises):
            value = (image.commands if signal.direction == "command" else image.status)[signal.name]
            if self._shown.get(signal) != value:
                self._shown[signal] = value
                await self._nodes[signal].write_value(ua.DataValue(variant(signal, value)))

    def _warnings(self, settings: OpcUaSettings) -> tuple[str, ...]:
        where = f"OPC UA port {self.port}"
        if settings.host in ("0.0.0.0", "::"):
            where += ", on all network interfaces,"
        if self._login:
            return (f"{where} does not encrypt: user, password and signals can be read on the network.",)
        return (
            f"{where} has no login and does not encrypt: whoever reaches it can trigger parts and change "
            f"recipes. Set {USER_VARIABLE} and {PASSWORD_VARIABLE}, or close the port to others in the "
            "firewall.",
        )


class _Users:
    """Who may use the server."""

    def __init__(self, login: tuple[str, str] | None) -> None:
        self._login = login

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        if self._login is not None:
            given = (username or "", password or "")
            # Both are compared in constant time, so that neither can be guessed apart from the other.
            fits = [
                hmac.compare_digest(mine.encode(), theirs.encode("utf-8", "replace"))
                for mine, theirs in zip(self._login, given, strict=True)
            ]
            if not all(fits):
                return None
        return User(role=UserRole.User)


def _login() -> tuple[str, str] | None:
    user, password = os.environ.get(USER_VARIABLE, ""), os.environ.get(PASSWORD_VARIABLE, "")
    if bool(user) != bool(password):
        missing = PASSWORD_VARIABLE if user else USER_VARIABLE
        raise OptionError(
            f"The login of the OPC UA server is incomplete: {missing} is not set.",
            f"Set both {USER_VARIABLE} and {PASSWORD_VARIABLE}, or neither.",
        )
    return (user, password) if user else None


def variant(signal: Signal, value: int) -> ua.Variant:
    """A value of a signal in its OPC UA type."""
    return ua.Variant(bool(value) if signal.kind == "bit" else value, _TYPES[signal.kind])


def _url(host: str, port: int) -> str:
    return f"opc.tcp://{f'[{host}]' if ':' in host else host}:{port}/dmdd-edge/"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own report of an error that is reported here."""
    log = logging.getLogger("asyncua")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _refused(settings: OpcUaSettings, error: OSError) -> OptionError:
    where = f"plc.opcua: {settings.host} port {settings.port}"
    if error.errno == errno.EADDRINUSE:
        return OptionError(
            f"{where} is in use by another program.",
            "Set another plc.opcua.port, or stop that program, which this names: sudo ss -ltnp",
        )
    return OptionError(
        f"{where}: this machine cannot listen on it: {error}.",
        "Set plc.opcua.host to an address of this machine; 0.0.0.0 is all of them. `ip address` lists them.",
    )
