"""Messages by MQTT: published at QoS 1, and delivered when the broker has acknowledged them."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dmdd_edge.errors import DeliveryError
from dmdd_edge.runtime.delivery.address import MqttAddress
from dmdd_edge.runtime.delivery.spool import Message
from dmdd_edge.runtime.delivery.transport import Done, Refusal, UnreachableError

if TYPE_CHECKING:
    from dmdd_edge.runtime.delivery.mqtt_session import MqttSession

#: Bytes of a PUBLISH packet beside topic and body, at most: type, lengths, identifier, properties.
_PACKET_OVERHEAD = 16
#: PUBACK codes from here on are failures.
_FAILURE = 0x80
#: The one failure that says that it passes.
_QUOTA_EXCEEDED = 0x97
#: Failures that are about the message itself. The others may end, for example with a corrected access rule.
_FINAL = (0x90, 0x95, 0x99)
_FAILURES = {
    0x87: "not authorised",
    0x90: "topic name invalid",
    0x95: "packet too large",
    0x99: "payload format invalid",
}
_LEAVE_TIMEOUT = 1.0
#: So many connections in a row that the broker ended within so many seconds are no accident.
_SHORT_CONNECTIONS, _SHORT_CONNECTION = 3, 20.0
_OWN_ID = "give each client a client_id of its own"
_WINDOWS = 8


class MqttTransport:
    """Delivers to a topic of a broker, over a connection that is held all the time.

    ``<topic>/status`` holds a retained ``online`` while it is open, otherwise ``offline``. It speaks MQTT 5,
    or 3.1.1 to a broker that knows no more.

    Args:
        address: the broker and the topic.
        answer_timeout: seconds that the broker has to acknowledge a message.

    Raises:
        DmddError: paho-mqtt is missing, or a certificate cannot be loaded.
    """

    def __init__(self, address: MqttAddress, answer_timeout: float = 10.0) -> None:
        try:
            from dmdd_edge.runtime.delivery.mqtt_session import check_certificates
        except ImportError as error:
            raise DeliveryError(
                f"--mqtt needs paho-mqtt 2 or later ({error}).",
                "Install it: pip install 'dmdd-edge[mqtt]'",
            ) from error
        check_certificates(address)
        self.name = address.name
        self._address, self._timeout = address, answer_timeout
        self._client_id = address.client_id or f"dmdd-edge-{uuid.uuid4().hex[:12]}"
        self._session: MqttSession | None = None
        self._version5, self._version_known = True, False
        self._lost: Callable[[], None] = lambda: None
        self._short_ones = 0
        self._aborted = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        session = self._session
        return session is not None and session.alive

    @property
    def window(self) -> int:
        """Some times what the broker lets be under way at once, so that the way is seldom empty."""
        session = self._session
        return 1 if session is None else _WINDOWS * session.in_flight

    def watch(self, lost: Callable[[], None]) -> None:
        """Have ``lost`` called when the connection ends by itself."""
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
            # An old broker, or one that is just going down: try the other version, now and from now on.
            self._version5 = not self._version5
            self._connect()
        self._version_known = True

    def deliver(self, messages: Sequence[Message], done: Done) -> None:
        """Publish messages, some ahead of the one whose acknowledgement is waited for."""
        session = self._session
        if session is None:
            raise UnreachableError("not connected")
        under_way: deque[tuple[Message, int | None]] = deque()
        try:
            for message in messages:
                if len(under_way) == session.in_flight:
                    self._settle(session, *under_way.popleft(), done)
                fits = session.most_bytes is None or self._packet_size(message) <= session.most_bytes
                under_way.append(
                    (message, session.publish(self._address.topic, message.body) if fits else None)
                )
            while under_way:
                self._settle(session, *under_way.popleft(), done)
        except UnreachableError:
            # Order holds over one connection only: the next begins with the first without acknowledgement.
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
            self._address, self._client_id, self._version5, f"{self._address.topic}/status", self._lost
        )

    def _note_end(self, taken_over: bool, seconds: float) -> None:
        """Wait before the next connection when the last one ended in a way that will repeat itself.

        Raises:
            UnreachableError: another client has the same identifier, or seems to.
        """
        self._short_ones = self._short_ones + 1 if seconds < _SHORT_CONNECTION else 0
        if taken_over:
            reason = (
                f"another client with the client_id {self._client_id} took over the connection; {_OWN_ID}"
            )
            raise UnreachableError(reason, kind="identifier")
        if self._short_ones >= _SHORT_CONNECTIONS and self._address.client_id:
            reason = (
                "the broker ends each connection soon after it was made; if another client has the client_id "
                f"{self._client_id}, {_OWN_ID}"
            )
            raise UnreachableError(reason, kind="identifier")

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.drop()

    def _settle(self, session: MqttSession, message: Message, mid: int | None, done: Done) -> None:
        """Wait for the acknowledgement of a message, and report it."""
        if mid is None:
            done(message, Refusal(f"larger than the {session.most_bytes} bytes that the broker takes"))
        else:
            done(message, _refusal(session.await_acknowledgement(mid, self._timeout)))

    def _packet_size(self, message: Message) -> int:
        return len(message.body) + len(self._address.topic.encode()) + _PACKET_OVERHEAD


def _refusal(code: int) -> Refusal | None:
    """Why the broker refused a message, from the code of its PUBACK; None when it did not."""
    if code < _FAILURE:
        return None
    if code == _QUOTA_EXCEEDED:
        raise UnreachableError("the broker's quota is exceeded")
    reason = f"the broker answered {code:#04x} {_FAILURES.get(code, '')}".strip()
    return Refusal(reason, code in _FINAL)
