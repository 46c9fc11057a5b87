"""Edge deployment toolkit for visual anomaly detection with DMDD.

``from dmdd_edge import Detector`` gives the runtime's detector; it is loaded on first use, so that
``import dmdd_edge`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmdd_edge._version import __version__
from dmdd_edge.errors import DmddError
from dmdd_edge.privacy import keep_private

keep_private()  # before any library is imported that would call home

if TYPE_CHECKING:
    from dmdd_edge.runtime.detector import Detector

__all__ = ["Detector", "DmddError", "__version__"]


def __getattr__(name: str) -> Any:
    """Load the runtime's ``Detector`` when it is first asked for."""
    if name == "Detector":
        from dmdd_edge.runtime.detector import Detector

        return Detector
    raise AttributeError(f"module 'dmdd_edge' has no attribute {name!r}")
