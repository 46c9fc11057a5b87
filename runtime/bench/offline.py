"""Former name of ``settings``."""

from dmdd_edge.runtime.bench.settings import parse_batches

__all__ = ["parse_batches"]
