"""The page as a sink of the run."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.page.history import History
from dmdd_edge.runtime.page.host import PageHost
from dmdd_edge.runtime.page.images import CurrentImage
from dmdd_edge.runtime.page.routes import Routes
from dmdd_edge.runtime.page.snapshot import Run, Snapshots
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary


class Page:
    """A sink that shows the run to browsers; created by ``open_page``.

    Receiving a result costs some microseconds. Images are drawn in a separate thread: the current frame only
    while somebody looks, at most four times per second, and at most two anomalies per second. The newest
    frame is kept by reference, so a source must not write into it again.

    Attributes:
        url: address for a browser on this machine.
        token: allows changing the threshold.
        announcement: lines to print once at the start: the address, the token if it was generated, and
            a warning if other machines can reach the page.
    """

    def __init__(self, address: str, run: Run, token: str | None, archive: Path | None = None) -> None:
        allows = "change the threshold" if archive is None else "change the threshold and give verdicts"
        self._host = host = PageHost(address, token, allows, archive=archive)
        self.url, self.token, self.announcement = host.url, host.token.value, host.announcement
        self._history, self._gallery = History(), host.gallery
        routes = Routes(
            run,
            self._history,
            self._gallery,
            Snapshots(run, self._history),
            CurrentImage(self._history, host.painter),
            host.token,
            host.loopback,
            host.review,
        )
        host.serve(routes)

    def result(self, frame: Frame, result: Result) -> None:
        """Show a result; its frame is kept until the next one comes."""
        number = self._history.add(frame, result)
        if result.status in ("anomalous", "suspect"):
            self._gallery.offer(number, frame, result)

    def broken(self, frame: BrokenFrame) -> None:
        """Show that a frame could not be read or prepared."""
        self._history.add_broken(frame)

    def summary(self, summary: Summary) -> None:
        """Show that the run has ended."""
        self._history.ended = True

    def close(self) -> None:
        """Stop serving: no thread and no socket remains. May be called twice."""
        self._host.close()


def open_page(address: str, run: Run, token: str | None = None, archive: Path | None = None) -> Page:
    """Serve the live page of a run until the sink is closed.

    Args:
        address: ``8080`` for this machine alone, ``127.0.0.1:8080``, ``[::1]:8080``, or ``0.0.0.0:8080`` for
            every machine that can reach this one. Port 0 chooses a free port.
        run: the run, ``RunControl``.
        token: allows changing the threshold; at least eight ASCII characters. None generates one.
        archive: folder of the archive that the page shows for review.

    Raises:
        DmddError: the address is malformed or not one of this machine, its port is in use, or the token is
            too short or contains a space.
    """
    return Page(address, run, token, archive)
