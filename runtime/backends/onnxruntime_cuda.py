"""The ``cuda`` backend: ONNX Runtime on an NVIDIA GPU, with the fp32 graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
from dmdd_edge.errors import BackendError
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.backends.bound_session import BoundSession
from dmdd_edge.runtime.backends.onnxruntime_session import (
    chosen_precision,
    import_onnxruntime,
    open_session,
    session_options,
)

_PROVIDER = "CUDAExecutionProvider"


class OnnxRuntimeCuda:
    """Runs the fp32 graph on the GPU, in full fp32; fp16 needs its parity measured on the device first.

    Args:
        bundle: a verified bundle.
        device: the GPU's number.
        precision: ``auto`` or ``fp32``.

    Raises:
        DmddError: the installed ONNX Runtime was built without CUDA, or CUDA does not work on this machine.
    """

    name = "cuda"

    def __init__(self, bundle: Bundle, device: int = 0, precision: str = "auto") -> None:
        self.precision = chosen_precision(self.name, precision, bundle, ("fp32",))
        onnxruntime = import_onnxruntime("gpu")
        if _PROVIDER not in onnxruntime.get_available_providers():
            raise BackendError("The installed ONNX Runtime was built without CUDA.", _how_to_install())
        _preload_libraries(onnxruntime)
        # TF32 would keep 10 bits of each factor: enough to move a score across its threshold.
        provider = (_PROVIDER, {"device_id": str(device), "use_tf32": "0"})
        session = open_session(onnxruntime, bundle, FP32_GRAPH, session_options(onnxruntime), [provider])
        # "Available" only means compiled in: without CUDA a session silently falls back to the CPU.
        if _PROVIDER not in session.get_providers():
            raise BackendError(
                "ONNX Runtime could not start CUDA on this machine and fell back to the CPU.",
                "Check the driver (nvidia-smi), and that CUDA and cuDNN match this ONNX Runtime.",
            )
        self._session: BoundSession | None = BoundSession(onnxruntime, session, "cuda", device)
        self.description = f"ONNX Runtime {onnxruntime.__version__}, CUDA device {device}, fp32"

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Backend.infer``."""
        assert self._session is not None, "closed"
        return self._session.run(images)

    def close(self) -> None:
        """Release the session and its GPU memory."""
        self._session = None


def _preload_libraries(onnxruntime: Any) -> None:
    """Let ONNX Runtime find the CUDA and cuDNN that pip installed (1.21 and later)."""
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()


def _how_to_install() -> str:
    return (
        "The CPU and GPU builds cannot share an environment: pip uninstall onnxruntime, then "
        f"{install_command('gpu')}. On a Jetson use NVIDIA's own wheel of onnxruntime-gpu."
    )
