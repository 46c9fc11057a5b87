"""TensorRT-RTX's particulars: kernels compiled on first use and saved to a file, and built-in CUDA graphs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.engine import EngineSidecar, is_private
from dmdd_edge.runtime.engines.loaded import LoadedEngine
from dmdd_edge.storage import write_atomically

if TYPE_CHECKING:
    import tensorrt_rtx


class LoadedRtxEngine(LoadedEngine):
    """A deserialized TensorRT-RTX engine.

    Args:
        rtx: the module ``tensorrt_rtx``.
        data: the engine's bytes, already checked.
        sidecar: its description.
        graphs: let the library capture CUDA graphs; it knows when its kernels are ready.
        kernels: the file of compiled kernels, read and updated; None to compile them each time.

    Raises:
        DmddError: see ``LoadedEngine``.
    """

    def __init__(
        self, rtx: ModuleType, data: bytes, sidecar: EngineSidecar, graphs: bool, kernels: Path | None
    ) -> None:
        super().__init__(rtx, data, sidecar)
        self.own_graphs = graphs
        self._kernels = kernels
        self._fresh = False  # whether kernels were compiled since the last save
        engine: tensorrt_rtx.ICudaEngine = self.engine
        config: tensorrt_rtx.IRuntimeConfig = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(rtx.ExecutionContextAllocationStrategy.USER_MANAGED)
        config.cuda_graph_strategy = (
            rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE if graphs else rtx.CudaGraphStrategy.DISABLED
        )
        # Wait for the kernels of a new batch size in its first run, which is part of the warm-up, instead of
        # running slower ones until they are ready.
        config.dynamic_shapes_kernel_specialization_strategy = (
            rtx.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        cache: tensorrt_rtx.IRuntimeCache = config.create_runtime_cache()
        if kernels is not None and kernels.is_file() and is_ours(kernels):
            cache.deserialize(kernels.read_bytes())  # False if they do not match: they are recompiled
        config.set_runtime_cache(cache)
        self._cache: tensorrt_rtx.IRuntimeCache | None = cache
        self._config: tensorrt_rtx.IRuntimeConfig | None = config

    def new_context(self) -> tensorrt_rtx.IExecutionContext:
        """See ``LoadedEngine.new_context``."""
        engine: tensorrt_rtx.ICudaEngine = self.engine
        context: tensorrt_rtx.IExecutionContext | None = engine.create_execution_context(self._config)
        self._fresh = True
        return self.require(context)

    def keep(self) -> None:
        """Save compiled kernels, after the first run of a batch size."""
        cache: tensorrt_rtx.IRuntimeCache | None = self._cache
        if self._kernels is None or not self._fresh or cache is None:
            return
        self._fresh = False
        memory: tensorrt_rtx.IHostMemory = cache.serialize()
        try:
            self._kernels.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._kernels, bytes(memoryview(memory)))
        except OSError:
            self._kernels = None  # a full or read-only disk: they are recompiled next time

    def close(self) -> None:
        """See ``LoadedEngine.close``."""
        self._cache = None
        self._config = None
        super().close()


def kernels_file(cache: Path, sidecar: EngineSidecar, gpu: GpuFacts) -> Path:
    """The path of the compiled kernels of an engine on this GPU, which may not exist."""
    name = f"{sidecar.engine_sha256[:16]}-{gpu.sm}-rtx{sidecar.library_version}.kernels"
    return cache / "rtx" / name


def is_ours(file: Path) -> bool:
    """Whether only this user and root can write or replace a file; kernels are code."""
    return all(is_private(path) for path in (file, file.parent, file.parent.parent))
