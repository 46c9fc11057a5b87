"""A whole station as a service: ready when its recipe is warm, no sign of life while its graph is stuck."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dmdd_edge.runtime.station.settings import StationSettings
from tests.runtime.station.running import Camera, opened, wait_until
from tests.runtime.station.test_engine import plain as plain_station
from tests.runtime.station.test_engine_faults import Failing
from tests.runtime.station.test_engine_faults import failing as failing_graph
from tests.runtime.station.test_service import Systemd, serve

plain, failing = plain_station, failing_graph


def test_a_station_from_ready_to_stopping(
    plain: StationSettings, failing: type[Failing], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    systemd = Systemd(str(tmp_path / "notify"))
    with opened(plain, {"top": Camera()}) as station:
        service = serve(systemd, station.engine.alive, WATCHDOG_USEC="90000")
        station.desk.events.observe(service)
        assert systemd.until("WATCHDOG")  # it warms up for as long as it needs
        station.start()
        assert systemd.until("READY")["STATUS"].startswith("Recipe 1 (")
        gate = threading.Event()
        monkeypatch.setattr(failing, "_fail", lambda self: gate.wait(60))
        station.engine._stuck_after = 0.05
        station.trigger()
        wait_until(lambda: not station.engine.alive(), "stuck")
        while "WATCHDOG" in systemd.next(1):  # those from before
            pass
        gate.set()
        assert systemd.until("WATCHDOG")
        station.stop()
        assert systemd.until("STOPPING")
    systemd.close()
