"""Messages over HTTP: each is POSTed as JSON, over a persistent connection."""

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
#: Longest Retry-After that is respected, in seconds.
_LONGEST_RETRY_AFTER = 3600.0
#: Largest part of an answer's body that is read; after a longer one the connection is dropped. Bytes.
_MOST_ANSWER = 64 << 10
#: An answer must be complete within this multiple of the timeout.
_ANSWERS = 2.0
#: 4xx codes that mean "later", not "never".
_TRY_LATER = (408, 425, 429)
#: 4xx codes about the message itself. Others may come from a proxy whose receiver is being restarted, or
#: pass when an access rule is corrected.
_FINAL = (400, 411, 413, 414, 415, 422, 431)
#: Errors of a persistent connection that the other end has closed meanwhile.
_STALE = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, http.client.BadStatusLine)


class WebhookTransport:
    """Delivers to a receiver of POST requests.

    2xx: the receiver accepted the message. 400, 411, 413, 414, 415, 422 and 431: it rejected it for good.
    Other 4xx: a refusal that may pass (``Refusal.final``). Everything else, including redirections, 408, 425
    and 429: retried later, never before ``Retry-After``. Each request carries ``Idempotency-Key``, the
    message's id, so that the receiver can recognize a repeated message. ``http_proxy`` and similar variables
    are ignored: a message goes to the given address only.

    Args:
        address: of the receiver.
        signing_key: if not empty, ``X-Dmdd-Signature: sha256=<hex>`` is the body's HMAC-SHA256 with it.
        token: if not empty, sent as ``Authorization: Bearer``.
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
        # SSL_CERT_FILE and SSL_CERT_DIR can name other trusted certificates.
        self._context = ssl.create_default_context() if address.tls else None
        self._connection: http.client.HTTPConnection | None = None
        self._aborted = False

    def watch(self, lost: Callable[[], None]) -> None:
        """No effect: a connection that ends between two messages loses nothing."""

    def open(self) -> None:
        """No effect: each message connects when needed."""

    def deliver(self, messages: Sequence[Message], done: Done) -> None:
        """POST messages one after the other."""
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
        """Send a message; returns why it was rejected, or None."""
        headers = {**self._headers, "Idempotency-Key": message.id}
        if self._signing_key:
            digest = hmac.new(self._signing_key, message.body, hashlib.sha256).hexdigest()
            headers["X-Dmdd-Signature"] = f"sha256={digest}"
        reused = self._connection is not None and self._connection.sock is not None
        try:
            return self._exchange(message.body, headers)
        except _STALE as error:
            if not reused:
                raise UnreachableError(_reason(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(_reason(error)) from error
        # The other end closed the persistent connection, as it may at any time: not a failure yet.
        self._drop_connection()
        try:
            return self._exchange(message.body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(_reason(error)) from error

    def _exchange(self, body: bytes, headers: dict[str, str]) -> Refusal | None:
        connection = self._connect()
        with contextlib.suppress(BrokenPipeError):  # a receiver that rejects early still answers
            connection.request("POST", self._address.target, body, headers)
        # A socket's timeout restarts with each byte of an answer that arrives slowly.
        timer = threading.Timer(_ANSWERS * self._timeout, _cut, [connection.sock])
        timer.daemon = True
        timer.start()
        try:
            with connection.getresponse() as response:
                status = response.status
                retry_after = _retry_after(response.headers.get("Retry-After"))
                # The status says whether it was accepted, whatever happens to the rest.
                with contextlib.suppress(OSError, http.client.HTTPException):
                    response.read(_MOST_ANSWER)
                whole = response.isclosed()
        finally:
            timer.cancel()
        if not whole:
            self._drop_connection()
        return self._decide(status, retry_after)

    def _decide(self, status: int, retry_after: float | None) -> Refusal | None:
        phrase = f"HTTP {status} {http.client.responses.get(status, '')}".strip()
        if 200 <= status < 300:
            return None
        if 400 <= status < 500 and status not in _TRY_LATER:
            return Refusal(phrase, status in _FINAL, retry_after)
        if 300 <= status < 400:
            phrase += ": redirections are not followed; use the address that it redirects to"
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
        return f"its certificate is not trusted ({error.verify_message}); set SSL_CERT_FILE to trust yours"
    if isinstance(error, socket.gaierror):
        return "its host name cannot be resolved"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"it did not answer as an HTTP server ({type(error).__name__})"


def _retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header, which has seconds or a date; None if it is missing or malformed."""
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
    """Shut a socket down, to end the wait of another thread."""
    with contextlib.suppress(OSError):
        # The plain call, below TLS: another thread may be reading.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
