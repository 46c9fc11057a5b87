"""The cameras of this machine."""

from __future__ import annotations

import errno
import getpass
import grp
import os
import re
from pathlib import Path
from typing import Any

from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding

_ME = "dmdd_edge.runtime.doctor.cameras"
_DEVICES = Path("/dev")
_PURPOSE = "--source with a camera"


def look(path: str) -> dict[str, Any]:
    """In a subprocess: read what a device reports about itself.

    Args:
        path: such as /dev/video0.

    Returns:
        ``card``: its name, None if it does not capture video (USB cameras have a second device for metadata);
        ``modes``: format, width, height and highest rate; ``busy``: whether another program captures from it.
        Or ``errno`` and ``error``, when it cannot be read.
    """
    from dmdd_edge.runtime.sources.v4l2 import V4l2Device

    try:
        with V4l2Device(path) as device:
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


def examine_cameras(context: Context) -> list[Finding]:
    """One finding per camera; or one that no camera was found."""
    findings = [
        finding
        for path in sorted(_DEVICES.glob("video[0-9]*"), key=_number)
        for finding in _one(path, context)
    ]
    if findings:
        return findings
    fix = "Connect one and check that lsusb lists it (a container needs --device /dev/video0)."
    return [Finding("cameras.v4l2", "cameras", "missing", "no /dev/video* captures video", _PURPOSE, fix)]


def _one(path: Path, context: Context) -> list[Finding]:
    """The finding of a device; empty for one that does not capture video."""
    name, title = f"cameras.{path.name}", str(path)
    reply = context.call(f"{_ME}:look", title, limit=30)
    facts: dict[str, Any] = {"path": title}
    if not reply.ok:
        fix = "Unplug it and plug it in again; `dmesg` may say more."
        return [Finding(name, title, "broken", reply.failure, _PURPOSE, fix, facts)]
    value = reply.value
    if "errno" in value:
        if value["errno"] in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTTY, errno.EINVAL):
            return []  # unplugged meanwhile, or not a camera
        if value["errno"] in (errno.EACCES, errno.EPERM):
            return [_forbidden(path, name, facts)]
        return [
            Finding(name, title, "broken", value["error"], _PURPOSE, "Check `dmesg` for the cause.", facts)
        ]
    if value["card"] is None:
        return []
    modes = [
        {"format": fourcc, "width": width, "height": height, "fps": fps}
        for fourcc, width, height, fps in value["modes"]
    ]
    facts |= {"name": value["card"], "busy": value["busy"], "modes": modes}
    busy = ", in use by another program" if value["busy"] else ""
    return [Finding(name, title, "ok", f"{value['card']}, {_describe(modes)}{busy}", _PURPOSE, facts=facts)]


def _forbidden(path: Path, name: str, facts: dict[str, Any]) -> Finding:
    """The finding of a device that this user may not open, with the command that allows it."""
    user, group = _user(), "video"
    try:
        entry = grp.getgrgid(path.stat().st_gid)
        group, members = entry.gr_name, entry.gr_mem
    except (OSError, KeyError):
        members = []
    detail = f"the user {user} may not open it; the group {group} may"
    fix = f"sudo usermod -aG {group} {user}, then log out and in again."
    if user in members:
        detail += f", to which {user} was added after this login"
        fix = "Log out and in again."
    return Finding(name, str(path), "broken", detail, _PURPOSE, fix, {**facts, "group": group})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _describe(modes: list[dict[str, Any]]) -> str:
    """The formats, and the largest size of the preferred one."""
    if not modes:
        return "no formats reported"
    formats = list(dict.fromkeys(mode["format"] for mode in modes))
    preferred = "MJPG" if "MJPG" in formats else formats[0]
    sizes = [mode for mode in modes if mode["format"] == preferred]
    best = max(sizes, key=lambda mode: mode["width"] * mode["height"])
    rate = f" at {best['fps']:g} frames/s" if best["fps"] else ""
    rest = len(formats) - 1
    more = f" and {rest} more format{'s' if rest > 1 else ''}" if rest else ""
    return f"{preferred} to {best['width']} x {best['height']}{rate}{more}"


def _number(path: Path) -> int:
    digits = re.search(r"\d+", path.name)
    return int(digits.group()) if digits else 0
