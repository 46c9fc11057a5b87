"""Which cameras there are, and why one cannot be had."""

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
    """A camera found.

    Attributes:
        path: such as /dev/video0.
        name: what its driver calls it; empty when it may not be opened.
        problem: why it cannot be used; empty when it can.
    """

    path: str
    name: str
    problem: str = ""


def list_cameras() -> list[CameraInfo]:
    """The V4L2 cameras of this machine. Devices that give no pictures are left out."""
    found = []
    for path in sorted(DEVICES.glob("video[0-9]*"), key=natural_key):
        try:
            with V4l2Device(str(path)) as device:
                card = device.card()
                if card is not None:
                    found.append(CameraInfo(str(path), card, "in use" if device.busy() else ""))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                found.append(CameraInfo(str(path), "", "no permission"))
    return found


def check_camera(path: str) -> None:
    """Find out whether a camera can be had.

    Args:
        path: its device.

    Raises:
        DmddError: it is absent, no camera, in use, or not permitted; the fix names those there are.
    """
    try:
        with V4l2Device(path) as device:
            if device.card() is None:
                raise SourceError(f"{path} gives no pictures.", _there_are())
            if device.busy():
                raise busy(path)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise SourceError(
                f"{path} may not be opened by this user.",
                "Add the user to the group video (sudo usermod -aG video $USER), and log in again.",
            ) from None
        if error.errno == errno.EBUSY:
            raise busy(path) from None
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            raise SourceError(f"there is no camera at {path}.", _there_are()) from None
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            raise SourceError(f"{path} is no camera.", _there_are()) from None
        raise SourceError(f"{path} cannot be opened: {error.strerror or error}.", _there_are()) from None


def busy(path: str) -> DmddError:
    """The error of a camera that another program uses, named where this user may see it."""
    users = _users(path)
    by = f": {', '.join(users)}" if users else " by another program"
    return SourceError(f"the camera {path} is in use{by}.", "End that program, or take another camera.")


def _there_are() -> str:
    cameras = list_cameras()
    if not cameras:
        return "No camera is found on this machine; check its cable, and lsusb."
    return "There are: " + ", ".join(
        camera.path + (f" ({camera.name or camera.problem})") for camera in cameras
    )


def _users(path: str) -> list[str]:
    """The programs that hold a device open, this one left out."""
    found = []
    device = os.path.realpath(path)
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):
            if any(os.path.realpath(link) == device for link in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return found
