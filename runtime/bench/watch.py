"""Former name of ``interference``."""

from dmdd_edge.runtime.bench.interference import InterferenceWatch as Watch

__all__ = ["Watch"]
