"""Stops libraries from calling home or writing into the home folder, before any of them is imported.

ONNX Runtime since 1.29 keeps a device id and a database in the home folder and looks up a telemetry host. It
reads its switch while it is imported, and no call made later undoes what it did by then. So the package sets
the switches as its first act: whatever imports ``dmdd_edge`` before such a library is covered.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

#: Set to 1, this leaves every library's telemetry as the library has it.
TELEMETRY = "DMDD_TELEMETRY"

#: The switches, as the libraries read them. One that is set already is left as it is.
SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime
    "ORT_TELEMETRY_DISABLED": "1",  # ONNX Runtime, as some releases spell it
    "HF_HUB_DISABLE_TELEMETRY": "1",  # the client of Hugging Face's hub, which timm brings
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DO_NOT_TRACK": "1",  # what libraries have agreed on
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray, of a cluster that is started from here
    "OPENCV_OPENCL_CACHE_ENABLE": "0",  # compiled kernels in ~/.cache/opencv; OpenCL is not used
}


def keep_private(environment: MutableMapping[str, str] | None = None) -> bool:
    """Switch off what libraries send and write by themselves; returns whether that was done.

    Args:
        environment: where the switches are set; None for this process, whose children inherit them.
    """
    environment = os.environ if environment is None else environment
    if environment.get(TELEMETRY, "").strip().lower() in ("1", "true", "yes", "on"):
        return False
    for name, value in SWITCHES.items():
        environment.setdefault(name, value)
    return True
