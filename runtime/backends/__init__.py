"""What runs the graph: one module a back end, one protocol for all of them."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """Runs a bundle's graph.

    Attributes:
        name: as ``--backend`` names it, for example ``cpu``.
    """

    name: str

    @property
    def description(self) -> str:
        """One line for a person: library, version, device, precision."""
        ...

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


@runtime_checkable
class OverlappingBackend(Backend, Protocol):
    """A back end that works on a batch while the next is made ready.

    ``submit`` and ``collect`` are called from one thread at a time; batches are collected in the order in
    which they were submitted.
    """

    @property
    def slots(self) -> int:
        """How many batches may be under way at once."""
        ...

    def submit(self, images: NDArray[np.uint8]) -> Any:
        """Start a batch, and return at once.

        Args:
            images: as for ``infer``, but no more than it takes at once; free to be changed afterwards.

        Returns:
            What ``collect`` takes, once.

        Raises:
            DmddError: all slots are busy, or the device or the library refused.
        """
        ...

    def collect(self, ticket: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Wait for a batch; returns and raises as ``infer``."""
        ...
