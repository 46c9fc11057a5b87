"""systemd as it sees a station: a socket that listens, and a watchdog that kills whoever is late."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dmdd_edge.runtime.station.model import ErrorCode, StationState
from dmdd_edge.runtime.station.service import Service, open_service, status_line, watchdog_seconds

if not hasattr(socket, "AF_UNIX"):
    pytest.skip("needs sockets of a Unix", allow_module_level=True)

WARM = StationState(online=True, ready=True, recipe=1, recipe_name="screw", parts=3, anomalous=1, missed=2)
WARM_LINE = "Recipe 1 (screw): 3 parts, 1 anomalous, 0 unreliable, 2 missed."


class Systemd:
    """The service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(20)

    def next(self, seconds: float = 20) -> dict[str, str]:
        """The fields of the next datagram; empty when none comes in time."""
        self._socket.settimeout(seconds)
        try:
            text = self._socket.recv(4096).decode()
        except TimeoutError:
            return {}
        return dict(line.split("=", 1) for line in text.split("\n"))

    def until(self, field: str) -> dict[str, str]:
        """The next datagram that has a field."""
        while field not in (fields := self.next()):
            assert fields, f"no {field} came"
        return fields

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    end = Systemd(f"@dmdd-{uuid4()}" if request.param == "abstract" else str(tmp_path / "notify"))
    yield end
    end.close()


def serve(systemd: Systemd, alive: object = lambda: True, **environment: str) -> Service:
    service = open_service(alive, {"NOTIFY_SOCKET": systemd.address, **environment})
    assert service is not None
    return service


def test_ready_when_warm_reloading_while_a_recipe_is_loaded_stopping_at_the_end(systemd: Systemd) -> None:
    service = serve(systemd)
    service.changed(StationState())
    service.changed(StationState(changing_to=1))
    service.changed(WARM)
    assert systemd.until("READY") == {"READY": "1", "STATUS": WARM_LINE}
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    service.changed(StationState(online=True, recipe=1, recipe_name="screw", changing_to=2))
    reloading = systemd.until("RELOADING")
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    service.changed(StationState(online=True, ready=True, recipe=2, recipe_name="nut"))
    assert systemd.until("READY")["STATUS"].startswith("Recipe 2 (nut): 0 parts")
    service.close()
    service.close()
    assert systemd.until("STOPPING") == {"STOPPING": "1", "STATUS": "Stopping."}
    assert systemd.next(0.2) == {}


def test_the_status_line_follows_the_counts(systemd: Systemd) -> None:
    service = serve(systemd)
    service.changed(WARM)
    systemd.until("READY")
    service.changed(StationState(online=True, recipe=1, parts=4))
    assert systemd.until("STATUS") == {"STATUS": "Recipe 1: 4 parts, 0 anomalous, 0 unreliable, 0 missed."}
    service.close()


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (StationState(), "Starting."),
        (StationState(message="The camera is lost."), "The camera is lost."),
        (WARM, WARM_LINE),
        (
            StationState(recipe=1, fault=True, code=ErrorCode.CAMERA_LOST, message="Camera top:\nlost."),
            "Fault 5: Camera top: lost. Recipe 1: 0 parts, 0 anomalous, 0 unreliable, 0 missed.",
        ),
        (
            StationState(recipe=1, changing_to=7),
            "Loading recipe 7. Recipe 1: 0 parts, 0 anomalous, 0 unreliable, 0 missed.",
        ),
    ],
)
def test_the_state_in_a_line(state: StationState, line: str) -> None:
    assert status_line(state) == line


def test_a_station_that_hangs_gives_no_sign_of_life(systemd: Systemd) -> None:
    turning, looks = threading.Event(), threading.Semaphore(0)
    turning.set()

    def alive() -> bool:
        looks.release()
        return turning.is_set()

    service = serve(systemd, alive, WATCHDOG_USEC="60000", WATCHDOG_PID=str(os.getpid()))
    for _ in range(3):
        assert systemd.until("WATCHDOG") == {"WATCHDOG": "1"}
    turning.clear()
    while looks.acquire(timeout=0):
        pass
    looks.acquire(timeout=20)  # one that may have begun before it hung
    while systemd.next(0.05):
        pass
    for _ in range(3):
        assert looks.acquire(timeout=20)
    assert systemd.next(0.05) == {}
    turning.set()
    assert systemd.until("WATCHDOG") == {"WATCHDOG": "1"}
    service.close()


def test_a_look_that_fails_is_no_sign_of_life(systemd: Systemd) -> None:
    looks = threading.Semaphore(0)

    def alive() -> bool:
        looks.release()
        raise RuntimeError

    service = serve(systemd, alive, WATCHDOG_USEC="60000")
    for _ in range(3):
        assert looks.acquire(timeout=20)
    service.close()
    while "STOPPING" not in (fields := systemd.next()):
        assert fields.keys() == {"STATUS"}


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_systemd_there_is_nothing(environment: dict[str, str]) -> None:
    threads = threading.active_count()
    assert open_service(lambda: True, environment) is None
    assert threading.active_count() <= threads


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_who_is_watched(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environment) == seconds


def test_a_socket_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    systemd = Systemd(str(tmp_path / "notify"))
    service = serve(systemd)
    systemd.close()
    service.changed(WARM)
    service.close()


CHILD = """
import sys, threading, time
from pathlib import Path
from dmdd_edge.runtime.station.model import StationState
from dmdd_edge.runtime.station.service import open_service

hang, turned = Path(sys.argv[1]), [time.monotonic()]
lock = threading.Lock()

def alive():
    with lock:
        return time.monotonic() - turned[0] < 1.0

service = open_service(alive)
service.changed(StationState(online=True, ready=True, recipe=1))
while not hang.exists():
    turned[0] = time.monotonic()
    time.sleep(0.01)
if hang.read_text() == "lock":
    lock.acquire()
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["loop", "lock"])
def test_the_watchdog_ends_who_hangs_and_nobody_else(tmp_path: Path, how: str) -> None:
    """As systemd does: from READY on, SIGABRT to a process whose sign of life is late."""
    limit = 5.0
    systemd, hang = Systemd(str(tmp_path / "notify")), tmp_path / "hang"
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": str(int(limit * 1e6))}
    environment.pop("WATCHDOG_PID", None)
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(hang)], env=environment)
    try:
        systemd.until("READY")
        fed = begun = time.monotonic()
        while time.monotonic() - begun < 60:
            if time.monotonic() - begun > 2 * limit and not hang.exists():
                hang.write_text(how)
                hung = time.monotonic()
            if "WATCHDOG" in systemd.next(0.1):
                fed = time.monotonic()
            if time.monotonic() - fed > limit:
                child.send_signal(signal.SIGABRT)
                break
        assert hang.exists(), "the watchdog was late while the loop turned"
        assert child.wait(20) == -signal.SIGABRT
        assert time.monotonic() - hung >= limit - 2  # the last sign came a second before at most
    finally:
        child.kill()
        child.wait()
        systemd.close()
