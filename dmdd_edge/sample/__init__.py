"""The sample data set: drawn plates with holes, with and without defects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmdd_edge.sample.write import write_sample

__all__ = ["write_sample"]


def __getattr__(name: str) -> Any:
    """Load ``write_sample`` on first use: the options of the command need neither numpy nor OpenCV."""
    if name == "write_sample":
        from dmdd_edge.sample.write import write_sample

        return write_sample
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
