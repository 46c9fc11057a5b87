"""The cameras of this machine."""

from __future__ import annotations

import errno
import getpass
import grp
import os
import re
import sys
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.surroundings import Surroundings

_ME = "dmdd_edge.runtime.doctor.cameras"
_DEVICES = Path("/dev")
_PURPOSE = "--source with a camera"


def look(path: str) -> dict[str, Any]:
    """In a process of its own: what a device says about itself.

    Args:
        path: such as /dev/video0.

    Returns:
        ``card``: its name, None when it gives no pictures (a USB camera has a second device of that kind);
        ``modes``: format, width, height and highest rate; ``busy``: whether someone captures from it.
        Or ``errno`` and ``error``, when it cannot be asked.
    """
    try:
        with _v4l2().V4l2Device(path) as device:
            card = device.card()
            if card is None:
                return {"card": None}
            modes = [
                [mode.fourcc, mode.width, mode.height, mode.rates[0] if mode.rates else None]
                for mode in device.modes()
            ]
            return {"card": card, "modes": modes, "busy": device.busy()}
    except OSError as error:
        return {"errno": error.errno, "error": error.strerror or str(error)}


def _v4l2() -> ModuleType:
    """The module ``runtime.sources.v4l2`` by itself.

    Its package loads OpenCV, which is not needed to find a camera, and which may be what is broken.
    """
    name = "dmdd_edge_v4l2_alone"
    file = Path(__file__).parents[1] / "sources" / "v4l2.py"
    spec = util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def examine_cameras(around: Surroundings) -> list[Finding]:
    """One finding a camera; or one that says that there is none."""
    found = [
        finding
        for path in sorted(_DEVICES.glob("video[0-9]*"), key=_number)
        for finding in _one(path, around)
    ]
    if found:
        return found
    fix = "plug one in and see that lsusb lists it (into a container, one comes with --device /dev/video0)"
    return [Finding("cameras.v4l2", "cameras", "missing", "none found at /dev/video*", _PURPOSE, fix)]


def _one(path: Path, around: Surroundings) -> list[Finding]:
    """No finding, for a device that gives no pictures."""
    name, title = f"cameras.{path.name}", str(path)
    answer = around.ask(f"{_ME}:look", title, limit=30)
    facts: dict[str, Any] = {"path": title}
    if not answer.ok:
        fix = "unplug it and plug it in again; dmesg may say more"
        return [Finding(name, title, "broken", answer.failure, _PURPOSE, fix, facts)]
    value = answer.value
    if "errno" in value:
        if value["errno"] in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTTY, errno.EINVAL):
            return []  # gone meanwhile, or no camera
        if value["errno"] in (errno.EACCES, errno.EPERM):
            return [_forbidden(path, name, facts)]
        return [Finding(name, title, "broken", value["error"], _PURPOSE, "dmesg may say more", facts)]
    if value["card"] is None:
        return []
    modes = [
        {"format": fourcc, "width": width, "height": height, "fps": fps}
        for fourcc, width, height, fps in value["modes"]
    ]
    facts |= {"name": value["card"], "busy": value["busy"], "modes": modes}
    said = f"{value['card']}, {_describe(modes)}" + (", in use by another program" if value["busy"] else "")
    return [Finding(name, title, "ok", said, _PURPOSE, facts=facts)]


def _forbidden(path: Path, name: str, facts: dict[str, Any]) -> Finding:
    """A device that this user may not open, and what would change that."""
    user, group = _user(), "video"
    try:
        entry = grp.getgrgid(path.stat().st_gid)
        group, members = entry.gr_name, entry.gr_mem
    except (OSError, KeyError):
        members = []
    said = f"the user {user} may not open it; the group {group} may"
    fix = f"sudo usermod -aG {group} {user}, then log out and in again"
    if user in members:
        said += f", to which {user} was added after this login"
        fix = "log out and in again"
    return Finding(name, str(path), "broken", said, _PURPOSE, fix, {**facts, "group": group})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _describe(modes: list[dict[str, Any]]) -> str:
    """The formats, and the largest picture of the first of them."""
    if not modes:
        return "no format that it tells"
    formats = list(dict.fromkeys(mode["format"] for mode in modes))
    preferred = "MJPG" if "MJPG" in formats else formats[0]
    sizes = [mode for mode in modes if mode["format"] == preferred]
    best = max(sizes, key=lambda mode: mode["width"] * mode["height"])
    rate = f" at {best['fps']:g} frames a second" if best["fps"] else ""
    rest = len(formats) - 1
    others = f" and {rest} more format{'s' if rest > 1 else ''}" if rest else ""
    return f"{preferred} to {best['width']} x {best['height']}{rate}{others}"


def _number(path: Path) -> int:
    found = re.search(r"\d+", path.name)
    return int(found.group()) if found else 0
