"""What describes a simulated engine, what goes into one and what must come out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.engine import BatchProfile, EngineSidecar

GPU = GpuFacts("Simulated GPU", "sm86", "580.65.06", "13.0", 8 << 30)


def make_sidecar(data: bytes, graph: Path, **changes: Any) -> EngineSidecar:
    """What describes a simulated engine of ``graph``."""
    values: dict[str, Any] = {
        "flavour": "tensorrt",
        "engine_sha256": hashlib.sha256(data).hexdigest(),
        "engine_bytes": len(data),
        "onnx_sha256": hashlib.sha256(graph.read_bytes()).hexdigest(),
        "library_version": "10.3.0",
        "precision": "fp16",
        "image_size": 64,
        "batch": BatchProfile.parse("1:4"),
        "gpu": GPU.name,
        "sms": (GPU.sm,),
        "convolutions": 1,
        "half_convolutions": 1,
        "opt_level": 3,
        "build_seconds": 1.0,
        "created": "2026-11-24T08:00:00+00:00",
        "created_with": "dmdd-edge",
    }
    return EngineSidecar.model_validate(values | changes)


def pictures(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Noise."""
    return np.random.default_rng(seed).integers(0, 255, (count, 64, 64, 3)).astype(np.uint8)


def require_right(found: tuple[NDArray[np.float32], NDArray[np.float32]], images: NDArray[np.uint8]) -> None:
    """Raise unless maps and scores are those of ``images``, and keep their own memory."""
    maps, scores = found
    assert (maps.dtype, scores.dtype) == (np.float32, np.float32)
    assert maps.flags.owndata
    assert maps.shape == images.shape[:3]
    np.testing.assert_allclose(maps, images[..., 0] / 255, atol=1e-6)
    np.testing.assert_allclose(scores, images[..., 0].max(axis=(1, 2)) / 255, atol=1e-6)
