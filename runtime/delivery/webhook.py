"""Messages by HTTP: each is POSTed as JSON, over a connection that is kept."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime

from dmdd_edge._version import __version__
from dmdd_edge.runtime.delivery.address import WebhookAddress
from dmdd_edge.runtime.delivery.spool import Message
from dmdd_edge.runtime.delivery.transport import Done, Refusal, UnreachableError

#: Seconds to connect.
_CONNECT_TIMEOUT = 5.0
#: The longest that a receiver's Retry-After is followed, in seconds.
_LONGEST_RETRY_AFTER = 3600.0
#: Of an answer's body no more than this is read; a longer one costs the connection. Bytes.
_MOST_ANSWER = 64 << 10
#: In how many times the receiver's timeout an answer must be complete.
_ANSWERS = 2.0
#: 4xx that say "later", not "never".
_TRY_LATER = (408, 425, 429)
#: 4xx that are about the message itself. The others may come from a proxy whose receiver is being restarted,
#: or end when somebody corrects an access rule.
_FINAL = (400, 411, 413, 414, 415, 422, 431)
#: How a kept connection fails whose other end has closed it meanwhile.
_STALE = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, http.client.BadStatusLine)


class WebhookTransport:
    """Delivers to a receiver of POST requests.

    2xx: the receiver has the message. 400, 411, 413, 414, 415, 422 and 431: it refused it for good. Other
    4xx: a refusal that may end (``Refusal.final``). All else, a redirection, 408, 425 and 429 too: later
    again. No attempt is made before ``Retry-After``. Each request carries ``Idempotency-Key``, the message's
    id, so that the receiver can tell one that is sent again. ``http_proxy`` and its kin are not followed: a
    message goes to the address that was given.

    Args:
        address: of the receiver.
        signing_key: when not empty, ``X-Dmdd-Signature: sha256=<hex>`` is the body's HMAC-SHA256 with it.
        token: when not empty, sent as ``Authorization: Bearer``.
        answer_timeout: seconds that the receiver has to answer.
    """

    window = 16

    def __init__(
        self, address: WebhookAddress, signing_key: str = "", token: str = "", answer_timeout: float = 10.0
    ) -> None:
        self.name = address.name
        self.connected = False
        self._address, self._timeout = address, answer_timeout
        self._signing_key = signing_key.encode()
        self._headers = {"Content-Type": "application/json", "User-Agent": f"dmdd-edge/{__version__}"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        elif address.user:
            pair = base64.b64encode(f"{address.user}:{address.password}".encode())
            self._headers["Authorization"] = f"Basic {pair.decode()}"
        # SSL_CERT_FILE and SSL_CERT_DIR name other certificates to trust.
        self._context = ssl.create_default_context() if address.tls else None
        self._connection: http.client.HTTPConnection | None = None
        self._aborted = False

    def watch(self, lost: Callable[[], None]) -> None:
        """Nothing: a connection that ends between two messages is no loss."""

    def open(self) -> None:
        """Nothing: each message connects when it has to."""

    def deliver(self, messages: Sequence[Message], done: Done) -> None:
        """POST messages, one after the other."""
        for message in messages:
            try:
                refusal = self._post(message)
            except UnreachableError:
                self.connected = False
                self._drop_connection()
                raise
            self.connected = True
            done(message, refusal)

    def abort(self) -> None:
        """Cut the connection."""
        self._aborted = True
        connection = self._connection
        opened = None if connection is None else connection.sock
        if opened is not None:
            _cut(opened)

    def close(self) -> None:
        """Close the connection."""
        self._drop_connection()

    def _post(self, message: Message) -> Refusal | None:
        """Send a message; returns why it was refused, or None."""
        headers = {**self._headers, "Idempotency-Key": message.id}
        if self._signing_key:
            digest = hmac.new(self._signing_key, message.body, hashlib.sha256).hexdigest()
            headers["X-Dmdd-Signature"] = f"sha256={digest}"
        kept = self._connection is not None and self._connection.sock is not None
        try:
            return self._exchange(message.body, headers)
        except _STALE as error:
            if not kept:
                raise UnreachableError(_reason(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(_reason(error)) from error
        # The other end closed the kept connection, as it may at any time: no failure yet.
        self._drop_connection()
        try:
            return self._exchange(message.body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(_reason(error)) from error

    def _exchange(self, body: bytes, headers: dict[str, str]) -> Refusal | None:
        connection = self._connect()
        with contextlib.suppress(BrokenPipeError):  # one who refuses before he has read it all still answers
            connection.request("POST", self._address.target, body, headers)
        # A socket's own timeout starts again with each byte of an answer that drips in.
        timer = threading.Timer(_ANSWERS * self._timeout, _cut, [connection.sock])
        timer.daemon = True
        timer.start()
        try:
            with connection.getresponse() as response:
                status = response.status
                retry_after = _retry_after(response.headers.get("Retry-After"))
                # The status says whether it was taken, whatever becomes of the rest.
                with contextlib.suppress(OSError, http.client.HTTPException):
                    response.read(_MOST_ANSWER)
                whole = response.isclosed()
        finally:
            timer.cancel()
        if not whole:
            self._drop_connection()
        return self._verdict(status, retry_after)

    def _verdict(self, status: int, retry_after: float | None) -> Refusal | None:
        phrase = f"HTTP {status} {http.client.responses.get(status, '')}".strip()
        if 200 <= status < 300:
            return None
        if 400 <= status < 500 and status not in _TRY_LATER:
            return Refusal(phrase, status in _FINAL, retry_after)
        if 300 <= status < 400:
            phrase += ": it sends elsewhere; give the address that it sends to"
        raise UnreachableError(phrase, retry_after)

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, port = self._address.host, self._address.port
            if self._context is not None:
                self._connection = http.client.HTTPSConnection(
                    host, port, timeout=_CONNECT_TIMEOUT, context=self._context
                )
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=_CONNECT_TIMEOUT)
        if self._connection.sock is None:
            self._connection.connect()
        opened: socket.socket | None = self._connection.sock
        if opened is not None:
            opened.settimeout(self._timeout)
        if self._aborted:
            raise UnreachableError("the run has ended")
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); SSL_CERT_FILE can name yours"
    if isinstance(error, socket.gaierror):
        return "its host name cannot be resolved"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"it did not answer in HTTP ({type(error).__name__})"


def _retry_after(text: str | None) -> float | None:
    """Seconds in a Retry-After header, which holds seconds or a date; None when there is none or nonsense."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), _LONGEST_RETRY_AFTER)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def _cut(connected: socket.socket) -> None:
    """End what another thread waits for."""
    with contextlib.suppress(OSError):
        # The plain call, below TLS: another thread may be reading.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
