"""Messages over MQTT: published at QoS 1, delivered once the broker has acknowledged them."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from dmdd_edge.errors import DeliveryError
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.delivery.address import MqttAddress
from dmdd_edge.runtime.delivery.spool import Message
from dmdd_edge.runtime.delivery.transport import Done, Refusal, UnreachableError

if TYPE_CHECKING:
    from dmdd_edge.runtime.delivery.mqtt_session import MqttSession

#: Largest overhead of a PUBLISH packet beside topic and body: type, lengths, identifier, properties. Bytes.
_PACKET_OVERHEAD = 16
#: PUBACK codes from here on are failures.
_FAILURE = 0x80
#: The one failure that is defined as temporary.
_QUOTA_EXCEEDED = 0x97
#: Failures caused by the message itself. Others may pass, for example when an access rule is corrected.
_FINAL = (0x90, 0x95, 0x99)
_FAILURES = {
    0x87: "not authorized",
    0x90: "topic name invalid",
    0x95: "packet too large",
    0x99: "payload format invalid",
}
_LEAVE_TIMEOUT = 1.0
#: This number of connections in a row that the broker ended within this time (seconds) is a pattern.
_SHORT_CONNECTIONS, _SHORT_CONNECTION = 3, 20.0
_OWN_ID = "use a different client_id for each client"
_WINDOWS = 8


class MqttTransport:
    """Delivers to a topic of a broker over a permanent connection.

    ``<topic>/status`` has a retained ``online`` while it is open, and ``offline`` after that. It uses MQTT 5,
    or 3.1.1 with a broker that does not support it.

    Args:
        address: the broker and the topic.
        answer_timeout: seconds that the broker has to acknowledge a message.
        commands: what takes the body of a message to ``<topic>/<name>``, by name; see ``MqttSession``.

    Raises:
        DeliveryError: paho-mqtt is not installed, or a certificate cannot be loaded.
    """

    def __init__(
        self,
        address: MqttAddress,
        answer_timeout: float = 10.0,
        commands: Mapping[str, Callable[[bytes], None]] = MappingProxyType({}),
    ) -> None:
        try:
            from dmdd_edge.runtime.delivery.mqtt_session import check_certificates
        except ImportError as error:
            raise DeliveryError(
                f"--mqtt requires paho-mqtt 2 or later ({error}).",
                f"Install it: {install_command('mqtt')}",
            ) from error
        check_certificates(address)
        self.name = address.name
        self._address, self._timeout = address, answer_timeout
        self._client_id = address.client_id or f"dmdd-edge-{uuid.uuid4().hex[:12]}"
        self._commands = {f"{address.topic}/{name}": take for name, take in commands.items()}
        self._session: MqttSession | None = None
        self._version5, self._version_known = True, False
        self._lost: Callable[[], None] = lambda: None
        self._short_connections = 0
        self._aborted = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        session = self._session
        return session is not None and session.alive

    @property
    def window(self) -> int:
        """A multiple of the messages that the broker allows in flight, so that it rarely waits."""
        session = self._session
        return 1 if session is None else _WINDOWS * session.in_flight

    def watch(self, lost: Callable[[], None]) -> None:
        """Set the function that is called when the connection is lost."""
        self._lost = lost

    def open(self) -> None:
        """Connect, unless connected."""
        if self.connected:
            return
        from dmdd_edge.runtime.delivery.mqtt_session import BrokenOffError, ForeignProtocolError

        session = self._session
        self._drop_session()
        if session is not None and session.ended_by_broker:
            self._note_end(session.taken_over, session.seconds)
        try:
            self._connect()
        except BrokenOffError as error:
            self._note_end(error.taken_over, 0.0)
            raise
        except ForeignProtocolError:
            if self._version_known:
                raise
            # An old broker, or one that is just shutting down: try the other version, now and later.
            self._version5 = not self._version5
            self._connect()
        self._version_known = True

    def deliver(self, messages: Sequence[Message], done: Done) -> None:
        """Publish messages, several ahead of the one whose acknowledgment is awaited."""
        session = self._session
        if session is None:
            raise UnreachableError("not connected")
        in_flight: deque[tuple[Message, int | None]] = deque()
        try:
            for message in messages:
                if len(in_flight) == session.in_flight:
                    self._settle(session, *in_flight.popleft(), done)
                fits = session.most_bytes is None or self._packet_size(message) <= session.most_bytes
                in_flight.append(
                    (message, session.publish(self._address.topic, message.body) if fits else None)
                )
            while in_flight:
                self._settle(session, *in_flight.popleft(), done)
        except UnreachableError:
            # Order is kept within one connection only: the next one begins with the first unacknowledged one.
            session.cut()
            raise

    def abort(self) -> None:
        """Cut the connection."""
        self._aborted = True
        session = self._session
        if session is not None:
            session.cut()

    def close(self) -> None:
        """Publish ``offline`` and disconnect."""
        session, self._session = self._session, None
        if session is not None:
            session.leave(_LEAVE_TIMEOUT)

    def _connect(self) -> None:
        from dmdd_edge.runtime.delivery.mqtt_session import MqttSession

        if self._aborted:
            raise UnreachableError("the run has ended")
        self._session = MqttSession(
            self._address,
            self._client_id,
            self._version5,
            f"{self._address.topic}/status",
            self._lost,
            self._commands,
        )

    def _note_end(self, taken_over: bool, seconds: float) -> None:
        """Delay the next connection if the last one ended in a way that will repeat itself.

        Raises:
            UnreachableError: another client has the same identifier, or seems to.
        """
        self._short_connections = self._short_connections + 1 if seconds < _SHORT_CONNECTION else 0
        if taken_over:
            reason = (
                f"another client with the client_id {self._client_id} took over the connection; {_OWN_ID}"
            )
            raise UnreachableError(reason, kind="identifier")
        if self._short_connections >= _SHORT_CONNECTIONS and self._address.client_id:
            reason = (
                "the broker closes each connection soon after it opens; if another client has the client_id "
                f"{self._client_id}, {_OWN_ID}"
            )
            raise UnreachableError(reason, kind="identifier")

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.drop()

    def _settle(self, session: MqttSession, message: Message, mid: int | None, done: Done) -> None:
        """Wait for the acknowledgment of a message, and report it."""
        if mid is None:
            done(message, Refusal(f"larger than the {session.most_bytes} bytes that the broker accepts"))
        else:
            done(message, _refusal(session.await_acknowledgment(mid, self._timeout)))

    def _packet_size(self, message: Message) -> int:
        return len(message.body) + len(self._address.topic.encode()) + _PACKET_OVERHEAD


def _refusal(code: int) -> Refusal | None:
    """Why the broker rejected a message, from the code of its PUBACK; None if it accepted it."""
    if code < _FAILURE:
        return None
    if code == _QUOTA_EXCEEDED:
        raise UnreachableError("the broker's quota is exceeded")
    reason = f"the broker answered {code:#04x} {_FAILURES.get(code, '')}".strip()
    return Refusal(reason, code in _FINAL)
