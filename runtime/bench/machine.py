"""Former name of ``circumstances``."""

from dmdd_edge.runtime.bench.circumstances import circumstances

__all__ = ["circumstances"]
