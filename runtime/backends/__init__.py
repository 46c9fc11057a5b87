"""What runs the graph: one module a back end, one protocol for all of them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """Runs a bundle's graph.

    Attributes:
        name: as ``--backend`` names it, for example ``cpu``.
        description: one line for a person: library, version, device, precision.
    """

    name: str
    description: str

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Judge a batch.

        Args:
            images: contiguous uint8 N x S x S x 3 BGR.

        Returns:
            Anomaly maps, float32 N x S x S, 0..1, and scores, float32 N. Both are the caller's to keep: a
            later call does not change them.

        Raises:
            DmddError: the device or the library refused, saying what to do.
        """
        ...

    def close(self) -> None:
        """Give back what the back end holds; ``infer`` must not be called afterwards."""
        ...
