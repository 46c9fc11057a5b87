"""What is measured: a bundle on a back end, and which file of it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
from dmdd_edge.bundle.manifest import MANIFEST_NAME
from dmdd_edge.runtime.backends.options import BackendOptions
from dmdd_edge.runtime.bench.stopwatch import Stopwatch
from dmdd_edge.runtime.bench.timing import Clock
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.storage import sha256_of


@dataclass(frozen=True)
class Subject:
    """A bundle on a back end, started.

    Attributes:
        detector: judges; its back end is the stopwatch.
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
    ) -> Subject:
        """Start the back end on a bundle.

        Args:
            path, backend, options, verify: as ``Detector.load``.
            clock: of the stopwatch.

        Raises:
            DmddError: as ``Detector.load``.
        """
        loaded = Detector.load(path, backend, verify=verify, options=options)
        stopwatch = Stopwatch(loaded.backend, clock or Clock())
        detector = Detector(loaded.bundle, stopwatch, loaded.threshold, loaded.passed_over)
        return cls(detector, stopwatch)

    def __enter__(self) -> Subject:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detector.close()

    @property
    def bundle(self) -> Bundle:
        """What is measured."""
        return self.detector.bundle

    def as_dict(self) -> dict[str, Any]:
        """What a result says of it: the bundle, and the back end with the file that it runs."""
        manifest, sidecar = self.bundle.manifest, self.stopwatch.sidecar
        if sidecar is None:
            precision, digest, size = (
                "fp32",
                manifest.files[FP32_GRAPH],
                self.bundle.file(FP32_GRAPH).stat().st_size,
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
