"""A built engine, and writing it with its sidecar."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from dmdd_edge._version import __version__
from dmdd_edge.export.engines.build import BuildOptions, Plan
from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.engine import EngineSidecar, write_engine


@dataclass(frozen=True)
class BuiltEngine:
    """An engine on the disk.

    Attributes:
        path: the ``.engine`` file, with its sidecar next to it.
        sidecar: what it is bound to.
        reused: whether a matching engine existed, so that no build was needed.
        warnings: warnings of the library; empty without a build.
    """

    path: Path
    sidecar: EngineSidecar
    reused: bool = False
    warnings: tuple[str, ...] = ()


def keep(
    path: Path,
    plan: Plan,
    options: BuildOptions,
    *,
    flavour: str,
    library_version: str,
    onnx_sha256: str,
    sms: tuple[str, ...],
    gpu: GpuFacts | None = None,
) -> BuiltEngine:
    """Write a plan and the sidecar that describes it.

    Args:
        path: the ``.engine`` file to write.
        flavour: ``tensorrt`` or ``rtx``.
        sms: the compute capabilities that it runs on.
        gpu: the GPU that it was built on, if one was needed.

    Raises:
        DmddError: the folder cannot be written.
    """
    sidecar = EngineSidecar.model_validate(
        {
            "flavour": flavour,
            "engine_sha256": hashlib.sha256(plan.data).hexdigest(),
            "engine_bytes": len(plan.data),
            "onnx_sha256": onnx_sha256,
            "library_version": library_version,
            "precision": options.precision,
            "image_size": plan.image_size,
            "batch": options.batch,
            "gpu": gpu.name if gpu else None,
            "sms": sms,
            "hardware_compatible": options.hardware_compatible,
            "driver": gpu.driver if gpu else None,
            "cuda": gpu.cuda if gpu else None,
            "convolutions": plan.counts.all,
            "half_convolutions": plan.counts.half,
            "island_convolutions": plan.counts.islands,
            "int8_convolutions": plan.counts.int8,
            "workspace_bytes": options.workspace_bytes,
            "opt_level": options.opt_level,
            "build_seconds": round(plan.seconds, 2),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "created_with": f"dmdd-edge {__version__}",
        }
    )
    write_engine(path, plan.data, sidecar)
    return BuiltEngine(path, sidecar, warnings=plan.warnings)
