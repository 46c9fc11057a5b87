from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dmdd_edge.runtime.page import http_server
from dmdd_edge.runtime.page.http_server import HttpServer, Request, Response

PATIENCE = 30.0
#: More than the system holds for a connection.
LARGE = 32 << 20


async def _answer(request: Request) -> Response:
    if request.path == "/fault":
        raise ZeroDivisionError
    if request.path == "/large":
        return Response(200, bytes(LARGE))
    said = f"{request.method} {request.path} {dict(request.query)} {request.body!r}"
    return Response(200, said.encode(), headers={"Own": "yes"})


async def _nothing() -> None:
    await asyncio.Event().wait()


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@pytest.fixture
def server(listener: socket.socket) -> Iterator[HttpServer]:
    server = HttpServer(listener, _answer, _nothing, {"Always": "there"})
    server.start()
    yield server
    server.close()


Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(server: HttpServer, listener: socket.socket) -> Iterator[Connect]:
    opened: list[socket.socket] = []
    place = listener.getsockname()

    def one() -> socket.socket:
        opened.append(socket.create_connection(place, timeout=PATIENCE))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


def _until_closed(connection: socket.socket) -> bytes:
    received = b""
    while True:
        try:
            part = connection.recv(1 << 16)
        except ConnectionResetError:  # what was sent and not read is a reset, not an end
            return received
        if not part:
            return received
        received += part


def _wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def _ask(connection: socket.socket, text: str) -> bytes:
    connection.sendall(text.encode("latin-1"))
    return _until_closed(connection)


def test_an_answer_word_for_word(connect: Connect) -> None:
    got = _ask(connect(), "GET /a%20b?x=1&y= HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").decode()
    head, _, body = got.partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {"Always: there", "Own: yes", "Connection: close", f"Content-Length: {len(body)}"} < set(lines)
    assert body == "GET /a b {'x': '1'} b''"


def test_a_connection_serves_one_request_after_the_other(connect: Connect) -> None:
    both = (
        "POST /one HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
        "HEAD /two HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    )
    got = _ask(connect(), both).decode()
    first, _, second = got.partition("POST /one {} b'abc'")
    assert first.startswith("HTTP/1.1 200 OK")
    assert second.startswith("HTTP/1.1 200 OK")
    assert second.endswith("\r\n\r\n"), "HEAD has no body"
    assert f"Content-Length: {len('HEAD /two {} b' + repr(''))}" in second


def test_http_1_0_closes(connect: Connect) -> None:
    assert _ask(connect(), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 400),
        ("GET http://h/ HTTP/1.1\r\n\r\n", 400),
        ("GET / x HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01\x02\r\n\r\n", 400),
        ("DELETE / HTTP/1.1\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 4097\r\n\r\n", 413),
        (f"POST / HTTP/1.1\r\nContent-Length: {'9' * 5000}\r\n\r\n", 413),
        ("GET / HTTP/1.1\r\n" + "A: b\r\n" * 200 + "\r\n", 431),
        ("GET / HTTP/1.1\r\nA: " + "b" * 40000 + "\r\n\r\n", 431),
        ("GET /?" + "a=1&" * 100 + " HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(
    request_text: str, status: int, connect: Connect
) -> None:
    assert _ask(connect(), request_text).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_fault_of_ours_is_answered_and_logged(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    got = _ask(connect(), "GET /fault HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 500 ")
    assert b"ZeroDivision" not in got
    assert "ZeroDivisionError" in caplog.text


def test_a_request_that_does_not_arrive_is_given_up(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.2)
    for start in ("", "GET / HTTP/1.1\r\nHost: h\r\n", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"):
        connection = connect()
        connection.sendall(start.encode())
        assert _until_closed(connection) == b"", start


def test_a_client_that_does_not_take_its_answer_is_dropped(
    server: HttpServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "ANSWER_SECONDS", 0.2)
    slow = connect()
    slow.sendall(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
    assert slow.recv(4) == b"HTTP"
    other = _ask(connect(), "GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert b"200 OK" in other, "others are served meanwhile"
    _wait_until(lambda: server.connections == 0)
    assert len(_until_closed(slow)) < LARGE, "the rest was dropped"


def test_of_too_many_clients_the_longest_idle_makes_room(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "MOST_CONNECTIONS", 3)
    idle = []
    for _ in range(3):
        connection = connect()
        connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        idle.append(connection)
    assert b"200 OK" in _ask(connect(), "GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert _until_closed(idle[0]) == b"", "the first has waited longest"
    idle[2].sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert b"200 OK" in _until_closed(idle[2]), "the last is still served"


def test_where_all_are_being_served_one_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MOST_CONNECTIONS", 1)
    entered, leave = threading.Event(), threading.Event()

    async def slowly(request: Request) -> Response:
        entered.set()
        while not leave.is_set():
            await asyncio.sleep(0.01)
        return Response(200, b"done")

    listener = socket.create_server(("127.0.0.1", 0))
    place = listener.getsockname()
    server = HttpServer(listener, slowly, _nothing, {})
    server.start()
    try:
        with socket.create_connection(place, PATIENCE) as first:
            first.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            assert entered.wait(PATIENCE)
            with socket.create_connection(place, PATIENCE) as second:
                assert _until_closed(second).startswith(b"HTTP/1.1 503 ")
            leave.set()
            assert _until_closed(first).endswith(b"done")
    finally:
        leave.set()
        server.close()


def test_closing_leaves_no_thread_and_no_socket(caplog: pytest.LogCaptureFixture) -> None:
    before = set(threading.enumerate())
    listener = socket.create_server(("127.0.0.1", 0))
    place = listener.getsockname()
    server = HttpServer(listener, _answer, _nothing, {})
    server.start()
    with (
        socket.create_connection(place, PATIENCE) as waiting,
        socket.create_connection(place, PATIENCE) as reading,
        socket.create_connection(place, PATIENCE) as served,
    ):
        reading.sendall(b"GET /large HTTP/1.1\r\n\r\n")  # and reads no part of it
        assert reading.recv(4) == b"HTTP"
        served.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert served.recv(4096)
        server.close()
        server.close()
        assert _until_closed(waiting) == b""
    assert set(threading.enumerate()) <= before
    assert listener.fileno() == -1
    with socket.create_server(place):
        pass  # the port is free again
    assert caplog.text == "", "asyncio complains of nothing"
