"""The two libraries that run engines, TensorRT and TensorRT-RTX, loaded on first use."""

from __future__ import annotations

import platform
import re
from importlib import util
from types import ModuleType

from dmdd_edge.errors import BackendError
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.engines.sidecar import PRODUCT, Flavour

#: Strong typing exists from 10.3 on; 12 is not tested yet.
OLDEST, FIRST_UNKNOWN = (10, 3), (12, 0)

_MODULE: dict[Flavour, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}


def load_library(flavour: Flavour) -> ModuleType:
    """Load the module ``tensorrt`` or ``tensorrt_rtx``.

    Raises:
        DmddError: it is not installed, its libraries cannot be loaded, or its version is not supported.
    """
    return load_tensorrt() if flavour == "tensorrt" else load_rtx()


def require_installed(flavour: Flavour) -> None:
    """Raise if the library is not installed, without the time it takes to load.

    Raises:
        DmddError: it is not installed.
    """
    try:
        spec = util.find_spec(_MODULE[flavour])
    except ValueError:  # in sys.modules without a spec
        return
    if spec is None:
        raise BackendError(f"{PRODUCT[flavour]} is not installed.", _how_to_install(flavour))


def load_tensorrt() -> ModuleType:
    """Load the module ``tensorrt``.

    Raises:
        DmddError: it is not installed, its libraries cannot be loaded, or its version is not supported.
    """
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise BackendError(f"Cannot import TensorRT: {error}.", _how_to_install("tensorrt")) from error
    version = tuple(int(part) for part in re.findall(r"\d+", tensorrt.__version__)[:2])
    if not OLDEST <= version < FIRST_UNKNOWN:
        raise BackendError(
            f"TensorRT {tensorrt.__version__} is not supported. Supported versions: 10.3 to 11.x.",
            _how_to_install("tensorrt"),
        )
    module: ModuleType = tensorrt
    return module


def load_rtx() -> ModuleType:
    """Load the module ``tensorrt_rtx``.

    Raises:
        DmddError: it is not installed, or its libraries cannot be loaded.
    """
    try:
        import tensorrt_rtx
    except (ImportError, OSError) as error:
        raise BackendError(f"Cannot import TensorRT-RTX: {error}.", _how_to_install("rtx")) from error
    module: ModuleType = tensorrt_rtx
    return module


def _how_to_install(flavour: Flavour) -> str:
    if flavour == "tensorrt" and platform.machine() == "aarch64":
        return (
            "Install it with JetPack (sudo apt install nvidia-jetpack), and create the environment with "
            "`python3 -m venv --system-site-packages`."
        )
    return f"Install it: {install_command(flavour)}"
