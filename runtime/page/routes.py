"""Routes of the page: the answer to each request."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.page.auth import WRONG_TOKEN_DELAY, Token, host_is_loopback, same_origin
from dmdd_edge.runtime.page.gallery import Gallery
from dmdd_edge.runtime.page.history import History
from dmdd_edge.runtime.page.http_server import Request, Response
from dmdd_edge.runtime.page.images import CurrentImage
from dmdd_edge.runtime.page.snapshot import Run, Snapshots, health_json, state_json

_LOG = logging.getLogger(__name__)

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
_ANOMALY = re.compile(r"/anomalies/([0-9]{1,15})(-small)?\.jpg", re.ASCII)


class Routes:
    """Answers requests about one run.

    Args:
        run: the run.
        history, gallery, snapshots, image: what is shown of it.
        token: allows changing the threshold.
        loopback: only this machine can reach the page, so only names of this machine are accepted.
    """

    def __init__(
        self,
        run: Run,
        history: History,
        gallery: Gallery,
        snapshots: Snapshots,
        image: CurrentImage,
        token: Token,
        loopback: bool,
    ) -> None:
        self._run, self._history, self._gallery = run, history, gallery
        self._snapshots, self._image = snapshots, image
        self._token, self._loopback = token, loopback
        self._assets = _read_assets()
        self._get: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/api/state": self._state,
            "/api/history": self._intervals,
            "/api/token": self._check_token,
            "/frame.jpg": self._frame,
            "/metrics": self._metrics,
            "/healthz": self._health,
        }

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        host = request.headers.get("Host")
        if host is None:
            return Response(400, b"The request has no Host header.\n")
        if self._loopback and not host_is_loopback(host):
            return Response(421, b"This page is served to this machine only; open it as 127.0.0.1.\n")
        if request.path == "/api/threshold":
            if request.method != "POST":
                return _only("POST")
            return await self._set_threshold(request, host)
        if request.method == "POST":
            return _only("GET, HEAD")
        asset = self._assets.get(request.path)
        if asset is not None:
            return asset
        route = self._get.get(request.path)
        if route is not None:
            return await route(request)
        return self._anomaly(request.path)

    async def _state(self, request: Request) -> Response:
        state = state_json(self._snapshots.now(), self._history, self._gallery, _whole(request, "after"))
        return _json(200, state)

    async def _intervals(self, request: Request) -> Response:
        return _json(200, {"intervals": self._history.intervals()})

    async def _metrics(self, request: Request) -> Response:
        try:
            from dmdd_edge.runtime.page.metrics import CONTENT_TYPE, metrics_text
        except ImportError:
            return Response(501, b"Metrics need prometheus-client: pip install prometheus-client\n")
        text = metrics_text(self._snapshots.now(), self._history)
        return Response(200, text.encode(), CONTENT_TYPE)

    async def _health(self, request: Request) -> Response:
        body = health_json(self._snapshots.now())
        return _json(503 if body["reason"] else 200, body)

    async def _frame(self, request: Request) -> Response:
        drawn = await self._image.get(overlay=request.query.get("overlay") != "0")
        if drawn is None or drawn.caption["number"] == _whole(request, "have"):
            return Response(204)
        return Response(200, drawn.data, "image/jpeg", {"Dmdd-Frame": json.dumps(drawn.caption)})

    def _anomaly(self, path: str) -> Response:
        match = _ANOMALY.fullmatch(path)
        if match is None:
            return Response(404, b"Not found.\n")
        number = int(match[1])
        data = self._gallery.image(number, small=match[2] is not None)
        if data is not None:
            return Response(200, data, "image/jpeg")
        if self._gallery.has_dropped(number):
            # A page that has been open for long still lists it: it gets an image that says so, not an error.
            return self._assets["/gone.svg"]
        return Response(404, b"Not found.\n")

    async def _check_token(self, request: Request) -> Response:
        return await self._refused(request) or Response(204)

    async def _refused(self, request: Request) -> Response | None:
        authorization = request.headers.get("Authorization")
        if self._token.allows(authorization):
            return None
        if authorization is not None:
            await asyncio.sleep(WRONG_TOKEN_DELAY)
            return _error(
                401, "The token does not match.", "Use the one that was printed when the run started."
            )
        return _error(
            401, "Changing the threshold requires the token.", "Send it as Authorization: Bearer TOKEN."
        )

    async def _set_threshold(self, request: Request, host: str) -> Response:
        if not same_origin(request.headers.get("Origin"), host):
            return _error(403, "Another site must not change the threshold.", "Use the page itself.")
        refused = await self._refused(request)
        if refused is not None:
            return refused
        if request.headers.get_content_type() != "application/json":
            return _error(415, "The body must be JSON.", "Send Content-Type: application/json.")
        value = _number_in(request.body)
        if value is None:
            return _error(400, "The threshold must be a number.", 'Send {"threshold": 0.5}.')
        try:
            before = self._run.set_threshold(value)
        except DmddError as error:
            return _error(400, error.message, error.fix)
        self._snapshots.forget()
        _LOG.warning("Threshold of this run changed %.6g -> %.6g by %s.", before, value, request.peer)
        return _json(200, {"threshold": value, "before": before})


def _read_assets() -> dict[str, Response]:
    """The files of the page by path; nothing else is ever read from the disk for a client."""
    assets: dict[str, Response] = {}
    for file in (files("dmdd_edge.runtime.page") / "assets").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            assets[f"/{file.name}"] = Response(200, file.read_bytes(), kind, {"Cache-Control": "no-cache"})
    assets["/"] = assets["/index.html"]
    return assets


def _json(status: int, value: Any) -> Response:
    return Response(status, json.dumps(value, allow_nan=False).encode(), "application/json")


def _error(status: int, message: str, fix: str) -> Response:
    response = _json(status, {"message": message, "fix": fix})
    if status != 401:
        return response
    # Browsers have no dialog for this scheme: the page asks by itself.
    return Response(status, response.body, response.content_type, {"WWW-Authenticate": "Bearer"})


def _only(methods: str) -> Response:
    return Response(405, f"Only {methods} is allowed.\n".encode(), headers={"Allow": methods})


def _whole(request: Request, name: str) -> int:
    """A whole number from the query; 0 if it is missing."""
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _number_in(body: bytes) -> float | None:
    try:
        value = json.loads(body)["threshold"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
