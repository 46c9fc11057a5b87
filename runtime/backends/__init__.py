"""Backends run the graph: one module per backend, one protocol for all of them."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """Runs a bundle's graph.

    Attributes:
        name: as ``--backend`` names it, for example ``cpu``.
        precision: that runs: ``fp32``, ``fp16`` or ``int8``.
    """

    name: str
    precision: str

    @property
    def description(self) -> str:
        """One line for a person: library, version, device, precision."""
        ...

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run a batch.

        Args:
            images: contiguous uint8 N x S x S x 3 BGR.

        Returns:
            Anomaly maps, float32 N x S x S, 0..1, and scores, float32 N. Both are owned by the caller: a
            later call does not change them.

        Raises:
            DmddError: the device or the library failed; the error states what to do.
        """
        ...

    def close(self) -> None:
        """Release the backend's resources; ``infer`` must not be called afterwards."""
        ...


@runtime_checkable
class OverlappingBackend(Backend, Protocol):
    """A backend that computes one batch while the next is prepared.

    ``submit`` and ``collect`` are called from one thread at a time; batches are collected in the order in
    which they were submitted.
    """

    @property
    def slots(self) -> int:
        """The number of batches that may be in flight at once."""
        ...

    def submit(self, images: NDArray[np.uint8]) -> Any:
        """Start a batch, and return at once.

        Args:
            images: as for ``infer``, but at most the largest batch; the caller may change them afterwards.

        Returns:
            The ticket for ``collect``; valid once.

        Raises:
            DmddError: all slots are busy, or the device or the library failed.
        """
        ...

    def collect(self, ticket: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Wait for a batch; returns and raises as ``infer``."""
        ...
