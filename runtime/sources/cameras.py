"""List the cameras, and explain why one cannot be used."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.data.images import natural_key
from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.runtime.sources.v4l2 import V4l2Device

DEVICES = Path("/dev")


@dataclass(frozen=True)
class CameraInfo:
    """A camera of this machine.

    Attributes:
        path: such as /dev/video0.
        name: from its driver; empty when it may not be opened.
        problem: why it cannot be used; empty when it can.
    """

    path: str
    name: str
    problem: str = ""


def list_cameras() -> list[CameraInfo]:
    """The V4L2 cameras of this machine, without devices that do not capture video."""
    cameras = []
    for path in sorted(DEVICES.glob("video[0-9]*"), key=natural_key):
        try:
            with V4l2Device(str(path)) as device:
                card = device.card()
                if card is not None:
                    cameras.append(CameraInfo(str(path), card, "in use" if device.busy() else ""))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                cameras.append(CameraInfo(str(path), "", "no permission"))
    return cameras


def check_camera(path: str) -> None:
    """Check that a camera can be used.

    Args:
        path: its device.

    Raises:
        DmddError: it is missing, not a camera, in use, or not permitted; the fix lists the available ones.
    """
    try:
        with V4l2Device(path) as device:
            if device.card() is None:
                raise SourceError(f"{path} does not capture video.", _available())
            if device.busy():
                raise busy(path)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise SourceError(
                f"This user may not open {path}.",
                "Add the user to the group video (sudo usermod -aG video $USER), and log in again.",
            ) from None
        if error.errno == errno.EBUSY:
            raise busy(path) from None
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            raise SourceError(f"No camera at {path}.", _available()) from None
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            raise SourceError(f"{path} is not a camera.", _available()) from None
        raise SourceError(f"Cannot open {path}: {error.strerror or error}.", _available()) from None


def busy(path: str) -> DmddError:
    """The error for a camera in use, naming the programs that this user may see."""
    users = _users(path)
    by = f": {', '.join(users)}" if users else " by another program"
    return SourceError(f"Camera {path} is in use{by}.", "Close that program, or use another camera.")


def _available() -> str:
    cameras = list_cameras()
    if not cameras:
        return "No camera was found; check its cable, and lsusb."
    return "Available: " + ", ".join(
        camera.path + (f" ({camera.name or camera.problem})") for camera in cameras
    )


def _users(path: str) -> list[str]:
    """The other programs that have a device open."""
    users = []
    device = os.path.realpath(path)
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):
            if any(os.path.realpath(link) == device for link in (process / "fd").iterdir()):
                users.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return users
