"""The bundle: manifest, files and their hashes, versions, threshold and calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmdd_edge.lazy import lazy_names

if TYPE_CHECKING:
    from dmdd_edge.bundle.bundle import Bundle

__all__ = ["Bundle"]

# On first use, so that a module of this package does not load all others.
__getattr__ = lazy_names(__name__, {"Bundle": "dmdd_edge.bundle.bundle"})
