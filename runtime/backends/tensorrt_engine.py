"""The ``tensorrt`` and ``rtx`` backends: a prebuilt engine on an NVIDIA GPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.cuda import Cuda, open_cuda
from dmdd_edge.runtime.engines.cache import engine_cache
from dmdd_edge.runtime.engines.find import FoundEngine, find_engine
from dmdd_edge.runtime.engines.library import load_library, require_installed
from dmdd_edge.runtime.engines.loaded import LoadedEngine
from dmdd_edge.runtime.engines.rtx import LoadedRtxEngine, kernels_file
from dmdd_edge.runtime.engines.runner import EngineRunner, Ticket
from dmdd_edge.runtime.engines.sidecar import Flavour
from dmdd_edge.runtime.engines.slot import DeviceTimes
from dmdd_edge.runtime.options.backend import BackendOptions


@dataclass(frozen=True)
class EngineMachine:
    """A machine that can run engines of one library.

    Attributes:
        flavour: which library.
        library: its module.
        cuda: the driver, with the GPU.
        cache: the folder of engines built here; None where none can exist.
    """

    flavour: Flavour
    library: ModuleType
    cuda: Cuda
    cache: Path | None

    def find(self, bundle: Bundle, batch: int | None = None, precision: str = "auto") -> FoundEngine:
        """See ``find_engine``."""
        version = str(self.library.__version__)
        return find_engine(bundle, self.flavour, version, self.cuda.gpu, self.cache, batch, precision)

    def start(self, engine: FoundEngine, options: BackendOptions) -> EngineRunner:
        """Start a checked engine and warm it up.

        Raises:
            DmddError: the engine does not run.
        """

        def load() -> LoadedEngine:
            if self.flavour == "tensorrt":
                return LoadedEngine(self.library, engine.data, engine.sidecar)
            kernels = None if self.cache is None else kernels_file(self.cache, engine.sidecar, self.cuda.gpu)
            return LoadedRtxEngine(self.library, engine.data, engine.sidecar, options.cuda_graphs, kernels)

        runner = EngineRunner(load, self.cuda, options)
        try:
            runner.warm_up(options.batch or 1)
        except BaseException:
            runner.close()
            raise
        return runner


def engine_machine(flavour: Flavour, options: BackendOptions) -> EngineMachine:
    """What this machine needs to run engines of a library; the cheapest checks come first.

    Raises:
        DmddError: the library, a CUDA driver or a GPU is missing; states what to install.
    """
    require_installed(flavour)
    cuda = open_cuda(options.cuda_driver)
    return EngineMachine(flavour, load_library(flavour), cuda, _cache(options.engine_cache))


class EngineBackend:
    """Runs a bundle's engine.

    Args:
        bundle: a verified bundle.
        flavour: which library runs it.
        options: how it runs.

    Raises:
        DmddError: the library, a driver or a GPU is missing, no engine fits, or it does not run.

    Attributes:
        sidecar: of the running engine.
        precision: of the running engine.
    """

    def __init__(self, bundle: Bundle, flavour: Flavour, options: BackendOptions) -> None:
        self.name: str = flavour
        machine = engine_machine(flavour, options)
        engine = machine.find(bundle, options.batch, options.precision)
        self.sidecar = engine.sidecar
        self.precision: str = engine.sidecar.precision
        self._runner = machine.start(engine, options)

    @property
    def description(self) -> str:
        """See ``Backend``."""
        return self._runner.description

    @property
    def slots(self) -> int:
        """The number of batches that may be in flight at once."""
        return self._runner.slots

    @property
    def largest_batch(self) -> int:
        """The largest batch that is computed at once."""
        return self._runner.largest_batch

    @property
    def usual_batch(self) -> int:
        """The batch that the engine is tuned for, where that is more than one image; else the largest."""
        batch = self.sidecar.batch
        return batch.optimum if batch.optimum > 1 else batch.maximum

    @property
    def times(self) -> DeviceTimes | None:
        """Times of the last collected batch on the GPU."""
        return self._runner.times

    def submit(self, images: NDArray[np.uint8]) -> Ticket:
        """See ``EngineRunner.submit``."""
        return self._runner.submit(images)

    def collect(self, ticket: Ticket) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``EngineRunner.collect``."""
        return self._runner.collect(ticket)

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Backend.infer``."""
        return self._runner.infer(images)

    def close(self) -> None:
        """Release the engine and its memory."""
        self._runner.close()


class TensorRt(EngineBackend):
    """An engine built by TensorRT on this GPU; see ``EngineBackend``."""

    def __init__(self, bundle: Bundle, options: BackendOptions | None = None) -> None:
        super().__init__(bundle, "tensorrt", options or BackendOptions())


class TensorRtRtx(EngineBackend):
    """An engine built by TensorRT-RTX on any machine; see ``EngineBackend``."""

    def __init__(self, bundle: Bundle, options: BackendOptions | None = None) -> None:
        super().__init__(bundle, "rtx", options or BackendOptions())


def _cache(option: Path | None) -> Path | None:
    """The engine cache; None where the user named none and the default cannot exist."""
    try:
        return engine_cache(option)
    except DmddError:
        if option is not None:
            raise
        return None
