"""One connection to a broker, from CONNECT to DISCONNECT; a lost one is replaced, not repaired."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from dmdd_edge.errors import DeliveryError
from dmdd_edge.runtime.delivery.address import MqttAddress
from dmdd_edge.runtime.delivery.transport import UnreachableError

_LOG = logging.getLogger(__name__)
#: What takes the body of a message, by topic.
Commands: TypeAlias = Mapping[str, Callable[[bytes], None]]
#: Seconds to connect, and for the broker to answer CONNECT.
_CONNECT_TIMEOUT, _CONNACK_TIMEOUT = 5.0, 10.0
#: Messages in flight, unless the broker wants fewer.
IN_FLIGHT = 64
_UNSUPPORTED_PROTOCOL = 0x84
_SESSION_TAKEN_OVER = 0x8E
#: CONNACK codes about the client's identity.
_IDENTITY_CODES = (0x85, 0x86, 0x87, 0x8C)


class ForeignProtocolError(UnreachableError):
    """The broker does not seem to support this version of MQTT."""


class BrokenOffError(UnreachableError):
    """The broker closed the connection right after CONNACK.

    Args:
        reason: see ``UnreachableError``.
        taken_over: see ``MqttSession``.
    """

    def __init__(self, reason: str, taken_over: bool) -> None:
        super().__init__(reason)
        self.taken_over = taken_over


class MqttSession:
    """Connects when created.

    Args:
        address: of the broker.
        client_id: of this client.
        version5: use MQTT 5, in which the broker says why it rejects a message; False: 3.1.1.
        status_topic: gets a retained ``online``, and ``offline`` when the connection ends, however it ends.
        lost: called, from another thread, when the connection is lost.
        commands: called, from another thread, with the body of each message to a topic. Retained ones are
            ignored: they were published earlier, and would come again with each connection.

    Attributes:
        in_flight: number of messages that may wait for their acknowledgment at once.
        most_bytes: largest packet that the broker accepts; None if it did not say.
        ended_by_broker: the broker, or a device on the way, closed the connection after CONNACK.
        taken_over: it did so because another client has the same identifier. MQTT 3.1.1 cannot say that.

    Raises:
        BrokenOffError: the broker closed the connection right after CONNACK.
        ForeignProtocolError: the broker rejected this version, or closed the connection before CONNACK.
        UnreachableError: the broker is unreachable, or rejects the connection.
    """

    def __init__(
        self,
        address: MqttAddress,
        client_id: str,
        version5: bool,
        status_topic: str,
        lost: Callable[[], None],
        commands: Commands = MappingProxyType({}),
    ) -> None:
        self._status_topic, self._on_lost, self._commands = status_topic, lost, commands
        self._changed = threading.Condition()
        self._connack: int | None = None  # the CONNACK's code
        self._ended = ""  # why the connection ended
        self._opened = self._closed = time.monotonic()
        self.ended_by_broker = self.taken_over = False
        self._leaving = False
        self._acknowledged: dict[int, int] = {}  # message identifier -> the PUBACK's code
        self.most_bytes: int | None
        self.in_flight, self.most_bytes = IN_FLIGHT, None
        # A new client for each connection: paho would send what the last connection left by itself.
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTv5 if version5 else MQTTv311,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = _CONNECT_TIMEOUT
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.will_set(status_topic, "offline", qos=1, retain=True)
        if address.user:
            self._client.username_pw_set(address.user, address.password or None)
        if address.tls:
            self._client.tls_set_context(_tls_context(address))
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        try:
            self._client.connect(address.host, address.port, address.keepalive)
        except (OSError, ValueError) as error:
            self._release()
            raise UnreachableError(_reason(error)) from error
        opened = self._client.socket()
        if isinstance(opened, socket.socket):
            # Many small packets: waiting for the acknowledgment of the last one would add 40 ms to a burst.
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.loop_start()
        try:
            self._await_connack()
            # Whatever the answer: a client that may not publish its status may still publish results.
            self.await_acknowledgment(self.publish(status_topic, b"online", retain=True), _CONNACK_TIMEOUT)
            if commands:
                self._client.subscribe([(topic, 1) for topic in commands])
        except UnreachableError as error:
            # paho may have noticed the end before this session did: wait for its callback.
            with self._changed:
                ended = self._changed.wait_for(lambda: bool(self._ended), 0.2 if self._connack == 0 else 0)
            self.drop()
            if ended and self.ended_by_broker:
                raise BrokenOffError(error.reason, self.taken_over) from error
            raise

    @property
    def alive(self) -> bool:
        """Whether the connection is open, as far as is known."""
        return not self._ended

    @property
    def seconds(self) -> float:
        """Duration of the connection."""
        return self._closed - self._opened

    def publish(self, topic: str, body: bytes, retain: bool = False) -> int:
        """Send a message at QoS 1; returns its identifier for ``await_acknowledgment``.

        Raises:
            UnreachableError: the connection has ended.
        """
        info = self._client.publish(topic, body, qos=1, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS or self._ended:
            raise UnreachableError(self._ended or "the connection has ended")
        return info.mid

    def await_acknowledgment(self, mid: int, seconds: float) -> int:
        """Wait for a message's PUBACK; returns its code, 0 in MQTT 3.1.1.

        Raises:
            UnreachableError: it did not arrive in time, or the connection ended before.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while mid not in self._acknowledged:
                if self._ended:
                    raise UnreachableError(self._ended)
                if not self._changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise UnreachableError("the broker does not acknowledge messages")
            return self._acknowledged.pop(mid)

    def cut(self) -> None:
        """Close the connection at once, without DISCONNECT: the broker then publishes ``offline``."""
        with self._changed:
            self._ended = self._ended or "the connection was cut"
            self._changed.notify_all()
        opened = self._client.socket()
        if isinstance(opened, socket.socket):
            with contextlib.suppress(OSError):
                # The plain call, below TLS: paho's thread may be reading.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)

    def leave(self, seconds: float) -> None:
        """Publish ``offline`` and disconnect; cut the connection after the given seconds."""
        self._leaving = True
        if self.alive:
            with contextlib.suppress(UnreachableError):
                self.await_acknowledgment(self.publish(self._status_topic, b"offline", True), seconds)
                self._client.disconnect()
                with self._changed:
                    self._changed.wait_for(lambda: bool(self._ended), seconds / 2)
        self.drop()

    def drop(self) -> None:
        """Cut the connection and end paho's thread."""
        self._leaving = True
        self.cut()
        self._client.loop_stop()
        self._release()

    def _release(self) -> None:
        # paho's client and this session reference each other; without that its sockets are closed at once.
        self._client.on_connect = self._client.on_disconnect = None
        self._client.on_publish = self._client.on_message = None

    def _await_connack(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._connack is not None or bool(self._ended), _CONNACK_TIMEOUT)
            code, ended = self._connack, self._ended
        if code is None:
            if ended:
                raise ForeignProtocolError("the broker closed the connection before CONNACK")
            raise UnreachableError("the broker does not answer as an MQTT broker")
        if code == _UNSUPPORTED_PROTOCOL:
            raise ForeignProtocolError("the broker does not support this version of MQTT")
        if code:
            hint = "; check user, password and client_id" if code in _IDENTITY_CODES else ""
            raise UnreachableError(f"the broker rejects the connection ({ended or code}{hint})")

    # Called by paho's thread. They must not wait: it holds locks that publishing needs.

    def _on_connect(self, client: Client, data: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if not code.is_failure:
            self.in_flight = min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT))
            self.most_bytes = getattr(properties, "MaximumPacketSize", None)
        with self._changed:
            self._connack = code.value if code.is_failure else 0
            if code.is_failure:
                self._ended = str(code).lower()
            self._changed.notify_all()

    def _on_disconnect(
        self, client: Client, data: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        reason = f" ({code})".lower() if flags.is_disconnect_packet_from_server else ""
        with self._changed:
            self._closed = time.monotonic()
            self.ended_by_broker = self._connack == 0 and not self._ended
            self.taken_over = bool(reason) and code.value == _SESSION_TAKEN_OVER
            self._ended = self._ended or f"the broker closed the connection{reason}"
            self._changed.notify_all()
        if not self._leaving:
            self._on_lost()

    def _on_publish(
        self, client: Client, data: Any, mid: int, code: ReasonCode | None, properties: Any
    ) -> None:
        with self._changed:
            self._acknowledged[mid] = 0 if code is None else int(code.value)
            self._changed.notify_all()

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        take = self._commands.get(message.topic)
        if take is None or message.retain:
            return
        try:
            take(bytes(message.payload))
        except Exception:  # it would end paho's thread
            _LOG.exception("A command from %s failed.", message.topic)


def check_certificates(address: MqttAddress) -> None:
    """Load the certificates of an address once, before a run depends on them.

    Raises:
        DeliveryError: a certificate or a key cannot be loaded.
    """
    if address.tls:
        try:
            _tls_context(address)
        except (OSError, ssl.SSLError) as error:
            raise DeliveryError(
                f"--mqtt {address.name}: a certificate cannot be loaded: {error}.",
                "Use PEM files for ca, cert and key, and a key without a passphrase.",
            ) from error


def _tls_context(address: MqttAddress) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if address.ca is None else str(address.ca))
    if address.cert is not None:
        context.load_cert_chain(address.cert, address.key)
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); add ?ca=FILE to trust yours"
    if isinstance(error, socket.gaierror):
        return "its host name cannot be resolved"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"the connection failed ({type(error).__name__})"
