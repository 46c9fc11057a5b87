"""The page of a station as a sink of its results and an observer of its parts."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.page.host import PageHost
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.station.model import Missed, PartResult, StationState
from dmdd_edge.runtime.station.page.board import Board
from dmdd_edge.runtime.station.page.routes import StationRoutes
from dmdd_edge.runtime.station.page.view import StationView
from dmdd_edge.runtime.station.settings import StationSettings
from dmdd_edge.runtime.summary import Summary


class StationPage:
    """Shows a station to browsers; created by ``open_station_page``.

    As a sink it receives the frame and the result of each inspection, as an observer each part. Each call
    costs some microseconds; images are drawn in a separate thread, and only while somebody looks.

    Attributes:
        url: address for a browser on this machine.
        token: allows changing the recipe, clearing a fault and triggering a part.
        announcement: lines to print once at the start.
    """

    def __init__(
        self, address: str, settings: StationSettings, token: str | None, archive: Path | None
    ) -> None:
        allows = "change the recipe" if archive is None else "change the recipe and give verdicts"
        self._host = host = PageHost(address, token, allows, archive=archive)
        self.url, self.token, self.announcement = host.url, host.token.value, host.announcement
        self._board = Board(settings.inspections)

    def show(self, view: StationView) -> None:
        """Begin to serve; once. Until then the address is taken, and requests wait."""
        host = self._host
        host.serve(
            StationRoutes(
                view, self._board, host.gallery, host.painter, host.token, host.loopback, host.review
            )
        )

    def result(self, frame: Frame, result: Result) -> None:
        """Show a result; its source is the name of its inspection."""
        number = self._board.result(frame, result)
        if result.status in ("anomalous", "suspect"):
            self._host.gallery.offer(number, frame, result)

    def broken(self, frame: BrokenFrame) -> None:
        """Nothing: the part says why an inspection has no result."""

    def summary(self, summary: Summary) -> None:
        """Show that the station has ended."""
        self._board.ended = True

    def part(self, part: PartResult) -> None:
        """Show a part."""
        self._board.part(part)

    def missed(self, missed: Missed) -> None:
        """Nothing: the state has the number of them."""

    def changed(self, state: StationState) -> None:
        """Nothing: the page reads the state when somebody looks."""

    def close(self) -> None:
        """Stop serving. May be called twice."""
        self._host.close()


def open_station_page(
    address: str, settings: StationSettings, token: str | None = None, archive: Path | None = None
) -> StationPage:
    """Take the address of a station's live page; ``show`` begins to serve it.

    The engine needs the page as a sink and an observer, and the page needs the engine: hence two steps.

    Args:
        address, token, archive: as for ``open_page``.
        settings: of the station.

    Raises:
        DmddError: as for ``open_page``.
    """
    return StationPage(address, settings, token, archive)
