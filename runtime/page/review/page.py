"""The review of an archive as a separate page."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.runtime.page.host import PageHost
from dmdd_edge.runtime.page.review.routes import ReviewRoutes
from dmdd_edge.runtime.page.router import Router


class ReviewPage:
    """Serves the review of an archive from the start to ``close``.

    Args:
        address, token: as for ``open_page``; the token allows giving verdicts.
        archive: folder of the archive.

    Attributes:
        url: address for a browser on this machine.
        token: see above.
        announcement: lines to print once at the start; see ``PageHost``.

    Raises:
        DmddError: as for ``open_page``, or the folder is not an archive.
    """

    def __init__(self, address: str, archive: Path, token: str | None) -> None:
        self._host = host = PageHost(address, token, "give verdicts", "review page", archive, live=False)
        self.url, self.token, self.announcement = host.url, host.token.value, host.announcement
        host.serve(
            Router("review.html", host.gallery, host.token, host.loopback, ReviewRoutes.what, host.review)
        )

    def close(self) -> None:
        """Stop serving: no thread and no socket remains. May be called twice."""
        self._host.close()
