"""What describes a simulated engine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from dmdd_edge.device import GpuFacts
from dmdd_edge.engines import BatchProfile, EngineSidecar

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
