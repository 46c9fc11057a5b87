"""A small HTTP/1.1 server on its own thread: whatever its clients do, the run is not affected.

It supports GET, HEAD and POST with a short body. Sizes, numbers and times are bounded; the oldest idle
connection makes room for a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.client import HTTPException, parse_headers
from typing import Any
from urllib.parse import parse_qsl, unquote

_LOG = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
MOST_HEADER_BYTES = 16 << 10
MOST_BODY_BYTES = 4 << 10
#: Seconds in which a request must arrive; also how long an idle connection is kept.
REQUEST_SECONDS = 15.0
#: Seconds in which a client must receive its answer.
ANSWER_SECONDS = 15.0


@dataclass(frozen=True)
class Request:
    """A complete request; ``peer`` is the client's address."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes = b""
    peer: str = ""


@dataclass(frozen=True)
class Response:
    """An answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class BadRequest(Exception):  # noqa: N818 - an answer, not a failure
    """A request that is answered with an error before the connection is closed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.response = Response(status, f"{text}\n".encode())


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Serves from ``start`` to ``close``.

    Args:
        listener: a listening socket; closed at the end.
        handler: answers requests, in the server's thread; must not block.
        background: runs beside it, from start to close.
        headers: added to every answer.

    Attributes:
        connections: number of open connections.
    """

    def __init__(
        self,
        listener: socket.socket,
        handler: Handler,
        background: Callable[[], Coroutine[Any, Any, None]],
        headers: Mapping[str, str],
    ) -> None:
        self._listener, self._handler, self._background = listener, handler, background
        self._headers = headers
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Connections that wait for a request or its rest, the longest waiting first.
        self._waiting: dict[asyncio.StreamWriter, None] = {}
        self.connections = 0
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def call_soon(self, work: Callable[[], None]) -> None:
        """Run a function in the server's thread; from any thread. No effect once the server is closed."""
        with contextlib.suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(work)

    def close(self) -> None:
        """Close every connection and the listening socket and end the thread."""
        self.call_soon(self._stopping.set)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._listener, limit=MOST_HEADER_BYTES)
        self._keep(self._background())
        await self._stopping.wait()
        server.close()
        while self._tasks:
            # Repeatedly: before Python 3.12, wait_for forgets a cancellation that comes as it ends.
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(set(self._tasks), timeout=0.1)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keep(self._attend(reader, writer))

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.connections > MOST_CONNECTIONS and not self._make_room():
                await self._send(writer, Response(503, b"Too many connections.\n"), close=True)
                return
            await self._converse(reader, writer)
            writer.close()
            await asyncio.wait_for(writer.wait_closed(), ANSWER_SECONDS)
        except (OSError, EOFError, asyncio.TimeoutError):
            pass  # the client disconnected or is too slow
        finally:
            self.connections -= 1
            self._waiting.pop(writer, None)
            # What a client has not received yet is dropped; after a proper end this has no effect.
            writer.transport.abort()

    def _make_room(self) -> bool:
        for writer in self._waiting:
            del self._waiting[writer]
            writer.transport.abort()
            return True
        return False

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        keep = True
        while keep:
            head_only = False
            self._waiting[writer] = None
            try:
                request = await asyncio.wait_for(_read_request(reader, writer), REQUEST_SECONDS)
                self._waiting.pop(writer, None)
                head_only = request.method == "HEAD"
                response = await self._answer(request)
                keep = "close" not in request.headers.get("Connection", "").lower()
            except BadRequest as error:
                response, keep = error.response, False
            finally:
                self._waiting.pop(writer, None)
            await self._send(writer, response, close=not keep, head_only=head_only)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handler(request)
        except Exception:  # a bug here must end neither the page nor the run
            _LOG.exception("The page failed to answer %s %s.", request.method, request.path)
            return Response(500, b"Internal error; see the log of the run.\n")

    async def _send(
        self, writer: asyncio.StreamWriter, response: Response, close: bool, head_only: bool = False
    ) -> None:
        headers = {"Date": formatdate(usegmt=True), **self._headers, **response.headers}
        if response.status != 204:
            headers["Content-Type"] = response.content_type
            headers["Content-Length"] = str(len(response.body))
        if close:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        writer.write(head if head_only else head + response.body)
        await asyncio.wait_for(writer.drain(), ANSWER_SECONDS)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise BadRequest(431, "The request header is too long.") from None
    first, _, rest = head.partition(b"\r\n")
    words = first.decode("latin-1").split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1") or not words[1].startswith("/"):
        raise BadRequest(400, "This is not an HTTP/1.1 request.")
    method, target, version = words
    if method not in ("GET", "HEAD", "POST"):
        raise BadRequest(501, f"Only GET, HEAD and POST are supported, not {method[:16]}.")
    try:
        headers: Message = parse_headers(io.BytesIO(rest))
    except HTTPException:
        raise BadRequest(431, "The request has too many headers.") from None
    if version == "HTTP/1.0":
        del headers["Connection"]
        headers["Connection"] = "close"
    path, _, query = target.partition("?")
    try:
        fields = dict(parse_qsl(query, max_num_fields=16))
    except ValueError:
        raise BadRequest(400, "The request has too many query fields.") from None
    peer = writer.get_extra_info("peername")
    return Request(
        method,
        unquote(path),
        fields,
        headers,
        await _read_body(reader, headers),
        str(peer[0]) if peer else "",
    )


async def _read_body(reader: asyncio.StreamReader, headers: Message) -> bytes:
    if headers.get("Transfer-Encoding") is not None:
        raise BadRequest(501, "Transfer-Encoding is not supported; send a Content-Length.")
    length = headers.get("Content-Length", "0").strip()
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(400, "The Content-Length must be a number.")
    if len(length) > 9 or int(length) > MOST_BODY_BYTES:
        raise BadRequest(413, f"The body exceeds {MOST_BODY_BYTES} bytes.")
    return await reader.readexactly(int(length))
