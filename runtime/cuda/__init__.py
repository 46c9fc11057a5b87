"""CUDA from Python, through whichever of two packages is installed: ``cuda-bindings`` or PyCUDA."""

from __future__ import annotations

from collections.abc import Callable

from dmdd_edge.errors import BackendError, DmddError, OptionError
from dmdd_edge.messages.suggest import choose
from dmdd_edge.runtime.cuda.interface import (
    Cuda,
    DeviceMemory,
    Event,
    Graph,
    HostMemory,
    Owned,
    Stream,
)

__all__ = [
    "CUDA_DRIVERS",
    "Cuda",
    "DeviceMemory",
    "Event",
    "Graph",
    "HostMemory",
    "Owned",
    "Stream",
    "open_cuda",
]


def _cuda_bindings() -> Cuda:
    from dmdd_edge.runtime.cuda.cuda_bindings import CudaBindings

    return CudaBindings()


def _pycuda() -> Cuda:
    from dmdd_edge.runtime.cuda.pycuda_driver import PyCuda

    return PyCuda()


_DRIVERS: dict[str, Callable[[], Cuda]] = {"cuda-bindings": _cuda_bindings, "pycuda": _pycuda}

#: The values of ``--cuda-driver``.
CUDA_DRIVERS = ("auto", *_DRIVERS)


def open_cuda(driver: str = "auto") -> Cuda:
    """Start a driver on the first visible GPU (``CUDA_VISIBLE_DEVICES`` selects it).

    Args:
        driver: ``cuda-bindings``, ``pycuda``, or ``auto`` for the first of them that works.

    Raises:
        DmddError: the name is unknown, the package is missing, or there is no GPU or no suitable driver;
            states what to install.
    """
    if driver != "auto":
        if driver not in _DRIVERS:
            raise OptionError(
                f"--cuda-driver {driver!r} is unknown.",
                choose(driver, CUDA_DRIVERS),
            )
        return _DRIVERS[driver]()
    errors: list[DmddError] = []
    for start in _DRIVERS.values():
        try:
            return start()
        except DmddError as error:
            errors.append(error)
    # The first is the one to install; the second matters only if it is installed and failed.
    first = errors[0]
    others = [error.message for error in errors[1:] if "not installed" not in error.message]
    raise BackendError(" ".join([first.message, *others]), first.fix)
