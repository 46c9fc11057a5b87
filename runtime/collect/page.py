"""The live page of a collection: the camera's image, the count, what was refused and why, and a button."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import cv2

from dmdd_edge._version import __version__
from dmdd_edge.data.images import MIN_SIDE
from dmdd_edge.messages.text import visible
from dmdd_edge.runtime.collect.collect import OpenCollection
from dmdd_edge.runtime.collect.collector import TakenImage
from dmdd_edge.runtime.frame import Frame, as_bgr
from dmdd_edge.runtime.page.host import PageHost
from dmdd_edge.runtime.page.http_server import Request, Response
from dmdd_edge.runtime.page.images import IMAGES_PER_SECOND, LONGEST, Drawn, jpeg
from dmdd_edge.runtime.page.router import Router, error_answer, image_answer, json_answer

_LOG = logging.getLogger(__name__)


class CollectionPage:
    """Shows a collection to browsers; created by ``open_collection_page``.

    Attributes:
        url: address for a browser on this machine.
        token: allows taking images.
        announcement: lines to print once at the start.
        ended: whether somebody ended the collection there.
    """

    def __init__(self, address: str, collection: OpenCollection, token: str | None) -> None:
        self._host = host = PageHost(address, token, "take images")
        self.url, self.token, self.announcement = host.url, host.token.value, host.announcement
        self._routes = CollectionRoutes(collection, host)
        host.serve(self._routes)

    @property
    def ended(self) -> bool:
        """Whether somebody ended the collection there."""
        return self._routes.ended

    def close(self) -> None:
        """Stop serving. May be called twice."""
        self._host.close()


class CollectionRoutes(Router):
    """Answers requests about a collection.

    Args:
        collection: what is shown.
        host: of the page.

    Attributes:
        ended: whether somebody ended it.
    """

    def __init__(self, collection: OpenCollection, host: PageHost) -> None:
        super().__init__("collect.html", host.gallery, host.token, host.loopback, "Taking images")
        self._collection, self._painter = collection, host.painter
        self._drawn: tuple[float, Drawn] | None = None
        self._drawing = asyncio.Lock()
        self.ended = False
        self._get |= {"/api/state": self._state, "/frame.jpg": self._frame}
        self._post |= {"/api/take": self._take, "/api/undo": self._undo, "/api/end": self._end}

    async def _state(self, request: Request) -> Response:
        return json_answer(200, state_json(self._collection, self.ended))

    async def _frame(self, request: Request) -> Response:
        async with self._drawing:
            frame = self._collection.current
            now = time.monotonic()
            fresh = self._drawn is not None and now - self._drawn[0] < 1 / IMAGES_PER_SECOND
            if frame is not None and not fresh:
                data = await self._painter(_draw, frame)
                caption = {"number": frame.index + 1, "time": frame.time, "source": visible(frame.source)}
                self._drawn = (now, Drawn(caption, data))
        return image_answer(request, None if self._drawn is None else self._drawn[1])

    def _take(self, request: Request, fields: dict[str, Any]) -> Response:
        if self._collection.way != "key" or self._collection.wish is None:
            return error_answer(
                409, "Images are taken by themselves here.", "Start with --take key for this."
            )
        self._collection.wish.ask()
        return json_answer(202, {})

    def _undo(self, request: Request, fields: dict[str, Any]) -> Response:
        number = self._collection.collector.undo()
        if number is None:
            return error_answer(409, "There is no image to remove.", "Earlier images are removed by hand.")
        _LOG.warning("Image %06d was removed by %s.", number, request.peer)
        return json_answer(200, {"removed": number})

    def _end(self, request: Request, fields: dict[str, Any]) -> Response:
        self.ended = True
        return json_answer(202, {})


def state_json(collection: OpenCollection, ended: bool = False) -> dict[str, Any]:
    """What the page shows, as fields for JSON."""
    collector, options = collection.collector, collection.options
    counts, spread, source = collector.counts(), collector.spread(), collection.source.state()
    return {
        "program": __version__,
        "time": time.time(),
        "ended": ended or collection.over,
        "into": str(options.into),
        "target": options.target,
        "way": collection.way,
        "images": counts.images,
        "added": counts.added,
        "refused": counts.refused,
        "marked": counts.marked,
        "unreadable": counts.unreadable,
        "spread": "" if spread is None else spread.text(),
        "missing": [] if spread is None else spread.missing(),
        "doubtful": [{"number": number, "text": fault.text} for number, fault in collector.doubtful_cached()],
        "newest": [_shown(taken) for taken in reversed(collector.newest)],
        "source": {"name": source.name, "connected": source.connected, "message": source.message},
    }


def open_collection_page(
    address: str, collection: OpenCollection, token: str | None = None
) -> CollectionPage:
    """Serve the live page of a collection until it is closed.

    Args:
        address, token: as for ``page.open_page``.
        collection: an open one.

    Raises:
        DmddError: as for ``page.open_page``.
    """
    return CollectionPage(address, collection, token)


def _shown(taken: TakenImage) -> dict[str, Any]:
    return {"number": taken.number, "text": taken.text, "time": taken.time}


def _draw(frame: Frame) -> bytes:
    image = frame.image
    scale = min(max(LONGEST / max(image.shape[:2]), MIN_SIDE / min(image.shape[:2])), 1.0)
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return jpeg(as_bgr(image))
