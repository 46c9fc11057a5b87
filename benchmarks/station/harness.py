"""What the measurements of a station share: its process, cameras, lines, memory, the load beside it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import common
import numpy as np

sys.path.insert(0, str(common.ROOT))

from dmdd_edge.errors import DeliveryError
from dmdd_edge.runtime.station.plc.client import PlcClient
from tests.runtime.sources.genicam.cameras import aravis_camera, the_port
from tests.runtime.station.constant_bundles import write_constant_bundle
from tests.runtime.station.program import Process

#: Scores of two bundles that give every image the same: which one judged a part, its verdict tells.
GOOD, BAD = 0.125, 0.875
LIBRARIES = ["onnxruntime", "numpy", "opencv-python", "pyModbusTCP", "asyncua", "viva-genicam"]
_LONG = 120.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def station(folder: Path) -> Process:
    """Start the station of ``line1.toml`` in a folder."""
    return Process([*common.PROGRAM], folder, "--json", "--quiet")


def two_products(folder: Path, source: str, port: int, jsonl: str = "line1.jsonl", more: str = "") -> None:
    """Write a station with recipe 1, by which every part is good, and recipe 2, by which none is."""
    for category, score in (("good", GOOD), ("bad", BAD)):
        write_constant_bundle(folder / "models", category, score)
    trigger = "software" if source.startswith("genicam:") else "newest"
    (folder / "line1.toml").write_text(
        f"""\
[cameras.top]
source = "{source}"
trigger = "{trigger}"
[inspections]
yes = {{category = "good"}}
no = {{category = "bad"}}
[[recipes]]
number = 1
inspections = ["yes"]
[[recipes]]
number = 2
inspections = ["no"]
[plc]
{more}
[plc.modbus]
host = "127.0.0.1"
port = {port}
[results]
jsonl = "{jsonl}"
"""
    )


def viva(width: int, height: int, pixel_format: str = "BayerRG8") -> list[str]:
    """The command of viva's simulated GigE camera as a process."""
    script = Path(__file__).with_name("viva_camera.py")
    return [sys.executable, str(script), str(width), str(height), pixel_format]


class CameraProcess:
    """A simulated camera that can be killed and started again; the port must be held meanwhile.

    Args:
        command: starts it; it prints one line when it is up, and one with its own counts at SIGTERM.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self.start()

    def start(self) -> None:
        """Start it, and wait until it is up."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise SystemExit("the simulated camera does not start")

    def kill(self) -> None:
        """Take it away without a word."""
        self._process.kill()
        self._process.wait()

    def freeze(self, frozen: bool) -> None:
        """Let it hang, or continue."""
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def end(self) -> dict[str, Any]:
        """End it; returns what it counted."""
        self._process.terminate()
        assert self._process.stdout is not None
        counts: dict[str, Any] = json.loads(self._process.stdout.readline() or "{}")
        self._process.wait()
        return counts


@contextmanager
def viva_process(width: int, height: int) -> Iterator[CameraProcess]:
    """viva's camera in its own process; no other program of the tests has one meanwhile."""
    with the_port():
        camera = CameraProcess(viva(width, height))
        try:
            yield camera
        finally:
            camera.kill()


@contextmanager
def with_system_gi() -> Iterator[None]:
    """Let a station that is started now see the system's PyGObject, but no other package of the system."""
    if importlib.util.find_spec("gi") is not None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "gi").symlink_to("/usr/lib/python3/dist-packages/gi")
        os.environ["PYTHONPATH"] = folder
        try:
            yield
        finally:
            del os.environ["PYTHONPATH"]


@contextmanager
def aravis_process() -> Iterator[None]:
    """Aravis' camera, once it answers."""
    from dmdd_edge.runtime.sources.genicam.device import GenicamDevice
    from dmdd_edge.runtime.sources.options import SourceOptions

    with aravis_camera():
        driver = GenicamDevice("genicam://", SourceOptions(genicam_driver="viva")).driver
        until(lambda: bool(driver.find()))
        yield


class Load:
    """The load average of the machine while something is measured; a thread looks every second."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._seen: list[float] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def figures(self) -> dict[str, float]:
        """Median, lowest and highest."""
        return common.spread(self._seen)

    def _watch(self) -> None:
        while True:
            self._seen.append(os.getloadavg()[0])
            if self._ended.wait(1.0):
                return


def until(condition: Callable[[], bool], seconds: float = _LONG) -> float:
    """Wait for a condition; returns how long it took, and ends the measurement if it does not come."""
    where = sys._getframe(1).f_code.co_name
    begun = time.monotonic()
    while not condition():
        if time.monotonic() > begun + seconds:
            raise SystemExit(f"gave up after {seconds:g} s in {where}")
        time.sleep(0.01)
    return time.monotonic() - begun


def until_ready(plc: PlcClient) -> float:
    """Wait until a station answers and is ready; returns the seconds."""

    def ready() -> bool:
        with contextlib.suppress(DeliveryError):
            return bool(plc.exchange(Trigger=0, ResultAck=plc.status["ResultValid"])["Ready"])
        return False

    return until(ready)


def lines_of(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The lines of a results file, and the number of those that are not whole."""
    whole, torn = [], 0
    for line in path.read_bytes().splitlines():
        try:
            whole.append(json.loads(line))
        except ValueError:
            torn += 1
    return whole, torn


def percentiles(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Median, 90th, 99th percentile and the largest."""
    found = {
        f"p{share}": float(np.percentile(values, share, method="inverted_cdf")) for share in (50, 90, 99)
    }
    return {name: round(value, digits) for name, value in {**found, "largest": max(values)}.items()}


def pss_mib(process: int) -> float:
    """Memory of a process in MiB, with its share of what several processes share."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return float("nan")
