"""Requests to a page."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(
    url: str, path: str, method: str = "GET", body: Any = None, token: str | None = None, **headers: str
) -> Answer:
    """Send one request to the page at ``url``."""
    where = urlsplit(url)
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
