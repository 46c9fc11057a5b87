"""A small PLC: does the handshake in a cycle, as a real one does, and collects the verdicts."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol

from dmdd_edge.runtime.station.plc.signals import IN_BAND, VERDICTS, Values, off

#: Seconds between two changes of the PLC's heartbeat.
_BEAT = 0.5
#: Results that ``run`` has not yielded yet; only somebody who never asks for them has more.
_FRESH = 4096


class Link(Protocol):
    """A client's connection to a server of the signals; connects again by itself."""

    def exchange(self, commands: Values) -> dict[str, int]:
        """Write all commands, then read the status.

        Raises:
            DeliveryError: the station does not answer.
        """
        ...

    def close(self) -> None:
        """Leave."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What the PLC received for a part.

    Attributes:
        part_id, acquisition_id: as the station returned them.
        verdict: one of ``VERDICTS``.
        score: 0..1.
        seconds: from before the trigger was written until ``ResultValid`` was read; None for a part that this
            PLC did not trigger.
        own: the station's ``LatencyMs``, in seconds.
        in_band: whether the part is suspect because a score is in the band: ``InBand``.
    """

    part_id: int
    acquisition_id: int
    verdict: str
    score: float
    seconds: float | None
    own: float
    in_band: bool = False


@dataclass
class Tally:
    """What the PLC counted.

    Attributes:
        triggered: triggers that were acknowledged.
        refused: triggers that were not, by ``ErrorCode``.
        verdicts: number of results, by verdict.
        unanswered: triggers that were acknowledged and got no result.
        longest_silence: longest time without a change of the station's heartbeat, in seconds.
    """

    triggered: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    longest_silence: float = 0.0


class PlcClient:
    """A PLC that talks to a station; not safe for threads.

    Args:
        host, port: of the station's server.
        protocol: ``modbus`` or ``opcua``.
        timeout: of a request, in seconds.

    Attributes:
        status: the station's signals when they were last read.
        tally: what was counted.
    """

    def __init__(
        self, host: str, port: int, protocol: Literal["modbus", "opcua"] = "modbus", timeout: float = 2.0
    ) -> None:
        self._link: Link
        if protocol == "modbus":
            from dmdd_edge.runtime.station.plc.modbus_link import ModbusLink

            self._link = ModbusLink(host, port, timeout)
        else:
            from dmdd_edge.runtime.station.plc.opcua_link import OpcUaLink

            self._link = OpcUaLink(host, port, timeout)
        self._commands = {**off("command"), "TriggerEnable": 1}
        self._begun: dict[int, float] = {}
        self._fresh: deque[Verdict] = deque(maxlen=_FRESH)
        self._beat_due = 0.0
        self._heard: tuple[int, float] | None = None
        self.status = off("status")
        self.tally = Tally()

    def __enter__(self) -> PlcClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; the station keeps the last commands."""
        self._link.close()

    def exchange(self, **commands: int) -> dict[str, int]:
        """Write all commands, then read the whole status; over Modbus in one request.

        Args:
            commands: signals that change; the others stay as they were written before.

        Returns:
            The status after the write.

        Raises:
            DeliveryError: the station does not answer.
        """
        unknown = set(commands) - set(self._commands)
        if unknown:
            raise ValueError(f"no such command: {', '.join(sorted(unknown))}")
        self._commands |= commands
        now = time.monotonic()
        if now >= self._beat_due:
            self._commands["Heartbeat"] ^= 1
            self._beat_due = now + _BEAT
        self.status = self._link.exchange(self._commands)
        self._listen(time.monotonic())
        return self.status

    def _listen(self, now: float) -> None:
        beat, before = self.status["Heartbeat"], self._heard
        if before is None or before[0] != beat:
            self._heard = beat, now
        if before is not None:
            self.tally.longest_silence = max(self.tally.longest_silence, now - before[1])

    def wait_for(
        self, condition: Callable[[dict[str, int]], bool], seconds: float, cycle: float = 0.002
    ) -> bool:
        """Exchange until the status fulfills a condition.

        Returns:
            Whether it did so in time.
        """
        until = time.monotonic() + seconds
        while not condition(self.exchange()):
            if time.monotonic() > until:
                return False
            time.sleep(cycle)
        return True

    def trigger(self, part_id: int, encoder: int = 0) -> bool:
        """Trigger a part now; its result comes with ``collect``.

        Returns:
            Whether the station acknowledged it; otherwise it is counted as refused.
        """
        begun = time.monotonic()
        status = self.exchange(Trigger=1, PartID=part_id, EncoderCount=encoder)
        if accepted := bool(status["TriggerAck"]):
            self.tally.triggered += 1
            self._begun[part_id] = begun
        else:
            self.tally.refused[status["ErrorCode"]] += 1
        self._result(status)
        self.exchange(Trigger=0)
        return accepted

    def collect(self) -> Verdict | None:
        """One cycle: read, and acknowledge a result if there is one.

        Returns:
            The result that came in this cycle.
        """
        return self._result(self.exchange())

    def _result(self, status: dict[str, int]) -> Verdict | None:
        if not status["ResultValid"] or self._commands["ResultAck"]:
            if self._commands["ResultAck"] and not status["ResultValid"]:
                self.exchange(ResultAck=0)
            return None
        begun = self._begun.pop(status["PartID"], None)
        # Whatever is not exactly one verdict counts as one that does not pass.
        shown = [name for name in VERDICTS if status[name]]
        verdict = Verdict(
            part_id=status["PartID"],
            acquisition_id=status["AcquisitionID"],
            verdict=shown[0] if len(shown) == 1 else "Unreliable",
            score=status["ScoreX10000"] / 1e4,
            seconds=None if begun is None else time.monotonic() - begun,
            own=status["LatencyMs"] / 1e3,
            in_band=bool(status[IN_BAND]),
        )
        self.tally.verdicts[verdict.verdict] += 1
        self._fresh.append(verdict)
        if not self.exchange(ResultAck=1)["ResultValid"]:
            self.exchange(ResultAck=0)
        return verdict

    def run(
        self,
        part_ids: Iterable[int],
        interval: float,
        wait_ready: bool = True,
        cycle: float = 0.001,
        patience: float = 10.0,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Verdict]:
        """Trigger parts at a rate, and yield the results as they come, until all of them have come.

        Args:
            part_ids: one trigger each.
            interval: seconds from one trigger to the next; more while the station is not ready.
            wait_ready: wait for ``Ready``, as a PLC should; otherwise trigger regardless.
            cycle: pause between two exchanges in seconds.
            patience: how long a result may take after the last trigger, in seconds; what has not come by then
                is counted as unanswered.
            stop: polled; true ends the triggers.
        """
        due = time.monotonic()
        for part_id in part_ids:
            while not stop() and (time.monotonic() < due or (wait_ready and not self.status["Ready"])):
                yield from self._cycle(cycle)
            if stop():
                break
            due = max(due + interval, time.monotonic())
            self.trigger(part_id)
        until = time.monotonic() + patience
        while self._begun and time.monotonic() < until:
            yield from self._cycle(cycle)
        yield from self._cycle(0.0)
        self.tally.unanswered += len(self._begun)
        self._begun.clear()

    def _cycle(self, pause: float) -> Iterator[Verdict]:
        self.collect()
        while self._fresh:
            yield self._fresh.popleft()
        time.sleep(pause)
