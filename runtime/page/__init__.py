"""The live page of a run: a small web server on the standard library, and the page that it serves.

``open_page`` returns the sink. ``/`` is the page, ``/metrics`` is for Prometheus, ``/healthz`` for the
monitoring of the machine, ``/api/state`` has the same as JSON.
"""

from __future__ import annotations

from dmdd_edge.runtime.page.page import Page, open_page

__all__ = ["Page", "open_page"]
