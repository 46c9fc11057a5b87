"""TensorRT engines for the GPU of this machine, into its local cache; the bundle never changes."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.errors import BackendError, DmddError, OptionError
from dmdd_edge.export.engines.artifact import BuiltEngine, keep
from dmdd_edge.export.engines.build import BuildOptions, build_plan
from dmdd_edge.export.engines.progress import Progress
from dmdd_edge.runtime.cuda.gpu import GpuFacts, probe_gpu
from dmdd_edge.runtime.engines.cache import cached_engine, engine_cache, timing_cache
from dmdd_edge.runtime.engines.engine import EngineNeeds, check_engine, read_sidecar
from dmdd_edge.runtime.engines.library import load_tensorrt
from dmdd_edge.storage import sha256_of


def tensorrt_missing() -> str:
    """The reason why this machine cannot build TensorRT engines; empty when it can."""
    if reason := probe_gpu().reason:
        return reason  # before a package that would be of no use here
    try:
        load_tensorrt()
    except DmddError as error:
        return f"{error.message} {error.fix}"
    return ""


def build_tensorrt(
    onnx: Path,
    *,
    cache: Path | str | None = None,
    options: BuildOptions | None = None,
    rebuild: bool = False,
    progress: Progress | None = None,
) -> BuiltEngine:
    """Build an engine for this machine's GPU, or find an existing one.

    Args:
        onnx: the bundle's graph of the precision in ``options``.
        cache: the engine cache; by default the user's.
        options: how to build; by default fp16, batch 1.
        rebuild: build even if a matching engine is in the cache.
        progress: called during the build.

    Raises:
        DmddError: TensorRT or a driver is missing, or the build fails.
    """
    options = options or BuildOptions()
    trt = load_tensorrt()
    gpu = _require_gpu()
    if options.hardware_compatible and gpu.integrated:
        raise OptionError(
            f"--hardware-compatible does not apply to {gpu.name}, only to PCs and servers.",
            "Leave it out.",
        )
    folder, digest, version = engine_cache(cache), sha256_of(onnx), str(trt.__version__)
    path = cached_engine(
        folder,
        onnx_sha256=digest,
        gpu=gpu,
        library_version=version,
        precision=options.precision,
        batch=options.batch,
        hardware_compatible=options.hardware_compatible,
    )
    if (
        not rebuild
        and path.is_file()
        and not check_engine(path, EngineNeeds(digest, version, gpu, cache=folder))
    ):
        sidecar = read_sidecar(path)
        if (sidecar.opt_level, sidecar.workspace_bytes) == (options.opt_level, options.workspace_bytes):
            return BuiltEngine(path, sidecar, reused=True)
    timing = timing_cache(folder, gpu, version)
    plan = build_plan(trt, onnx, options, timing=timing, progress=progress)
    return keep(
        path,
        plan,
        options,
        flavour="tensorrt",
        library_version=version,
        onnx_sha256=digest,
        sms=(gpu.sm,),
        gpu=gpu,
    )


def _require_gpu() -> GpuFacts:
    probe = probe_gpu()
    if probe.facts is None:
        raise BackendError(
            f"A TensorRT engine is built on the GPU that runs it; no GPU can be used here: {probe.reason}.",
            "Run this on the edge box itself, or build for RTX GPUs on any machine with --target rtx.",
        )
    return probe.facts
