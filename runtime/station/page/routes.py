"""Routes of the page of a station: the answer to each request."""

from __future__ import annotations

import logging
import re
from typing import Any

from dmdd_edge.runtime.page.auth import Token
from dmdd_edge.runtime.page.gallery import Gallery
from dmdd_edge.runtime.page.http_server import Request, Response
from dmdd_edge.runtime.page.images import CurrentImage, Painter
from dmdd_edge.runtime.page.router import (
    NO_METRICS,
    Router,
    Tab,
    error_answer,
    image_answer,
    json_answer,
    number_in,
)
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.page.board import Board
from dmdd_edge.runtime.station.page.snapshot import StationSnapshots, health_json, state_json
from dmdd_edge.runtime.station.page.view import StationView

_LOG = logging.getLogger(__name__)
#: An inspection is named by its place in the station file, since its name may hold any character.
_INSPECTION = re.compile(r"/inspections/([0-9]{1,6})\.jpg", re.ASCII)


class StationRoutes(Router):
    """Answers requests about a station.

    Args:
        view: the station.
        board, gallery: what is shown of it.
        painter: draws images.
        token: allows changing the recipe, clearing a fault and triggering a part.
        loopback: only this machine can reach the page.
        review: answers for the archive, when there is one.
    """

    def __init__(
        self,
        view: StationView,
        board: Board,
        gallery: Gallery,
        painter: Painter,
        token: Token,
        loopback: bool,
        review: Tab | None = None,
    ) -> None:
        super().__init__("station.html", gallery, token, loopback, "Changing the station", review)
        self._view, self._board = view, board
        self._snapshots = StationSnapshots(view, board)
        self._images = [CurrentImage(latest, painter) for latest in board.latest.values()]
        self._get |= {"/api/state": self._state, "/metrics": self._metrics, "/healthz": self._health}
        self._post |= {
            "/api/recipe": self._request_recipe,
            "/api/clear": self._clear_error,
            "/api/trigger": self._trigger,
        }

    async def _other(self, request: Request) -> Response:
        match = _INSPECTION.fullmatch(request.path)
        if match is None or int(match[1]) >= len(self._images):
            return await super()._other(request)
        drawn = await self._images[int(match[1])].get(overlay=request.query.get("overlay") != "0")
        return image_answer(request, drawn)

    async def _state(self, request: Request) -> Response:
        state = state_json(self._snapshots.now(), self._view, self._board, self._gallery)
        return json_answer(200, {**state, "review": self._tab is not None})

    async def _metrics(self, request: Request) -> Response:
        try:
            from dmdd_edge.runtime.station.page.metrics import CONTENT_TYPE, station_metrics_text
        except ImportError:
            return NO_METRICS
        text = station_metrics_text(self._snapshots.now(), self._view, self._board)
        return Response(200, text.encode(), CONTENT_TYPE)

    async def _health(self, request: Request) -> Response:
        body = health_json(self._snapshots.now())
        return json_answer(503 if body["reason"] else 200, body)

    def _request_recipe(self, request: Request, fields: dict[str, Any]) -> Response:
        value = number_in(fields, "recipe")
        known = [recipe.number for recipe in self._view.settings.recipes]
        if value not in known:
            there = ", ".join(map(str, sorted(known)))
            return error_answer(
                400, "The recipe must be a number of the station file.", f"Send one of {there}."
            )
        self._view.desk.request_recipe(int(value))
        self._snapshots.forget()
        _LOG.warning("Recipe %d was requested by %s.", value, request.peer)
        return json_answer(202, {"recipe": int(value)})

    def _clear_error(self, request: Request, fields: dict[str, Any]) -> Response:
        self._view.desk.clear_error()
        self._snapshots.forget()
        _LOG.warning("The fault was cleared by %s.", request.peer)
        return json_answer(202, {})

    def _trigger(self, request: Request, fields: dict[str, Any]) -> Response:
        answer = self._view.desk.trigger("page")
        if isinstance(answer, ErrorCode):
            word = answer.name.lower().replace("_", " ")
            return error_answer(409, f"The trigger was refused: {word}.", "Wait until the station is ready.")
        return json_answer(202, {"acquisition_id": answer})
