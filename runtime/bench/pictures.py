"""Former name of ``images``."""

from dmdd_edge.runtime.bench.images import ImageSet as Pictures
from dmdd_edge.runtime.bench.images import choose_images as choose_pictures

__all__ = ["Pictures", "choose_pictures"]
