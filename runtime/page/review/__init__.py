"""Review of an archive in a browser: as a tab of a live page, and as a page of its own."""

from __future__ import annotations
