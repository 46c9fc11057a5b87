"""The PLC of a simulation: it triggers at a rate, acknowledges results, and prints the handshake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.station.assembly import AssembledStation
from dmdd_edge.runtime.station.leaders import leaders
from dmdd_edge.runtime.station.model import ErrorCode, StationCamera
from dmdd_edge.runtime.station.plc.client import PlcClient, Verdict
from dmdd_edge.runtime.station.settings import ModbusSettings
from dmdd_edge.runtime.station.simulate.findings import Findings, Judge, Witness
from dmdd_edge.runtime.station.simulate.stand_in import client_host

#: How long the PLC waits for ``Ready``, for a result, and for the server, in seconds.
_PATIENCE = 60.0
#: Seconds that the server has for an answer: the machine is busy with everything at once.
_TIMEOUT = 10.0
#: Pause between two exchanges, in seconds.
_CYCLE = 0.001
#: What a fault says that was cleared from elsewhere meanwhile.
_LOST = "A known-bad part is not found."


class SimulatedPlc:
    """Does its work in a thread, from ``start`` until ``done``.

    Where the frames of a camera begin the parts, it presses that camera's own trigger instead (mode
    ``camera``), or only reads the results (mode ``free``).

    Args:
        station: the station, with simulated cameras and a Modbus server.
        modbus: its server.
        rate: triggers per second.
        parts: number of triggers; None continues until ``stop``.
        say: receives the handshake, one line per step.
    """

    def __init__(
        self,
        station: AssembledStation,
        modbus: ModbusSettings,
        rate: float,
        parts: int | None,
        say: Callable[[str], None],
    ) -> None:
        self._station, self._modbus, self._say = station, modbus, say
        self._interval, self._parts = 1 / rate, parts
        self._witness = Witness()
        station.observe(self._witness)
        self._judge = Judge(self._witness)
        self._stopped = threading.Event()
        self._given = self._missed = 0
        self._problem = ""
        self._cleared: dict[str, None] = {}
        self._well = time.monotonic()
        self.done = False
        self._thread = threading.Thread(target=self._work, name="dmdd-plc-client", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Give no further trigger; results of those before are still read."""
        self._stopped.set()

    def findings(self) -> Findings:
        """What was found; waits for the end of the work."""
        self._stopped.set()
        self._thread.join(2 * _PATIENCE)
        found = self._judge.findings(self._given, self._missed, self._problem)
        return replace(found, cleared=tuple(self._cleared))

    def _work(self) -> None:
        modbus = self._modbus
        try:
            with _Client(client_host(modbus.host), modbus.port, self._say) as client:
                self._well = time.monotonic()
                for verdict in self._verdicts(client):
                    self._well = time.monotonic()
                    self._tell(verdict)
        except DmddError as error:
            self._problem = error.message
        finally:
            self.done = True

    def _verdicts(self, client: PlcClient) -> Iterator[Verdict]:
        self._wait_until_ready(client)
        recipe = self._station.engine.book.current()
        leader = None if recipe is None else leaders(self._station.settings)[recipe.number]
        if leader is not None:
            yield from self._collect(client, leader)
            return
        numbers = count(1) if self._parts is None else range(1, self._parts + 1)
        try:
            yield from client.run(
                numbers, self._interval, cycle=_CYCLE, patience=_PATIENCE, stop=lambda: self._ended(client)
            )
        finally:  # also of what was triggered before the station stopped to answer
            self._missed = sum(client.tally.refused.values())
            self._given = client.tally.triggered + self._missed

    def _wait_until_ready(self, client: PlcClient) -> None:
        """While bundles are loaded and images drawn, a busy machine may leave a request without an answer."""
        while not self._ended(client) and not client.status["Ready"]:
            try:
                client.exchange()
                if client.status["Fault"] and client.status["ErrorCode"] == ErrorCode.CHALLENGE_LOST:
                    self._cleared[self._station.engine.desk.state().message or _LOST] = None
                    self._say("-> ClearError 1: a known-bad part is not found, and the simulation continues")
                    client.exchange(ClearError=1)
                    client.exchange(ClearError=0)
            except DmddError:
                if time.monotonic() - self._well > _PATIENCE:
                    raise
            time.sleep(_CYCLE)

    def _collect(self, client: PlcClient, leader: str) -> Iterator[Verdict]:
        """Results of parts that begin with the frames of a camera."""
        cameras = [each for each in self._station.cameras.values() if each.mode == "camera"]
        pressed = self._station.cameras[leader].mode == "camera"
        due = time.monotonic()
        while not self._ended(client) and (self._parts is None or self._judge.answered < self._parts):
            full = self._parts is not None and self._given >= self._parts
            if pressed and not full and client.status["Ready"] and time.monotonic() >= due:
                due = max(due + self._interval, time.monotonic())
                self._given += 1
                self._say(f"-> part {self._given}: the trigger input of {leader}")
                for camera in cameras:
                    camera.fire()
            yield from self._one(client)
        if not pressed:
            self._given = self._judge.answered
        self._missed = self._witness.missed_count if pressed else 0

    def _one(self, client: PlcClient) -> Iterator[Verdict]:
        verdict = client.collect()
        if verdict is not None:
            yield verdict
        time.sleep(_CYCLE)

    def _ended(self, client: PlcClient) -> bool:
        """Whether it makes no sense to wait for ``Ready``."""
        if client.status["Ready"]:
            self._well = time.monotonic()
        elif time.monotonic() - self._well > _PATIENCE:
            why = self._station.engine.desk.state().message or not_open(self._station.cameras)
            why = why or f"ErrorCode {client.status['ErrorCode']}."
            self._problem = f"The station was not ready for {_PATIENCE:g} s: {why}"
        return bool(self._problem) or self._stopped.is_set()

    def _tell(self, verdict: Verdict) -> None:
        part = self._judge.add(verdict)
        took = "" if verdict.seconds is None else f" after {1000 * verdict.seconds:.1f} ms"
        code = "" if part is None or not part.code else f", ErrorCode {int(part.code)}"
        self._say(
            f"<- part {verdict.part_id}: ResultValid 1, {verdict.verdict} 1, score {verdict.score:.4f}"
            f"{took}{code}; ResultAck 1"
        )


def not_open(cameras: Mapping[str, StationCamera]) -> str:
    """Which cameras are not open, or an empty text: one that opens slowly is not a fault yet."""
    names = [name for name, camera in cameras.items() if not camera.state().connected]
    return f"not open yet: camera {', '.join(names)}." if names else ""


class _Client(PlcClient):
    """Prints each trigger."""

    def __init__(self, host: str, port: int, say: Callable[[str], None]) -> None:
        super().__init__(host, port, timeout=_TIMEOUT)
        self._say = say

    def trigger(self, part_id: int, encoder: int = 0) -> bool:
        """See ``PlcClient.trigger``."""
        accepted = super().trigger(part_id, encoder)
        code = ErrorCode(self.status["ErrorCode"])
        answer = "TriggerAck 1" if accepted else f"refused, ErrorCode {int(code)} ({code.name})"
        self._say(f"-> part {part_id}: Trigger 1, {answer}")
        return accepted
