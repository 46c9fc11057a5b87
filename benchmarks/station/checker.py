"""A PLC that trusts nobody: it triggers parts of two products, and checks every answer that it reads."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass

from dmdd_edge.errors import DeliveryError
from dmdd_edge.runtime.station.plc.client import PlcClient
from dmdd_edge.runtime.station.plc.signals import VERDICTS

#: Of the recipes of ``two_products``: whether their parts are good.
TRUTH = {1: True, 2: False}


@dataclass
class Known:
    """A part that was triggered.

    Attributes:
        good: by the recipe in force at its trigger.
        camera: whether a camera could see it.
        sure: whether the station acknowledged it; a trigger whose answer was lost may have begun a part.
        verdict: as it came; empty until then.
    """

    good: bool
    camera: bool
    sure: bool = True
    verdict: str = ""


class Checker:
    """Does the handshake in single steps, so that it can be broken anywhere.

    Args:
        port: of the station's Modbus server.
        seed: of the choice of recipes.

    Attributes:
        parts: all triggered parts, by id.
        violations: what must never happen, in words.
        camera: whether the camera is there now.
        reads: number of answers that were checked.
    """

    def __init__(self, port: int, seed: int) -> None:
        self._port, self._random = port, random.Random(seed)
        self.parts: dict[int, Known] = {}
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.camera = True
        self.reads = 0
        self._next = 0
        self._ids: set[int] = set()
        self._shown = 0
        self.plc = PlcClient("127.0.0.1", port, timeout=5.0)

    def leave(self) -> None:
        """Close the connection without a word, wherever the handshake is."""
        self.plc.close()

    def come_back(self) -> None:
        """A new connection of a PLC that still has its outputs as they were."""
        commands = dict(self.plc._commands)
        self.plc.close()
        self.plc = PlcClient("127.0.0.1", self._port, timeout=5.0)
        self.plc._commands.update(commands)

    def restarted(self) -> None:
        """The station is another process now: what it did not answer is a reject, and is never answered."""
        for part in self.parts.values():
            if not part.verdict:
                part.verdict = "none"
        self._shown = 0

    def exchange(self, **commands: int) -> dict[str, int]:
        """Write, read, and check what was read."""
        status = self.plc.exchange(**commands)
        self._check(status)
        return status

    def ready(self) -> bool:
        """One step towards a ready station: let go of ``Trigger``, acknowledge what is shown."""
        try:
            status = self.exchange(Trigger=0, ResultAck=self.plc.status["ResultValid"])
        except DeliveryError:
            return False
        return bool(status["Ready"])

    def part(self, patience: float = 5.0) -> str:
        """Trigger one part, of another recipe now and then, and wait for its verdict.

        Returns:
            The verdict; ``refused`` and ``unanswered`` too.

        Raises:
            DeliveryError: the station went away meanwhile.
        """
        if not self._random.randrange(4):
            self._request_recipe(self._random.choice(list(TRUTH)), patience)
        number = self.trigger()
        if number is None:
            self.counts["refused"] += 1
            return "refused"
        until = time.monotonic() + patience
        while not self.parts[number].verdict:
            if time.monotonic() > until:
                self.counts["unanswered"] += 1
                return "unanswered"
            self.exchange(ResultAck=self.plc.status["ResultValid"])
            time.sleep(0.001)
        return self.parts[number].verdict

    def trigger(self) -> int | None:
        """Raise and lower ``Trigger`` for the next part; returns its number if it was acknowledged."""
        self._next += 1
        number, recipe = self._next, self.plc.status["RecipeCurrent"]
        # Known before the answer, which may not come.
        self.parts[number] = Known(TRUTH.get(recipe, False), self.camera, sure=False)
        status = self.exchange(Trigger=1, PartID=number)
        if not status["TriggerAck"]:
            del self.parts[number]
            self.exchange(Trigger=0)
            return None
        self.parts[number].sure = True
        self.exchange(Trigger=0)
        return number

    def _request_recipe(self, number: int, patience: float) -> None:
        self.exchange(RecipeRequest=0)
        self.exchange(RecipeRequest=number)
        until = time.monotonic() + patience
        while not (self.plc.status["Ready"] and self.plc.status["RecipeCurrent"] == number):
            if time.monotonic() > until:
                return
            self.exchange(ResultAck=self.plc.status["ResultValid"])
            time.sleep(0.001)

    def _check(self, status: dict[str, int]) -> None:
        self.reads += 1
        shown = [name for name in VERDICTS if status[name]]
        number = status["PartID"]
        part = self.parts.get(number)
        if len(shown) != status["ResultValid"]:
            self._violated(f"ResultValid {status['ResultValid']} with the verdicts {shown}", status)
        if status["Pass"]:
            self._check_pass(status, number, part)
        if status["ResultValid"] and part is not None:
            if part.verdict not in ("", *shown) and shown != ["Suspect"]:
                self._violated(f"a second verdict of part {number}, after {part.verdict}", status)
            if not part.verdict:
                self.counts[shown[0] if shown else "none"] += 1
                self._note_id(status)
            part.verdict = shown[0] if shown else "Unreliable"
        if status["ResultValid"] and part is None:
            self._violated(f"a result of part {number}, which was not triggered", status)

    def _check_pass(self, status: dict[str, int], number: int, part: Known | None) -> None:
        if part is None:
            self._violated("Pass of a part that was not triggered", status)
            return
        if not part.good:
            self._violated(f"Pass of part {number}, which is not good", status)
        if not part.camera:
            self._violated(f"Pass of part {number}, which no camera saw", status)
        if part.verdict == "none":
            self._violated(f"Pass of part {number} of a station that was killed", status)
        if status["Fault"] or not status["Online"]:
            self._violated(f"Pass of part {number} during a fault", status)

    def _note_id(self, status: dict[str, int]) -> None:
        if status["AcquisitionID"] in self._ids:
            self._violated(f"AcquisitionID {status['AcquisitionID']} for the second time", status)
        self._ids.add(status["AcquisitionID"])

    def _violated(self, what: str, status: dict[str, int]) -> None:
        self.violations.append(f"{what}: {status}")
