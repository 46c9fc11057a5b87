"""A page on a free port, over a run that the tests control."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from dmdd_edge.runtime.page import Page, open_page
from tests.runtime.page.a_run import FakeControl

TOKEN = "correct-horse-battery"


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def page(control: FakeControl) -> Iterator[Page]:
    page = open_page("127.0.0.1:0", control, TOKEN)
    yield page
    page.close()


@pytest.fixture
def ask(page: Page) -> Callable[..., Answer]:
    """Send one request to the page."""

    def send(
        path: str, method: str = "GET", body: Any = None, token: str | None = None, **headers: str
    ) -> Answer:
        where = urlsplit(page.url)
        assert where.hostname is not None
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            named["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            named.setdefault("Content-Type", "application/json")
            body = json.dumps(body).encode()
        try:
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, response.msg, response.read())
        finally:
            connection.close()

    return send


@pytest.fixture
def token() -> str:
    return TOKEN
