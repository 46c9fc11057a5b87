"""A station for tests behind real ports: answers each trigger from a thread of its own."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from dmdd_edge.runtime.station.model import ErrorCode, Origin, Trigger
from dmdd_edge.runtime.station.plc.ports import PlcPorts, open_plc
from dmdd_edge.runtime.station.settings import ModbusSettings, PlcSettings
from tests.runtime.station.plc.fakes import FakeDesk, part


def until(condition: Callable[[], Any], seconds: float = 20.0) -> bool:
    """Wait for a condition; whether it came."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


class AnsweringDesk(FakeDesk):
    """Every third part is anomalous; ``held`` keeps the verdicts back until it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.accepted: queue.Queue[Trigger | None] = queue.Queue()
        self.held = threading.Event()
        self.held.set()

    def trigger(
        self,
        origin: Origin,
        part_id: int | None = None,
        encoder: int | None = None,
        since: float | None = None,
    ) -> int | ErrorCode:
        answer = super().trigger(origin, part_id, encoder, since)
        if not isinstance(answer, ErrorCode):
            self.accepted.put(self.triggers[-1])
        return answer


class Station:
    """A desk, its ports, and the thread that answers.

    Args:
        settings: of the PLC; without servers, Modbus on a free port is added.
    """

    def __init__(self, **settings: Any) -> None:
        if not {"modbus", "opcua"} & set(settings):
            settings["modbus"] = ModbusSettings(host="127.0.0.1", port=0)
        self.desk = AnsweringDesk()
        self.ports: PlcPorts = open_plc(PlcSettings(**settings), self.desk, lambda: True)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)", self.ports.addresses[-1])[-1])

    def _work(self) -> None:
        while (trigger := self.desk.accepted.get()) is not None:
            self.desk.held.wait()
            self.ports.part(part(trigger, verdict_of(trigger.part_id)))

    def __enter__(self) -> Station:
        return self

    def __exit__(self, *_: object) -> None:
        self.desk.held.set()
        self.desk.accepted.put(None)
        self._thread.join(10)
        self.ports.close()


def verdict_of(part_id: int) -> str:
    """What the station answers for a part."""
    return "anomalous" if part_id % 3 == 0 else "good"
