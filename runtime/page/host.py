"""What every page has: an address, a token, a server, a thread that draws, and the last anomalies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.page.address import listen, parse_address
from dmdd_edge.runtime.page.auth import Token
from dmdd_edge.runtime.page.gallery import Gallery
from dmdd_edge.runtime.page.http_server import HttpServer
from dmdd_edge.runtime.page.images import Painter
from dmdd_edge.runtime.page.review.routes import ReviewRoutes
from dmdd_edge.runtime.page.router import HEADERS, Router


class PageHost:
    """A page on its address; it serves from ``serve`` to ``close``.

    Args:
        address: see ``open_page``.
        token: allows changing something; None generates one.
        allows: what the token allows, for the announcement.
        what: what is served, for the announcement.
        archive: its images can be reviewed on the page; None without one.
        live: whether a run or a station is in this process.

    Attributes:
        url: address for a browser on this machine.
        token: see above.
        loopback: only this machine can reach the page.
        announcement: lines to print once at the start: the address, the token if it was generated, and
            a warning if other machines can reach the page.
        gallery: the last anomalies.
        painter: draws images.
        review: answers for the archive; None without one.

    Raises:
        DmddError: see ``open_page``.
    """

    def __init__(
        self,
        address: str,
        token: str | None,
        allows: str,
        what: str = "live page",
        archive: Path | None = None,
        live: bool = True,
    ) -> None:
        folder = None if archive is None else ArchiveFolder(archive)
        self.token = Token(token)
        self._listener, taken = listen(parse_address(address))
        self._server: HttpServer | None = None
        self.url, self.loopback = taken.url, taken.loopback
        self.announcement = [f"{what}: {self.url}"]
        if self.token.generated:
            # The part after # is not sent: the page reads it there, and removes it from the address bar.
            self.announcement.append(f"to {allows} on it: {self.url}#token={self.token.value}")
        if not taken.loopback:
            self.announcement.append(
                f"warning: every machine that reaches {taken} can see the images and figures; "
                "nothing is encrypted"
            )
        self.gallery = Gallery(self._call_soon)
        self.painter = Painter()
        self.review = None if folder is None else ReviewRoutes(folder, self.painter, live)

    def serve(self, router: Router) -> None:
        """Start serving."""
        keep = self.gallery.keep
        self._server = HttpServer(self._listener, router.answer, lambda: keep(self.painter), HEADERS)
        self._server.start()

    def close(self) -> None:
        """Stop serving: no thread and no socket remains. May be called twice."""
        if self._server is not None:
            self._server.close()
        else:
            self._listener.close()
        self.painter.close()
        if self.review is not None:
            self.review.close()

    def _call_soon(self, work: Callable[[], None]) -> None:
        if self._server is not None:
            self._server.call_soon(work)
