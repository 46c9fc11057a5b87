"""Routes of the review: the answer to each request."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from dmdd_edge.errors import DmddError, StorageError
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.page.http_server import Request, Response
from dmdd_edge.runtime.page.images import Painter
from dmdd_edge.runtime.page.review.desk import LONGEST_WHO, VERDICTS, Conflict, Desk, Gone, filter_in, who_in
from dmdd_edge.runtime.page.review.images import drawn
from dmdd_edge.runtime.page.router import Get, Post, error_answer, json_answer, whole_in

_LOG = logging.getLogger(__name__)
_IMAGE = re.compile(r"/review/([0-9A-Za-z_-]{8,64})\.jpg", re.ASCII)
_GONE = ("This image was deleted meanwhile.", "Continue with the next one.")


class ReviewRoutes:
    """Answers requests about an archive.

    Args:
        archive: the archive.
        painter: draws its images.
        live: whether a run or a station is in the same process; the review then leaves it the processor.

    Attributes:
        get, post: the tables of answers by path.
    """

    #: What the token allows, as the subject of a sentence.
    what = "Giving a verdict"

    def __init__(self, archive: ArchiveFolder, painter: Painter, live: bool) -> None:
        self._painter, self._live = painter, live
        self._desk = Desk(archive, gentle=live)
        #: Every access to the disk but for images: a verdict does not wait until one is drawn.
        self._disk = Painter("page-review")
        self.get: Mapping[str, Get] = {
            "/api/review/state": self._state,
            "/api/review/list": self._list,
            "/api/review/item": self._item,
        }
        self.post: Mapping[str, Post] = {"/api/review/verdict": self._judge}

    async def other(self, request: Request) -> Response | None:
        """The answer for a path that is in no table; None for what is not of the review."""
        match = _IMAGE.fullmatch(request.path)
        if match is None:
            return None
        try:
            record = await self._disk(self._desk.record, match[1])
            overlay = request.query.get("overlay") != "0"
            closeups = request.query.get("closeups") == "1"
            data = await self._painter(drawn, self._desk.archive, record, overlay, closeups)
        except (Gone, FileNotFoundError):
            return error_answer(410, *_GONE)
        except DmddError as error:
            return error_answer(422, error.message, error.fix)
        except ValueError as error:
            return error_answer(422, f"The record is damaged: {error}.", "Continue with the next one.")
        return Response(200, data, "image/jpeg")

    async def _state(self, request: Request) -> Response:
        query = request.query
        try:
            state = await self._disk(
                self._desk.state,
                filter_in(query),
                query.get("verdict", ""),
                whole_in(query, "after"),
                query.get("first", ""),
            )
        except StorageError as error:
            return error_answer(503, error.message, error.fix)
        return json_answer(200, {**state, "live": self._live})

    async def _list(self, request: Request) -> Response:
        query = request.query
        newer = query.get("newer") == "1"
        try:
            listed = await self._disk(
                self._desk.listed, filter_in(query), query.get("verdict", ""), query.get("than", ""), newer
            )
        except StorageError as error:
            return error_answer(503, error.message, error.fix)
        return json_answer(200, listed)

    async def _item(self, request: Request) -> Response:
        try:
            return json_answer(200, await self._disk(self._desk.shown, request.query.get("id", "")))
        except Gone:
            return error_answer(410, *_GONE)

    async def _judge(self, request: Request, fields: dict[str, Any]) -> Response:
        name, verdict, seen = (fields.get(each) for each in ("id", "verdict", "seen"))
        who = who_in(fields)
        if not isinstance(name, str) or verdict not in VERDICTS or not isinstance(seen, int) or who is None:
            return error_answer(
                400,
                "This is not a verdict.",
                f"Send id, verdict ({', '.join(VERDICTS)}), seen, and who of at most {LONGEST_WHO} letters.",
            )
        try:
            given = await self._disk(self._desk.judge, name, verdict, who, seen)
        except Gone:
            return error_answer(410, *_GONE)
        except Conflict as conflict:
            answer = error_answer(409, "Somebody else has given a verdict meanwhile.", "Look at it again.")
            body = {**json.loads(answer.body), "given": conflict.given._asdict()}
            return json_answer(409, body)
        except StorageError as error:
            _LOG.warning("A verdict could not be kept: %s", error.message)
            return error_answer(503, error.message, error.fix)
        return json_answer(200, given)

    def close(self) -> None:
        """End the thread; a verdict that is being written is written."""
        self._disk.close()
