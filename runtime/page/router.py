"""What the pages of a run and of a station answer alike: files, images, changes that need the token."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from inspect import isawaitable
from typing import Any, Protocol

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.page.auth import WRONG_TOKEN_DELAY, Token, host_is_loopback, same_origin
from dmdd_edge.runtime.page.gallery import Gallery
from dmdd_edge.runtime.page.http_server import Request, Response
from dmdd_edge.runtime.page.images import Drawn

#: Headers of every answer: nothing is loaded from other sites, and none may frame or embed the page.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
#: The answer where the package for metrics is missing.
NO_METRICS = Response(501, b"Metrics need prometheus-client: pip install prometheus-client\n")

Get = Callable[[Request], Awaitable[Response]]
#: Receives a request that carries the token, and the object in its body.
Post = Callable[[Request, dict[str, Any]], Response | Awaitable[Response]]


class Tab(Protocol):
    """Answers that a page has beside its own, such as those of the review.

    Attributes:
        what: what the token allows there, as the subject of a sentence.
        get, post: answers by path.
    """

    what: str
    get: Mapping[str, Get]
    post: Mapping[str, Post]

    async def other(self, request: Request) -> Response | None:
        """The answer for a path that is in no table; None for what is not of this tab."""
        ...


class Router:
    """Answers requests by their path.

    Args:
        home: file of the page at ``/``.
        gallery: the last anomalies, with their images.
        token: allows changing something.
        loopback: only this machine can reach the page, so only names of this machine are accepted.
        what: what the token allows, as the subject of a sentence.
        tab: further answers.
    """

    def __init__(
        self,
        home: str,
        gallery: Gallery,
        token: Token,
        loopback: bool,
        what: str,
        tab: Tab | None = None,
    ) -> None:
        self._gallery, self._token, self._loopback, self._what = gallery, token, loopback, what
        self._assets = _read_assets(home)
        self._get: dict[str, Get] = {"/api/token": self._check_token}
        self._post: dict[str, Post] = {}
        self._tab = tab
        if tab is not None:
            self._get |= tab.get
            self._post |= tab.post

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        host = request.headers.get("Host")
        if host is None:
            return Response(400, b"The request has no Host header.\n")
        if self._loopback and not host_is_loopback(host):
            return Response(421, b"This page is served to this machine only; open it as 127.0.0.1.\n")
        change = self._post.get(request.path)
        if change is not None:
            if request.method != "POST":
                return _only("POST")
            return await self._change(request, host, change)
        if request.method == "POST":
            return _only("GET, HEAD")
        asset = self._assets.get(request.path)
        if asset is not None:
            return asset
        route = self._get.get(request.path)
        if route is not None:
            return await route(request)
        return await self._other(request)

    async def _other(self, request: Request) -> Response:
        """The answer for a path that is in no table."""
        answer = self._gallery_image(request.path)
        if answer is None and self._tab is not None:
            answer = await self._tab.other(request)
        return answer or Response(404, b"Not found.\n")

    def _gallery_image(self, path: str) -> Response | None:
        named = Gallery.number_in(path)
        if named is None:
            return None
        number, small = named
        data = self._gallery.image(number, small)
        if data is not None:
            return Response(200, data, "image/jpeg")
        if self._gallery.has_dropped(number):
            # A page that has been open for long still lists it: it gets an image that says so, not an error.
            return self._assets["/gone.svg"]
        return None

    async def _check_token(self, request: Request) -> Response:
        return await self._refused(request) or Response(204)

    async def _refused(self, request: Request) -> Response | None:
        authorization = request.headers.get("Authorization")
        if self._token.allows(authorization):
            return None
        if authorization is not None:
            await asyncio.sleep(WRONG_TOKEN_DELAY)
            return error_answer(
                401, "The token does not match.", "Use the one that was printed at the start."
            )
        return error_answer(
            401, f"{self._what_of(request)} requires the token.", "Send it as Authorization: Bearer TOKEN."
        )

    def _what_of(self, request: Request) -> str:
        tab = self._tab
        return tab.what if tab is not None and request.path in tab.post else self._what

    async def _change(self, request: Request, host: str, change: Post) -> Response:
        if not same_origin(request.headers.get("Origin"), host):
            return error_answer(
                403, f"{self._what_of(request)} is not possible from another site.", "Use the page itself."
            )
        refused = await self._refused(request)
        if refused is not None:
            return refused
        if request.headers.get_content_type() != "application/json":
            return error_answer(415, "The body must be JSON.", "Send Content-Type: application/json.")
        try:
            answer = change(request, _object_in(request.body))
            return await answer if isawaitable(answer) else answer
        except DmddError as error:
            return error_answer(400, error.message, error.fix)


def _read_assets(home: str) -> dict[str, Response]:
    """The files of the page by path; nothing else is ever read from the disk for a client."""
    assets: dict[str, Response] = {}
    for file in (files("dmdd_edge.runtime.page") / "assets").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            assets[f"/{file.name}"] = Response(200, file.read_bytes(), kind, {"Cache-Control": "no-cache"})
    assets["/"] = assets[f"/{home}"]
    return assets


def json_answer(status: int, value: Any) -> Response:
    """An answer in JSON."""
    return Response(status, json.dumps(value, allow_nan=False).encode(), "application/json")


def error_answer(status: int, message: str, fix: str) -> Response:
    """What is wrong, and how to fix it, in JSON."""
    response = json_answer(status, {"message": message, "fix": fix})
    if status != 401:
        return response
    # Browsers have no dialog for this scheme: the page asks by itself.
    return Response(status, response.body, response.content_type, {"WWW-Authenticate": "Bearer"})


def image_answer(request: Request, drawn: Drawn | None) -> Response:
    """An image with its caption in a header; status 204 without one, or where the client has it."""
    if drawn is None or drawn.caption["number"] == whole_in(request.query, "have"):
        return Response(204)
    return Response(200, drawn.data, "image/jpeg", {"Dmdd-Frame": json.dumps(drawn.caption)})


def _only(methods: str) -> Response:
    return Response(405, f"Only {methods} is allowed.\n".encode(), headers={"Allow": methods})


def whole_in(query: Mapping[str, str], name: str) -> int:
    """A whole number from the query; 0 if it is missing."""
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _object_in(body: bytes) -> dict[str, Any]:
    """The object in a body; empty where it holds something else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def number_in(fields: Mapping[str, Any], name: str) -> float | None:
    """A finite number of an object; None where it holds something else."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
