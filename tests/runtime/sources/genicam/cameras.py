"""Simulated GigE Vision cameras for tests. All of them answer on one port, so one test at a time has one."""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: Where Debian has PyGObject, for its own Python.
_SYSTEM = "/usr/lib/python3/dist-packages"
_LOCK = Path(tempfile.gettempdir()) / "dmdd-edge-tests-gvcp-3956.lock"
_LONG = 120.0
VIVA_SERIAL, ARAVIS_SERIAL = "VIVA-FAKE-001", "GV01"

needs_viva = pytest.mark.skipif(
    importlib.util.find_spec("viva_genicam") is None, reason="viva-genicam is not installed"
)


@contextmanager
def the_port() -> Iterator[None]:
    """Hold UDP port 3956 of this machine, which GigE Vision prescribes, against other tests."""
    with _LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def started(start: Any) -> None:
    """Start a camera as soon as the port is free; one that was just stopped may still hold it."""
    deadline = time.monotonic() + _LONG
    while True:
        try:
            start()
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def viva_camera(**arguments: Any) -> Iterator[Any]:
    """viva-genicam's camera in this process: ``FakeGigeCamera`` with these arguments, started."""
    from viva_genicam.testing import FakeGigeCamera

    with the_port():
        camera = FakeGigeCamera(**{"width": 64, "height": 48, "fps": 30, **arguments})
        started(camera.start)
        try:
            yield camera
        finally:
            camera.stop()


@contextmanager
def aravis_camera(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Aravis' simulated camera as a process."""
    program = shutil.which("arv-fake-gv-camera-0.8")
    if program is None:
        pytest.skip("arv-fake-gv-camera-0.8 is not installed (aravis-tools-cli)")
    with the_port():
        process = subprocess.Popen(
            [program, "-i", "127.0.0.1", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def need_aravis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Aravis importable, from the system's Python if that has the version of this one; else skip."""
    if importlib.util.find_spec("gi") is None:
        minor = f"{sys.version_info.major}{sys.version_info.minor}"
        if not list(Path(_SYSTEM).glob(f"gi/_gi.cpython-{minor}-*.so")):
            pytest.skip(f"PyGObject for Python {sys.version_info.major}.{sys.version_info.minor} not found")
        monkeypatch.setattr(sys, "path", [*sys.path, _SYSTEM])
    import gi

    try:
        gi.require_version("Aravis", "0.8")
    except ValueError:
        pytest.skip("Aravis 0.8 is not installed (gir1.2-aravis-0.8)")
