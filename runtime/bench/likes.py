"""Former name of ``settings``."""

from dmdd_edge.runtime.bench.settings import preset_named as like_named

__all__ = ["like_named"]
