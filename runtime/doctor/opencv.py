"""OpenCV: which one it is, how it can capture, and whether it can show a window."""

from __future__ import annotations

import os
import re
from typing import Any

from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import version_of
from dmdd_edge.runtime.doctor.surroundings import Surroundings

_ME = "dmdd_edge.runtime.doctor.opencv"
_PACKAGES = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_BACK_ENDS = {
    "ffmpeg": ("OpenCV's FFmpeg", "FFMPEG", "video files and rtsp:// streams"),
    "v4l2": ("OpenCV's V4L2", "v4l/v4l2", "USB cameras (--source 0, /dev/video0)"),
    "gstreamer": ("OpenCV's GStreamer", "GStreamer", "csi:// cameras, on a Jetson"),
}


def load() -> dict[str, Any]:
    """In a process of its own: version, place and the text that tells how it was built."""
    import cv2

    return {"version": cv2.__version__, "path": cv2.__file__, "build": cv2.getBuildInformation()}


def open_window() -> None:
    """In a process of its own: open a window; without a display Qt ends the process that asks."""
    import cv2

    cv2.namedWindow("dmdd-edge doctor")
    cv2.waitKey(1)
    cv2.destroyAllWindows()


def built_in(build: str, entry: str) -> str:
    """What the build information says of an entry; empty when that is no, or nothing.

    Args:
        build: the text of ``cv2.getBuildInformation()``.
        entry: such as ``GStreamer``.
    """
    # getStreamBackends() lists back ends that are not built in; this text tells.
    found = re.search(rf"^[ \t]*{re.escape(entry)}:[ \t]*(\S.*)$", build, re.MULTILINE)
    value = found.group(1).strip() if found else ""
    return "" if value.upper().startswith(("NO", "NONE")) else value


def examine_opencv(around: Surroundings) -> list[Finding]:
    """The package, each way to capture, and the window of ``--show``."""
    answer = around.ask(f"{_ME}:load")
    installed = {name: version for name in _PACKAGES if (version := version_of(name))}
    if not answer.ok:
        return [_unloadable(answer.failure, answer.kind, installed, around)]
    version, path, build = (answer.value[key] for key in ("version", "path", "build"))
    facts = {"version": version, "path": path, "packages": installed}
    origin = ", ".join(installed) or "not from pip"
    findings = [Finding("opencv.package", "OpenCV", "ok", f"{version} ({origin})", facts=facts)]
    for key, (title, entry, purpose) in _BACK_ENDS.items():
        found = built_in(build, entry)
        state, said = ("ok", f"built in: {found}") if found else ("missing", "not built in")
        fix = "" if found else _get(key, around)
        findings.append(Finding(f"opencv.{key}", title, state, said, purpose, fix))  # type: ignore[arg-type]
    findings.append(_window(built_in(build, "GUI"), around))
    return findings


def _unloadable(failure: str, kind: str, installed: dict[str, str], around: Surroundings) -> Finding:
    name, title, purpose = "opencv.package", "OpenCV", "everything: no command that reads images works"
    here = around.here
    if here.jetson:
        fix = f"{here.system('python3-opencv')}, in an environment made with --system-site-packages"
        if installed:
            fix = f"{here.pip('uninstall', '--yes', *installed)}; then {fix}"
    elif "libGL" in failure or "libgthread" in failure:
        fix = here.system("libgl1", "libglib2.0-0")
    else:
        fix = here.pip("install", "--force-reinstall", "opencv-python")
    absent = not installed and kind == "ModuleNotFoundError"
    # Without it nothing works, so that it is missing is as bad as that it is broken.
    return Finding(name, title, "broken", "not installed" if absent else failure, purpose, fix)


def _get(key: str, around: Surroundings) -> str:
    here = around.here
    if key == "gstreamer":
        if not here.jetson:
            return "nothing to install: only a Jetson has csi:// cameras"
        remove = here.pip("uninstall", "--yes", "opencv-python")
        return f"{remove} && {here.system('python3-opencv')}; install dmdd-edge itself with --no-deps"
    return here.pip("install", "--force-reinstall", "--no-deps", "opencv-python")


def _window(gui: str, around: Surroundings) -> Finding:
    name, title, purpose = "opencv.window", "a window", "--show"
    instead = "work at the machine's own screen, or use --serve and a browser"
    if not gui:
        remove = around.here.pip("uninstall", "--yes", *[n for n in _PACKAGES if version_of(n)])
        fix = f"{remove} && {around.here.pip('install', 'opencv-python')}"
        said = "this OpenCV can show no window (a headless build)"
        return Finding(name, title, "missing", said, purpose, fix)
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not display:
        return Finding(
            name, title, "missing", f"{gui}, and no display (DISPLAY is not set)", purpose, instead
        )
    answer = around.ask(f"{_ME}:open_window", limit=30)
    if not answer.ok:
        said = f"on the display {display} none opens: {answer.failure}"
        return Finding(name, title, "missing", said, purpose, instead)
    return Finding(name, title, "ok", f"{gui}, on the display {display}", purpose, facts={"display": display})
