"""The sample data set: drawn plates with holes, with and without defects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmdd_edge.lazy import lazy_names

if TYPE_CHECKING:
    from dmdd_edge.sample.write import write_sample

__all__ = ["write_sample"]

# On first use: the options of the command need neither numpy nor OpenCV.
__getattr__ = lazy_names(__name__, {"write_sample": "dmdd_edge.sample.write"})
