"""A back end with a clock on it, so that the host call is timed inside the whole way of a frame."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.backends import Backend
from dmdd_edge.runtime.bench.timing import Clock
from dmdd_edge.runtime.engines.sidecar import EngineSidecar
from dmdd_edge.runtime.engines.slot import DeviceTimes


@runtime_checkable
class EngineBackend(Protocol):
    """What a back end tells that runs an engine on a GPU.

    Attributes:
        sidecar: of the engine.
    """

    sidecar: EngineSidecar

    @property
    def largest_batch(self) -> int:
        """The largest batch that it takes at once."""
        ...

    @property
    def times(self) -> DeviceTimes | None:
        """Of the batch that came last, on the GPU."""
        ...


class Stopwatch:
    """Times every call of a back end. It hides ``submit`` and ``collect``: one query at a time.

    Args:
        backend: what is timed.
        clock: the time.

    Attributes:
        call_ms: how long the last call took on the host: images in host memory to results in host memory.
        device: where the last call's time went on the GPU; None where the back end does not tell, or where
            the call went through in several parts.
    """

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self.backend = backend
        self.name = backend.name
        self.call_ms = 0.0
        self.device: DeviceTimes | None = None
        self._clock = clock
        self._engine = backend if isinstance(backend, EngineBackend) else None

    @property
    def description(self) -> str:
        """See ``Backend``."""
        return self.backend.description

    @property
    def sidecar(self) -> EngineSidecar | None:
        """Of the engine that runs; None where none does."""
        return None if self._engine is None else self._engine.sidecar

    @property
    def largest_batch(self) -> int | None:
        """The largest batch that is computed at once; None for any."""
        return None if self._engine is None else self._engine.largest_batch

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Backend``; sets ``call_ms`` and ``device``."""
        began = self._clock.now()
        found = self.backend.infer(images)
        self.call_ms = 1000 * (self._clock.now() - began)
        if self._engine is not None:
            self.device = self._engine.times if len(images) <= self._engine.largest_batch else None
        return found

    def close(self) -> None:
        """See ``Backend``."""
        self.backend.close()
