"""The folder of engines built on this machine: outside the bundle, named by what an engine depends on."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dmdd_edge.failures import storage_errors
from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.sidecar import BatchProfile
from dmdd_edge.storage import expand_home


def engine_cache(option: Path | str | None = None) -> Path:
    """The folder of this machine's engines, created if missing, writable by its owner only.

    Args:
        option: value of ``--engine-cache``; None for ``$XDG_CACHE_HOME/dmdd-edge/engines``, or
            ``~/.cache/dmdd-edge/engines`` without that variable.

    Raises:
        DmddError: it cannot be created.
    """
    folder = engine_cache_path(option)
    with storage_errors(folder, "created", "Name another folder: --engine-cache DIR."):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def engine_cache_path(option: Path | str | None = None) -> Path:
    """The path of the folder of this machine's engines, which may not exist; ``engine_cache`` creates it.

    Raises:
        DmddError: the user has no home folder, and no other folder is named.
    """
    return expand_home(Path(option) if option is not None else _default(), "--engine-cache")


def cached_engine(
    cache: Path,
    *,
    onnx_sha256: str,
    gpu: GpuFacts,
    library_version: str,
    precision: str,
    batch: BatchProfile,
    hardware_compatible: bool = False,
) -> Path:
    """The path of the engine with exactly these facts, which may not exist.

    Args:
        onnx_sha256: of the graph.
        library_version: TensorRT's.
        precision: ``fp16``, ``int8`` or ``fp32``.
    """
    bound = "sm80-and-later" if hardware_compatible else f"{_slug(gpu.name)}-{gpu.sm}"
    sizes = str(batch).replace(":", "-")
    return cache / onnx_sha256[:16] / f"{bound}-trt{library_version}-{precision}-b{sizes}.engine"


def cached_engines(cache: Path, onnx_sha256: str) -> list[Path]:
    """Every engine in the cache that was built from this graph, newest first."""
    engines = (cache / onnx_sha256[:16]).glob("*.engine")
    return sorted(engines, key=lambda path: path.stat().st_mtime, reverse=True)


def timing_cache(cache: Path, gpu: GpuFacts, library_version: str) -> Path:
    """The path of the measured kernel times of this GPU and TensorRT version, which may not exist."""
    return cache / "timing" / f"{_slug(gpu.name)}-{gpu.sm}-trt{library_version}.timing"


def _default() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or "~/.cache") / "dmdd-edge" / "engines"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "gpu"
