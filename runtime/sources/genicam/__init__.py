"""GenICam cameras (GigE Vision, USB3 Vision), through whichever of two libraries is installed."""

from __future__ import annotations

import platform
from collections.abc import Callable

from dmdd_edge.errors import BackendError, DmddError, OptionError
from dmdd_edge.extras import install_command
from dmdd_edge.messages.suggest import choose
from dmdd_edge.runtime.options.source import GENICAM_DRIVER_NAMES
from dmdd_edge.runtime.sources.genicam.interface import GenicamDriver

#: Aravis for the system's Python; a virtual environment sees it with --system-site-packages.
ARAVIS_FIX = (
    "sudo apt install gir1.2-aravis-0.8 python3-gi, and use the system's Python or a virtual environment "
    "made with --system-site-packages"
)


def _viva() -> GenicamDriver:
    from dmdd_edge.runtime.sources.genicam.viva import Viva

    return Viva()


def _aravis() -> GenicamDriver:
    from dmdd_edge.runtime.sources.genicam.aravis import Aravis

    return Aravis()


_DRIVERS: dict[str, Callable[[], GenicamDriver]] = {"viva": _viva, "aravis": _aravis}


def open_driver(driver: str = "auto") -> tuple[GenicamDriver, str]:
    """Load a library.

    Args:
        driver: ``viva``, ``aravis``, or ``auto`` for the first of them that is installed.

    Returns:
        The driver, and why those before it were passed over; empty if it is the first.

    Raises:
        DmddError: the name is unknown, or no library is installed; states what to install.
    """
    if driver != "auto":
        if driver not in GENICAM_DRIVER_NAMES:
            raise OptionError(
                f"--genicam-driver {driver!r} is unknown.", choose(driver, GENICAM_DRIVER_NAMES)
            )
        return _DRIVERS[driver](), ""
    passed_over: list[str] = []
    for load in _DRIVERS.values():
        try:
            return load(), " ".join(passed_over)
        except DmddError as error:
            passed_over.append(error.message)
    raise BackendError(
        " ".join(["GenICam cameras need viva-genicam or Aravis.", *passed_over]),
        f"Install one: {install_fix()}.",
    )


def install_fix() -> str:
    """The command that installs the library that suits this machine."""
    if platform.machine() in ("x86_64", "AMD64"):
        return f"{install_command('genicam')}; or {ARAVIS_FIX}"
    return ARAVIS_FIX  # viva-genicam has no wheel for other processors
