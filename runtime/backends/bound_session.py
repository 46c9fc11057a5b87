"""An ONNX Runtime session whose buffers stay on the device between calls."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.backends.onnxruntime_session import failure


class BoundSession:
    """Runs a session through IO binding: for each batch size the input is bound once, to device memory.

    Args:
        onnxruntime: the module.
        session: of a bundle's graph.
        device: ``cuda`` or ``cpu``.
        number: of the device.
    """

    def __init__(self, onnxruntime: Any, session: Any, device: str, number: int = 0) -> None:
        self._onnxruntime, self._session = onnxruntime, session
        self._device, self._number = device, number
        self._bound: dict[int, tuple[Any, Any]] = {}
        self._lock = threading.Lock()

    def run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """One call of the graph; shapes as in ``Backend.infer``. May be called from several threads.

        Raises:
            DmddError: ONNX Runtime failed, for instance out of memory.
        """
        with self._lock:
            try:
                binding, device_input = self._binding(images)
                device_input.update_inplace(images)
                self._session.run_with_iobinding(binding)
                # Copies: the next call writes into the same outputs.
                maps, scores = binding.copy_outputs_to_cpu()
            except Exception as error:  # ONNX Runtime has a dozen exception types
                self._bound.pop(len(images), None)
                raise failure(error, len(images)) from error
        return np.array(maps), np.array(scores)

    def _binding(self, images: NDArray[np.uint8]) -> tuple[Any, Any]:
        count = len(images)
        if count not in self._bound:
            device_input = self._onnxruntime.OrtValue.ortvalue_from_numpy(images, self._device, self._number)
            binding = self._session.io_binding()
            binding.bind_ortvalue_input("image", device_input)
            for name in ("anomaly_map", "score"):
                binding.bind_output(name, self._device, self._number)
            self._bound[count] = (binding, device_input)
        return self._bound[count]
