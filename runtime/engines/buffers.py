"""The memory of one input or output: pinned on the host, and a copy on the GPU unless both share it."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.cuda import Cuda, DeviceMemory, HostMemory, Stream


class Buffer:
    """Memory for one tensor, allocated once for the largest batch.

    Args:
        cuda: allocates.
        nbytes: for the largest batch.
        mapped: let the GPU access the host's memory instead of a copy.

    Raises:
        DmddError: not enough memory.

    Attributes:
        address: for the engine.
    """

    def __init__(self, cuda: Cuda, nbytes: int, mapped: bool) -> None:
        self._cuda = cuda
        self._device: DeviceMemory | None = None
        with ExitStack() as undo:
            self._host: HostMemory = cuda.host_memory(nbytes, mapped)
            undo.callback(self._host.free)
            if self._host.device_address is not None:
                self.address = self._host.device_address
            else:
                self._device = cuda.device_memory(nbytes)
                self.address = self._device.address
            undo.pop_all()

    def view(self, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[np.generic]:
        """The host's bytes as an array of the given shape; not to be used after ``free``."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._host.array[:size].view(dtype).reshape(shape)

    def upload(self, nbytes: int, stream: Stream) -> None:
        """Queue the copy to the GPU; no-op with mapped memory."""
        if self._device is not None:
            self._cuda.copy_to_device(self._device, self._host, nbytes, stream)

    def download(self, nbytes: int, stream: Stream) -> None:
        """Queue the copy to the host; no-op with mapped memory."""
        if self._device is not None:
            self._cuda.copy_to_host(self._host, self._device, nbytes, stream)

    def free(self) -> None:
        """Release the memory; no run may be using it."""
        if self._device is not None:
            self._device.free()
        self._host.free()
