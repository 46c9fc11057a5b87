"""A receiver whose answer drips in byte by byte does not hold the messages up for ever."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from dmdd_edge.runtime.delivery.address import parse_webhook
from dmdd_edge.runtime.delivery.spool import Message
from dmdd_edge.runtime.delivery.transport import UnreachableError
from dmdd_edge.runtime.delivery.webhook import WebhookTransport


@pytest.mark.parametrize(
    ("beginning", "taken"),
    [(b"H", False), (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", True)],
)
def test_an_answer_that_drips_in_is_cut_off(beginning: bytes, taken: bool) -> None:
    done: list[Message] = []
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            with listening.accept()[0] as client, contextlib.suppress(OSError):
                client.sendall(beginning)
                while not ended.wait(0.02):
                    client.sendall(b"H")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        transport = WebhookTransport(
            parse_webhook(f"http://127.0.0.1:{listening.getsockname()[1]}/"), answer_timeout=0.2
        )
        message = Message(0, "a-0", b"{}", None)
        began = time.monotonic()
        with contextlib.nullcontext() if taken else pytest.raises(UnreachableError):
            transport.deliver([message], lambda sent, refusal: done.append(sent))
        assert time.monotonic() - began < 30
        ended.set()
        thread.join()
        transport.close()
    assert done == ([message] if taken else [])
