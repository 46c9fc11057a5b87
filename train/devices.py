"""The device that ``--device`` names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dmdd_edge.errors import BackendError, OptionError

if TYPE_CHECKING:
    import torch


def check_device_name(name: str) -> None:
    """Check that ``--device`` names a kind of device, without loading torch.

    Raises:
        DmddError: the name is unknown.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", name):
        raise OptionError(f"--device {name!r} is unknown.", "Choose auto, cpu, cuda or cuda:NUMBER.")


def choose_device(name: str) -> torch.device:
    """The device to compute on.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:NUMBER``.

    Raises:
        DmddError: the name is unknown, or torch does not find the GPU.
    """
    check_device_name(name)
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cpu":
        return device
    if not torch.cuda.is_available():
        raise BackendError(
            f"--device {name}: torch finds no CUDA GPU.",
            "Choose --device cpu, or install a CUDA build of torch.",
        )
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise BackendError(
            f"--device {name}: torch finds {count} CUDA GPUs, counted from 0.",
            "Choose --device cuda for the first.",
        )
    return device
