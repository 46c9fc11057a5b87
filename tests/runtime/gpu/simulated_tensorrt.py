"""TensorRT, and what TensorRT-RTX has more, on the simulated GPU.

An engine is a line of JSON. It computes what ``blue_graph`` in the tests' conftest does: the map is the blue
channel / 255, the score its maximum.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.runtime.gpu.simulated_gpu import Gpu, Memory, Stream, Violation, Work

_MAGIC = b"simulated engine "


class DataType(IntEnum):
    FLOAT = 0
    HALF = 1
    UINT8 = 5


class ExecutionContextAllocationStrategy(IntEnum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class ILogger:
    Severity = Severity

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


def engine_bytes(
    size: int = 64,
    batch: tuple[int, int, int] = (1, 4, 4),
    scratch: int = 1000,
    map_type: str = "FLOAT",
    fixed: bool = False,
) -> bytes:
    """An engine for the simulated library."""
    values = {"size": size, "batch": batch, "scratch": scratch, "map_type": map_type, "fixed": fixed}
    return _MAGIC + json.dumps(values).encode()


class Runtime:
    def __init__(self, library: SimulatedTensorrt, logger: ILogger) -> None:
        self.library, self.logger = library, logger

    def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
        self.library.deserialized.append(bytes(data))
        if not bytes(data).startswith(_MAGIC):
            self.logger.log(Severity.ERROR, "deserialize: magic tag does not match")
            return None
        engine = Engine(self, SimpleNamespace(**json.loads(bytes(data)[len(_MAGIC) :])))
        self.library.living.add(engine)
        return engine


class Engine:
    def __init__(self, runtime: Runtime, facts: SimpleNamespace) -> None:
        self.runtime, self.facts = runtime, facts
        self.device_memory_size_v2 = facts.scratch
        self.num_io_tensors = 3
        free = facts.batch[2] if facts.fixed else -1
        size = facts.size
        self.tensors = {
            "score": ((free,), DataType.FLOAT),
            "image": ((free, size, size, 3), DataType.UINT8),
            "anomaly_map": ((free, size, size), DataType[facts.map_type]),
        }

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][0]

    def get_tensor_dtype(self, name: str) -> DataType:
        return self.tensors[name][1]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        if name != "image" or profile != 0:
            raise Violation("there is one profile, and it is of the image")
        return [(count, *self.tensors[name][0][1:]) for count in self.facts.batch]

    def create_execution_context(
        self, how: Any = ExecutionContextAllocationStrategy.STATIC
    ) -> Context | None:
        strategy = how.strategy if isinstance(how, RuntimeConfig) else how
        library = self.runtime.library
        library.contexts_made += 1
        if library.contexts_made == library.fail_context:
            self.runtime.logger.log(Severity.ERROR, "out of memory for a context")
            return None
        context = Context(self, ExecutionContextAllocationStrategy(strategy))
        library.living.add(context)
        return context

    def create_runtime_config(self) -> RuntimeConfig:
        if not self.runtime.library.rtx:
            raise Violation("TensorRT has no runtime cache")
        return RuntimeConfig(self.runtime.library)


class Context:
    """An execution context; what is set after a capture makes the graph worthless."""

    def __init__(self, engine: Engine, strategy: ExecutionContextAllocationStrategy) -> None:
        self.engine, self.strategy = engine, strategy
        self.addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] | None = None
        self.scratch: tuple[int, int] | None = None
        self.version = 0
        self.settled = -1  # the version that a finished run has settled

    def _say(self, text: str) -> bool:
        self.engine.runtime.logger.log(Severity.ERROR, text)
        return False

    @property
    def gpu(self) -> Gpu:
        return self.engine.runtime.library.gpu

    def set_device_memory(self, address: int, size: int) -> None:
        self.version += 1
        if self.strategy != ExecutionContextAllocationStrategy.USER_MANAGED:
            raise Violation("the context has separate memory")
        if address % 256 or size < self.engine.device_memory_size_v2:
            raise Violation("the scratch memory is too small or badly aligned")
        self.gpu.at(address, size, "device")
        self.scratch = address, size

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.version += 1
        low, _, high = self.engine.facts.batch
        if name != "image" or shape[1:] != self.engine.tensors["image"][0][1:] or not low <= shape[0] <= high:
            return self._say(f"{name}: {shape} is outside the profile")
        self.shape = shape
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.version += 1
        if name not in self.engine.tensors:
            return self._say(f"there is no tensor {name}")
        self.addresses[name] = address
        return True

    def infer_shapes(self) -> list[str]:
        return [] if self.shape is not None else ["image"]

    def execute_async_v3(self, handle: int) -> bool:
        gpu, library = self.gpu, self.engine.runtime.library
        stream = gpu.stream_of(handle)
        if self.shape is None or set(self.addresses) != set(self.engine.tensors):
            raise Violation("executed before its shape and addresses were set")
        if self.scratch is None and self.engine.device_memory_size_v2:
            raise Violation("executed without scratch memory")
        if stream.capture is not None and self.settled != self.version:
            raise Violation("a first run is captured: what the new shape left open is not settled")
        library.executions += 1
        if library.executions == library.fail_execution:
            return self._say("enqueue failed")
        gpu.enqueue(stream, self._work(stream))
        return True

    def _work(self, stream: Stream) -> Work:
        """The run, without a reference that would keep this context alive in a graph."""
        me = weakref.ref(self)
        version, gpu, library = self.version, self.gpu, self.engine.runtime.library
        assert self.shape is not None
        count, size = self.shape[0], self.shape[1]
        pixels = size * size
        sizes = {"image": count * pixels * 3, "anomaly_map": count * pixels * 4, "score": count * 4}
        spans = {name: gpu.at(self.addresses[name], sizes[name], "device") for name in sizes}
        used: list[Memory] = [memory for memory, _ in spans.values()]
        scratch = None
        if self.scratch is not None:
            scratch = gpu.at(*self.scratch, "device")[0]
            used.append(scratch)

        def context() -> Context:
            found = me()
            if found is None:
                raise Violation("the context is gone while its work is under way or in a graph")
            if found.version != version:
                raise Violation("the context was changed after its work was queued or captured")
            return found

        def queued() -> Callable[[], None] | None:
            context()
            self_busy = [
                other
                for other in gpu.streams
                if other is not stream
                for work, _ in other.queue
                if (scratch is not None and scratch in work.uses) or work.owner is me
            ]
            if self_busy:
                raise Violation("a context or its scratch memory is used by two streams at once")
            memory, image = spans["image"]
            for name in ("anomaly_map", "score"):
                if spans[name][0].kind == "pinned":
                    spans[name][1][:] = 0xFF
            if memory.kind == "pinned":
                return gpu.unchanged(image, "the mapped image was written while the engine reads it")
            return None

        def run() -> None:
            blue = spans["image"][1].reshape(count, size, size, 3)[..., 0]
            maps = (blue / np.float32(255)).astype(np.float32)
            spans["anomaly_map"][1][:] = maps.reshape(-1).view(np.uint8)
            spans["score"][1][:] = np.ascontiguousarray(maps.max(axis=(1, 2))).view(np.uint8)
            context().settled = version
            library.finished += 1

        return Work("engine", run, float(count), tuple(used), queued, owner=me)


class RuntimeCache:
    def __init__(self, library: SimulatedTensorrt) -> None:
        self.library, self.kernels = library, b""

    def deserialize(self, blob: bytes) -> bool:
        self.library.kernels_offered.append(bytes(blob))
        if bytes(blob).startswith(b"kernels"):
            self.kernels = bytes(blob)
            return True
        return False

    def serialize(self) -> bytes:
        return b"kernels of " + str(self.library.finished).encode()


class RuntimeConfig:
    def __init__(self, library: SimulatedTensorrt) -> None:
        self.library = library
        self.strategy = ExecutionContextAllocationStrategy.STATIC
        self.cuda_graph_strategy: Any = None
        self.dynamic_shapes_kernel_specialization_strategy: Any = "lazy"
        self.cache: RuntimeCache | None = None
        library.configs.append(self)

    def set_execution_context_allocation_strategy(self, strategy: ExecutionContextAllocationStrategy) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> RuntimeCache:
        return RuntimeCache(self.library)

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        self.cache = cache
        return True


class SimulatedTensorrt:
    """The library; ``module`` makes a module of it.

    Attributes:
        deserialized: what it was given to deserialize.
        living: engines and contexts that nobody has let go of.
        fail_execution, fail_context: the number, from 1, of the one that fails.
        refuse_runtime: whether the runtime does not start.
    """

    def __init__(self, gpu: Gpu, version: str = "10.3.0", rtx: bool = False) -> None:
        self.gpu, self.version, self.rtx = gpu, version, rtx
        self.deserialized: list[bytes] = []
        self.living: weakref.WeakSet[Any] = weakref.WeakSet()
        self.executions = self.contexts_made = self.finished = 0
        self.fail_execution = self.fail_context = 0
        self.refuse_runtime = False
        self.configs: list[RuntimeConfig] = []
        self.kernels_offered: list[bytes] = []

    def _runtime(self, logger: ILogger) -> Runtime:
        if self.refuse_runtime:
            # As the bindings do it: the library says why, and the constructor's None becomes a TypeError.
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return Runtime(self, logger)

    def module(self) -> ModuleType:
        module = ModuleType("tensorrt_rtx" if self.rtx else "tensorrt")
        members: dict[str, Any] = {
            "__version__": self.version,
            "ILogger": ILogger,
            "Runtime": self._runtime,
            "DataType": DataType,
            "ExecutionContextAllocationStrategy": ExecutionContextAllocationStrategy,
        }
        if self.rtx:
            members["CudaGraphStrategy"] = SimpleNamespace(DISABLED="disabled", WHOLE_GRAPH_CAPTURE="whole")
            members["DynamicShapesKernelSpecializationStrategy"] = SimpleNamespace(LAZY="lazy", EAGER="eager")
        module.__dict__.update(members)
        return module
