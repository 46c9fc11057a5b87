"""The measured detector: a bundle on a backend, with a stopwatch around the host call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import GRAPHS, Bundle
from dmdd_edge.bundle.manifest import MANIFEST_NAME
from dmdd_edge.runtime.backends import Backend
from dmdd_edge.runtime.bench.timing import Clock
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.engines.sidecar import EngineSidecar
from dmdd_edge.runtime.engines.slot import DeviceTimes
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.storage import sha256_of


@runtime_checkable
class EngineBackend(Protocol):
    """What a backend that runs an engine on a GPU reports.

    Attributes:
        sidecar: of the engine.
    """

    sidecar: EngineSidecar

    @property
    def largest_batch(self) -> int:
        """The largest batch that is computed at once."""
        ...

    @property
    def times(self) -> DeviceTimes | None:
        """Times of the last batch on the GPU."""
        ...


class Stopwatch:
    """A backend that times every call of another. It hides ``submit`` and ``collect``: one query at a time.

    Args:
        backend: what is timed.
        clock: the time.

    Attributes:
        call_ms: duration of the last call on the host: images in host memory to results in host memory.
        device: where the last call spent its time on the GPU; None where the backend does not report it,
            or where the call was split into several parts.
    """

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self.backend = backend
        self.name, self.precision = backend.name, backend.precision
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
        """The engine's sidecar; None where no engine runs."""
        return None if self._engine is None else self._engine.sidecar

    @property
    def largest_batch(self) -> int | None:
        """The largest batch that is computed at once; None for any."""
        return None if self._engine is None else self._engine.largest_batch

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Backend``; sets ``call_ms`` and ``device``."""
        began = self._clock.now()
        outputs = self.backend.infer(images)
        self.call_ms = 1000 * (self._clock.now() - began)
        if self._engine is not None:
            self.device = self._engine.times if len(images) <= self._engine.largest_batch else None
        return outputs

    def close(self) -> None:
        """See ``Backend``."""
        self.backend.close()


@dataclass(frozen=True)
class TimedDetector:
    """A bundle on a backend, loaded.

    Attributes:
        detector: its backend is the stopwatch; tiles go past it, several batches at once as in a run.
        stopwatch: times the host calls.
    """

    detector: Detector
    stopwatch: Stopwatch

    @classmethod
    def open(
        cls,
        path: Path,
        backend: str = "auto",
        options: BackendOptions | None = None,
        clock: Clock | None = None,
        verify: bool = True,
        strip: int | None = None,
    ) -> TimedDetector:
        """Load a bundle on a backend.

        Args:
            path, backend, options, verify, strip: as ``Detector.load``.
            clock: of the stopwatch.

        Raises:
            DmddError: as ``Detector.load``.
        """
        loaded = Detector.load(path, backend, verify=verify, options=options, strip=strip)
        stopwatch = Stopwatch(loaded.backend, clock or Clock())
        detector = Detector(
            loaded.bundle, stopwatch, loaded.threshold, loaded.passed_over, tiles=loaded.tiles
        )
        return cls(detector, stopwatch)

    def __enter__(self) -> TimedDetector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detector.close()

    @property
    def bundle(self) -> Bundle:
        """The measured bundle."""
        return self.detector.bundle

    def as_dict(self) -> dict[str, Any]:
        """Its part of a result: the bundle, and the backend with the file that it runs."""
        manifest, sidecar = self.bundle.manifest, self.stopwatch.sidecar
        if sidecar is None:
            precision, digest, size = (
                (precision := self.stopwatch.precision),
                manifest.files[GRAPHS[precision]],
                self.bundle.file(GRAPHS[precision]).stat().st_size,
            )
        else:
            precision, digest, size = sidecar.precision, sidecar.engine_sha256, sidecar.engine_bytes
        backend = {
            "name": self.stopwatch.name,
            "description": self.stopwatch.description,
            "precision": precision,
            "file_sha256": digest,
            "file_bytes": size,
        }
        if sidecar is not None:
            backend["library"] = sidecar.library
            backend["engine_batch"] = str(sidecar.batch)
            backend["graph_sha256"] = sidecar.onnx_sha256
        return {
            "bundle": {
                "category": manifest.category,
                "version": manifest.version,
                "backbone": manifest.backbone,
                "image_size": manifest.image_size,
                "sha256": sha256_of(self.bundle.path / MANIFEST_NAME),
                "licence_of_weights": manifest.licences.weights,
            },
            "backend": backend,
        }
