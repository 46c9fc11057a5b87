"""PyCUDA on the simulated GPU: what the runtime uses of it, with its exceptions and stacks of contexts."""

from __future__ import annotations

import threading
import weakref
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.runtime.gpu.simulated_gpu import Gpu, Memory, Refused, Violation


class Error(Exception):
    """As ``pycuda.driver.Error``."""


class MemoryError_(Error):  # noqa: N801, N818
    """As ``pycuda.driver.MemoryError``."""


class LogicError(Error):
    """As ``pycuda.driver.LogicError``."""


def _guarded(call: Any) -> Any:
    """Turn refusals into PyCUDA's exceptions, and refuse a thread without a context."""

    @wraps(call)
    def guarded(self: Any, *arguments: Any) -> Any:
        driver: SimulatedPycuda = getattr(self, "driver", self)
        if driver.Context.get_current() is None:
            raise LogicError(f"{call.__name__} failed: invalid device context")
        try:
            driver.gpu.called(call.__name__)
            return call(self, *arguments)
        except Refused as refused:
            kind = MemoryError_ if "Memory" in refused.status else Error
            raise kind(f"{call.__name__} failed: {refused.status}") from None

    return guarded


class DeviceAllocation:
    def __init__(self, driver: SimulatedPycuda, memory: Memory) -> None:
        self.driver, self.memory = driver, memory

    def __int__(self) -> int:
        return self.memory.base

    @_guarded
    def free(self) -> None:
        self.driver.gpu.free(self.memory)


class HostAllocation(DeviceAllocation):
    @_guarded
    def get_device_pointer(self) -> int:
        if self.memory.seen_at is None:
            raise Violation("the memory was not allocated as mapped")
        return self.memory.seen_at


class PinnedArray(np.ndarray):  # type: ignore[type-arg]
    """An array whose ``base`` is the allocation, as PyCUDA's is."""

    allocation: Any = None

    @property
    def base(self) -> Any:
        return self.allocation


class Stream:
    def __init__(self, driver: SimulatedPycuda, flags: int) -> None:
        if flags != 1:
            raise Violation("the stream would wait for the default stream")
        self.driver = driver
        self.stream = driver.gpu.new_stream()
        self.handle = self.stream.handle
        weakref.finalize(self, driver.noted, driver.gpu.destroy_stream, self.stream)

    @_guarded
    def synchronize(self) -> None:
        self.driver.gpu.synchronize(self.stream)


class Event:
    def __init__(self, driver: SimulatedPycuda, flags: int) -> None:
        self.driver = driver
        self.event = driver.gpu.new_event(blocking=flags == 1)
        weakref.finalize(self, driver.noted, driver.gpu.destroy_event, self.event)

    @_guarded
    def record(self, stream: Any) -> Event:
        self.driver.gpu.record(self.event, stream.stream)
        return self

    @_guarded
    def synchronize(self) -> Event:
        self.driver.gpu.wait(self.event)
        return self

    @_guarded
    def time_till(self, end: Event) -> float:
        return self.driver.gpu.milliseconds(self.event, end.event)


class SimulatedPycuda:
    """``pycuda.driver``; ``modules`` makes modules of it."""

    Error, MemoryError, LogicError = Error, MemoryError_, LogicError

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.stacks: dict[int, list[Any]] = defaultdict(list)
        self.context = SimpleNamespace(handle=0xC0, push=self._push, pop=self._pop)
        # A new wrapper each time, as Boost makes them: only the handle tells that they are the same.
        self.Context = SimpleNamespace(
            get_current=lambda: SimpleNamespace(handle=self._stack()[-1].handle) if self._stack() else None
        )
        self.event_flags = SimpleNamespace(DEFAULT=0, BLOCKING_SYNC=1)
        self.host_alloc_flags = SimpleNamespace(DEVICEMAP=2)
        self.device_attribute = SimpleNamespace(INTEGRATED="integrated")
        self.device = SimpleNamespace(
            name=lambda: gpu.name,
            compute_capability=lambda: (gpu.major, gpu.minor),
            total_memory=lambda: 8 << 30,
            get_attribute=lambda attribute: int(gpu.integrated),
        )

    def modules(self) -> dict[str, ModuleType | Any]:
        """What ``sys.modules`` is to hold; importing autoprimaryctx pushes the context for the importer."""
        package = ModuleType("pycuda")
        package.driver = self  # type: ignore[attr-defined]
        auto = ModuleType("pycuda.autoprimaryctx")
        auto.context, auto.device = self.context, self.device  # type: ignore[attr-defined]
        package.autoprimaryctx = auto  # type: ignore[attr-defined]
        self._push()
        return {"pycuda": package, "pycuda.driver": self, "pycuda.autoprimaryctx": auto}

    def get_driver_version(self) -> int:
        return 12060

    @_guarded
    def mem_alloc(self, nbytes: int) -> DeviceAllocation:
        return DeviceAllocation(self, self.gpu.allocate("device", nbytes))

    @_guarded
    def pagelocked_empty(
        self, shape: tuple[int, ...], dtype: str, order: str, flags: int
    ) -> NDArray[np.uint8]:
        memory = self.gpu.allocate("pinned", int(np.prod(shape)), mapped=bool(flags & 2))
        array: Any = memory.data.view(PinnedArray).reshape(shape)
        array.allocation = HostAllocation(self, memory)
        return array

    @_guarded
    def Stream(self, flags: int = 0) -> Stream:  # noqa: N802
        return Stream(self, flags)

    @_guarded
    def Event(self, flags: int = 0) -> Event:  # noqa: N802
        return Event(self, flags)

    @_guarded
    def memcpy_htod_async(self, target: int, source: NDArray[np.uint8], stream: Any) -> None:
        self.gpu.copy(target, int(source.ctypes.data), source.nbytes, True, stream.stream)

    @_guarded
    def memcpy_dtoh_async(self, target: NDArray[np.uint8], source: int, stream: Any) -> None:
        self.gpu.copy(int(target.ctypes.data), source, target.nbytes, False, stream.stream)

    def noted(self, destroy: Callable[[Any], None], thing: Any) -> None:
        """Destroy from a finaliser, which must not raise."""
        try:
            if self.Context.get_current() is None:
                raise Violation("destroyed in a thread without the context")
            destroy(thing)
        except Violation as violation:
            self.gpu.violations.append(str(violation))

    def require_balanced(self) -> None:
        """Raise where a thread but this one still has a context: when it ends, PyCUDA ends the process."""
        here = threading.get_ident()
        if any(stack for thread, stack in self.stacks.items() if thread != here) or len(self._stack()) != 1:
            raise Violation("a context was pushed and not popped")

    def _stack(self) -> list[Any]:
        return self.stacks[threading.get_ident()]

    def _push(self) -> None:
        self._stack().append(self.context)

    def _pop(self) -> None:
        if not self._stack():
            raise Violation("a context was popped that was not pushed")
        self._stack().pop()
