"""A scripted receiver of webhooks: it answers, fails, rejects, hangs, or is down."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    time: float
    connection: int

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)
        return message


@dataclass
class Answer:
    """What to do with a request: a status, or a way to misbehave (``hang``, ``hang up``)."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    misbehave: str = ""


def accept(request: Request) -> Answer:
    return Answer()


class Receiver:
    """Listens on its own port, which stays reserved while it is down."""

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        self.requests: list[Request] = []
        self.accepted: list[Request] = []
        self.answer: Callable[[Request], Answer] = accept
        self.connections = 0
        self.let_go = threading.Event()  # ends every hanging answer
        self._certificate, self._key = certificate, key
        self._open: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.come()

    @property
    def url(self) -> str:
        return f"http{'s' * bool(self._certificate)}://localhost:{self.port}/results"

    @property
    def indices(self) -> list[int]:
        return [request.message["index"] for request in list(self.accepted)]

    def come(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1
                self.number = outer.connections
                outer._open.add(self.connection)

            def finish(self) -> None:
                outer._open.discard(self.connection)
                with contextlib.suppress(OSError):
                    super().finish()

            def do_POST(self) -> None:
                outer._handle(self, self.number)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 32

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate, self._key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def go_away(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.cut_connections()

    def cut_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def close(self) -> None:
        self.let_go.set()
        self.go_away()

    def _handle(self, handler: BaseHTTPRequestHandler, connection: int) -> None:
        length = int(handler.headers["Content-Length"])
        body = handler.rfile.read(length)
        if len(body) < length:  # the receiver went away while it was read
            return
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.path, headers, body, time.monotonic(), connection)
        self.requests.append(request)
        answer = self.answer(request)
        if 200 <= answer.status < 300 and answer.misbehave != "hang":
            self.accepted.append(request)
        if answer.misbehave == "hang":
            self.let_go.wait(120)
            handler.close_connection = True
            return
        if answer.misbehave == "hang up":
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)
        if answer.misbehave == "silent close":
            handler.close_connection = True  # without the header that says so
