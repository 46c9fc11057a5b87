"""The page as a sink of the run."""

from __future__ import annotations

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.page.address import listen, parse_address
from dmdd_edge.runtime.page.auth import Token
from dmdd_edge.runtime.page.gallery import Gallery
from dmdd_edge.runtime.page.history import History
from dmdd_edge.runtime.page.http_server import HttpServer
from dmdd_edge.runtime.page.images import CurrentPicture, Painter
from dmdd_edge.runtime.page.interface import Control
from dmdd_edge.runtime.page.routes import HEADERS, Routes
from dmdd_edge.runtime.page.snapshot import Snapshots
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary


class Page:
    """A sink that shows the run to browsers; made by ``open_page``.

    Taking a result costs some microseconds. Pictures are drawn in a thread of their own: the current one only
    while somebody looks, at most four times a second, and of anomalies at most two a second. The newest frame
    is kept by reference, so a source must not write into it again.

    Attributes:
        url: what a browser on this machine opens.
        token: allows changing the threshold.
        announcement: lines to print once at the start: the address, the token if it was made here, and a
            warning where others than this machine can reach the page.
    """

    def __init__(self, address: str, control: Control, token: str | None) -> None:
        secret = Token(token)
        listener, taken = listen(parse_address(address))
        self.url, self.token = taken.url, secret.value
        self.announcement = [f"live page: {self.url}"]
        if secret.generated:
            # Behind the # it is not sent: the page takes it from there, and out of the address.
            self.announcement.append(f"to change the threshold on it: {self.url}#token={secret.value}")
        if not taken.loopback:
            self.announcement.append(
                f"warning: every machine that reaches {taken} can see the pictures and figures; "
                "nothing is encrypted"
            )
        self._history = History()
        self._gallery = Gallery(lambda work: self._server.call_soon(work))
        self._painter = Painter()
        routes = Routes(
            control,
            self._history,
            self._gallery,
            Snapshots(control, self._history),
            CurrentPicture(self._history, self._painter),
            secret,
            taken.loopback,
        )
        self._server = HttpServer(listener, routes.answer, lambda: self._gallery.keep(self._painter), HEADERS)
        self._server.start()

    def result(self, frame: Frame, result: Result) -> None:
        """Show a result; the frame is kept until the next one comes."""
        number = self._history.add(frame, result)
        if result.status == "anomalous":
            self._gallery.offer(number, frame, result)

    def broken(self, frame: BrokenFrame) -> None:
        """Show that a frame could not be judged."""
        self._history.add_broken(frame)

    def summary(self, summary: Summary) -> None:
        """Show that the run has ended."""
        self._history.ended = True

    def close(self) -> None:
        """Stop serving: no thread and no socket is left. May be called twice."""
        self._server.close()
        self._painter.close()


def open_page(address: str, control: Control, token: str | None = None) -> Page:
    """Serve the live page of a run until the sink is closed.

    Args:
        address: ``8080`` for this machine alone, ``127.0.0.1:8080``, ``[::1]:8080``, or ``0.0.0.0:8080`` for
            every machine that can reach this one. Port 0 takes a free one.
        control: the run.
        token: allows changing the threshold; at least eight characters of ASCII. None makes one.

    Raises:
        DmddError: the address is none, is not this machine's, or its port is in use; a token that is too
            short or holds a space.
    """
    return Page(address, control, token)
