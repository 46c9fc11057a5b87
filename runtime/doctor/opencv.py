"""OpenCV: its version and build, how it can capture, and whether it can show a window."""

from __future__ import annotations

import os
import re
from typing import Any

from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import version_of

_ME = "dmdd_edge.runtime.doctor.opencv"
_PACKAGES = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_BACKENDS = {
    "ffmpeg": ("OpenCV's FFmpeg", "FFMPEG", "video files and rtsp:// streams"),
    "v4l2": ("OpenCV's V4L2", "v4l/v4l2", "USB cameras (--source 0, /dev/video0)"),
    "gstreamer": ("OpenCV's GStreamer", "GStreamer", "csi:// cameras, on a Jetson"),
}


def load() -> dict[str, Any]:
    """In a subprocess: version, path and build information."""
    import cv2

    return {"version": cv2.__version__, "path": cv2.__file__, "build": cv2.getBuildInformation()}


def open_window() -> None:
    """In a subprocess: open a window; without a display Qt terminates the process."""
    import cv2

    cv2.namedWindow("dmdd-edge doctor")
    cv2.waitKey(1)
    cv2.destroyAllWindows()


def built_in(build: str, entry: str) -> str:
    """The build information's value of an entry; empty for NO and without the entry.

    Args:
        build: the text of ``cv2.getBuildInformation()``.
        entry: such as ``GStreamer``.
    """
    # getStreamBackends() also lists backends that are not built in; this text does not.
    match = re.search(rf"^[ \t]*{re.escape(entry)}:[ \t]*(\S.*)$", build, re.MULTILINE)
    value = match.group(1).strip() if match else ""
    return "" if value.upper().startswith(("NO", "NONE")) else value


def examine_opencv(context: Context) -> list[Finding]:
    """The package, each way to capture, and the window of ``--show``."""
    reply = context.call(f"{_ME}:load")
    installed = {name: version for name in _PACKAGES if (version := version_of(name))}
    if not reply.ok:
        return [_unloadable(reply.failure, reply.kind, installed, context)]
    version, path, build = (reply.value[key] for key in ("version", "path", "build"))
    facts = {"version": version, "path": path, "packages": installed}
    origin = ", ".join(installed) or "not from pip"
    findings = [Finding("opencv.package", "OpenCV", "ok", f"{version} ({origin})", facts=facts)]
    for key, (title, entry, purpose) in _BACKENDS.items():
        value = built_in(build, entry)
        state, detail = ("ok", f"built in: {value}") if value else ("missing", "not built in")
        fix = "" if value else _install(key, context)
        findings.append(Finding(f"opencv.{key}", title, state, detail, purpose, fix))  # type: ignore[arg-type]
    findings.append(_window(built_in(build, "GUI"), context))
    return findings


def _unloadable(failure: str, kind: str, installed: dict[str, str], context: Context) -> Finding:
    name, title, purpose = "opencv.package", "OpenCV", "every command that reads images"
    platform = context.platform
    if platform.jetson:
        fix = f"{platform.system('python3-opencv')}, in an environment made with --system-site-packages"
        if installed:
            fix = f"{platform.pip('uninstall', '--yes', *installed)}; then {fix}"
    elif "libGL" in failure or "libgthread" in failure:
        fix = platform.system("libgl1", "libglib2.0-0")
    else:
        fix = platform.pip("install", "--force-reinstall", "opencv-python")
    absent = not installed and kind == "ModuleNotFoundError"
    # Nothing works without it, so missing is as bad as broken.
    return Finding(name, title, "broken", "not installed" if absent else failure, purpose, fix)


def _install(key: str, context: Context) -> str:
    platform = context.platform
    if key == "gstreamer":
        if not platform.jetson:
            return "Nothing to install: only a Jetson has csi:// cameras."
        remove = platform.pip("uninstall", "--yes", "opencv-python")
        return f"{remove} && {platform.system('python3-opencv')}; install dmdd-edge itself with --no-deps"
    return platform.pip("install", "--force-reinstall", "--no-deps", "opencv-python")


def _window(gui: str, context: Context) -> Finding:
    name, title, purpose = "opencv.window", "a window", "--show"
    instead = "Work at the machine's own screen, or use --serve and a browser."
    if not gui:
        remove = context.platform.pip("uninstall", "--yes", *[n for n in _PACKAGES if version_of(n)])
        fix = f"{remove} && {context.platform.pip('install', 'opencv-python')}"
        detail = "a headless build, which cannot open windows"
        return Finding(name, title, "missing", detail, purpose, fix)
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not display:
        return Finding(
            name, title, "missing", f"{gui}, but no display (DISPLAY is not set)", purpose, instead
        )
    reply = context.call(f"{_ME}:open_window", limit=30)
    if not reply.ok:
        detail = f"cannot open a window on display {display}: {reply.failure}"
        return Finding(name, title, "missing", detail, purpose, instead)
    return Finding(name, title, "ok", f"{gui}, on display {display}", purpose, facts={"display": display})
