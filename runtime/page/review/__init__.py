"""Review of an archive in a browser: as a tab of a live page, and as a separate page."""

from __future__ import annotations
