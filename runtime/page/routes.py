"""Routes of the page of a run: the answer to each request."""

from __future__ import annotations

import logging
from typing import Any

from dmdd_edge.runtime.page.auth import Token
from dmdd_edge.runtime.page.gallery import Gallery
from dmdd_edge.runtime.page.history import History
from dmdd_edge.runtime.page.http_server import Request, Response
from dmdd_edge.runtime.page.images import CurrentImage
from dmdd_edge.runtime.page.router import (
    NO_METRICS,
    Router,
    Tab,
    error_answer,
    image_answer,
    json_answer,
    number_in,
    whole_in,
)
from dmdd_edge.runtime.page.snapshot import Run, Snapshots, health_json, state_json

_LOG = logging.getLogger(__name__)


class Routes(Router):
    """Answers requests about one run.

    Args:
        run: the run.
        history, gallery, snapshots, image: what is shown of it.
        token: allows changing the threshold.
        loopback: only this machine can reach the page.
        review: answers for the archive, when there is one.
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
        review: Tab | None = None,
    ) -> None:
        super().__init__("index.html", gallery, token, loopback, "Changing the threshold", review)
        self._run, self._history = run, history
        self._snapshots, self._image = snapshots, image
        self._get |= {
            "/api/state": self._state,
            "/api/history": self._intervals,
            "/frame.jpg": self._frame,
            "/metrics": self._metrics,
            "/healthz": self._health,
        }
        self._post |= {"/api/threshold": self._set_threshold}

    async def _state(self, request: Request) -> Response:
        after = whole_in(request.query, "after")
        state = state_json(self._snapshots.now(), self._history, self._gallery, after)
        return json_answer(200, {**state, "review": self._tab is not None})

    async def _intervals(self, request: Request) -> Response:
        return json_answer(200, {"intervals": self._history.intervals()})

    async def _metrics(self, request: Request) -> Response:
        try:
            from dmdd_edge.runtime.page.metrics import CONTENT_TYPE, metrics_text
        except ImportError:
            return NO_METRICS
        text = metrics_text(self._snapshots.now(), self._history)
        return Response(200, text.encode(), CONTENT_TYPE)

    async def _health(self, request: Request) -> Response:
        body = health_json(self._snapshots.now())
        return json_answer(503 if body["reason"] else 200, body)

    async def _frame(self, request: Request) -> Response:
        query = request.query
        drawn = await self._image.get(query.get("overlay") != "0", query.get("closeups") == "1")
        return image_answer(request, drawn)

    def _set_threshold(self, request: Request, fields: dict[str, Any]) -> Response:
        value = number_in(fields, "threshold")
        if value is None:
            return error_answer(400, "The threshold must be a number.", 'Send {"threshold": 0.5}.')
        before = self._run.set_threshold(value)
        self._snapshots.forget()
        _LOG.warning("Threshold of this run changed %.6g -> %.6g by %s.", before, value, request.peer)
        return json_answer(200, {"threshold": value, "before": before})
