"""The two libraries that run engines, TensorRT and TensorRT-RTX, loaded when they are first needed."""

from __future__ import annotations

import platform
import re
from importlib import util
from types import ModuleType

from dmdd_edge.errors import BackendError
from dmdd_edge.runtime.engines.sidecar import PRODUCT, Flavour

#: Strong typing exists from 10.3 on; 12 is not known yet.
OLDEST, FIRST_UNKNOWN = (10, 3), (12, 0)

_MODULE: dict[Flavour, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}


def load_library(flavour: Flavour) -> ModuleType:
    """The module ``tensorrt`` or ``tensorrt_rtx``.

    Raises:
        DmddError: it is not installed, its libraries cannot be loaded, or its version is not served.
    """
    return load_tensorrt() if flavour == "tensorrt" else load_rtx()


def require_installed(flavour: Flavour) -> None:
    """Raise where the library is not installed, without the time that loading it takes.

    Raises:
        DmddError: it is not installed.
    """
    try:
        found = util.find_spec(_MODULE[flavour])
    except ValueError:  # in sys.modules already, put there without a spec
        return
    if found is None:
        raise BackendError(f"{PRODUCT[flavour]} is not installed.", _how_to_install(flavour))


def load_tensorrt() -> ModuleType:
    """The module ``tensorrt``.

    Raises:
        DmddError: it is not installed, its libraries cannot be loaded, or its version is not served.
    """
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise BackendError(f"TensorRT cannot be imported: {error}.", _how_to_install("tensorrt")) from error
    version = tuple(int(part) for part in re.findall(r"\d+", tensorrt.__version__)[:2])
    if not OLDEST <= version < FIRST_UNKNOWN:
        raise BackendError(
            f"TensorRT {tensorrt.__version__} is installed; 10.3 to 11.x are served.",
            _how_to_install("tensorrt"),
        )
    module: ModuleType = tensorrt
    return module


def load_rtx() -> ModuleType:
    """The module ``tensorrt_rtx``.

    Raises:
        DmddError: it is not installed, or its libraries cannot be loaded.
    """
    try:
        import tensorrt_rtx
    except (ImportError, OSError) as error:
        raise BackendError(f"TensorRT-RTX cannot be imported: {error}.", _how_to_install("rtx")) from error
    module: ModuleType = tensorrt_rtx
    return module


def _how_to_install(flavour: Flavour) -> str:
    if flavour == "tensorrt" and platform.machine() == "aarch64":
        return (
            "On a Jetson it comes with JetPack (sudo apt install nvidia-jetpack): make the environment with "
            "`python3 -m venv --system-site-packages`, so that it is seen."
        )
    return f'Install it: pip install "dmdd-edge[{flavour}]"'
