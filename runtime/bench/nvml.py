"""Former name of ``circumstances``."""

from dmdd_edge.runtime.bench.circumstances import open_gpu_watch

__all__ = ["open_gpu_watch"]
