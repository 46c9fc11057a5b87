"""The bundle: manifest, files and their hashes, versions, threshold and calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmdd_edge.bundle.bundle import Bundle

__all__ = ["Bundle"]


def __getattr__(name: str) -> Any:
    """Load ``Bundle`` on first use, so that a module of this package does not load all others."""
    if name == "Bundle":
        from dmdd_edge.bundle.bundle import Bundle

        return Bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
