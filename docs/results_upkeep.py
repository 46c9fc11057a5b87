"""Tables of what keeps a detector right after its first day."""

from __future__ import annotations

from collections.abc import Callable

UPKEEP: dict[str, Callable[[], str]] = {}
