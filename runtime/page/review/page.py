"""The review of an archive as a separate page."""

from __future__ import annotations

from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.page.host import PageHost
from dmdd_edge.runtime.page.review.routes import ReviewRoutes
from dmdd_edge.runtime.page.router import Router


class ReviewPage:
    """Serves the review of an archive from the start to ``close``.

    Args:
        address, token: as for ``open_page``; the token allows giving verdicts.
        archive: see ``ArchiveFolder``.

    Attributes:
        url: address for a browser on this machine.
        token: see above.
        announcement: lines to print once at the start; see ``PageHost``.

    Raises:
        DmddError: as for ``open_page``.
    """

    def __init__(self, address: str, archive: ArchiveFolder, token: str | None) -> None:
        self._host = host = PageHost(address, token, "give verdicts", "review page")
        self.url, self.token, self.announcement = host.url, host.token.value, host.announcement
        self._review = ReviewRoutes(archive, host.painter, live=False)
        host.serve(
            Router("review.html", host.gallery, host.token, host.loopback, ReviewRoutes.what, self._review)
        )

    def close(self) -> None:
        """Stop serving: no thread and no socket remains. May be called twice."""
        self._host.close()
        self._review.close()
