"""Random sequences of whatever a PLC and a station may do, watched by rules that know nothing of the code."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dmdd_edge.runtime.station.model import ErrorCode, Trigger
from tests.runtime.station.plc.fakes import Bench

VERDICTS = ("Pass", "Fail", "Suspect", "Unreliable")
WORDS = ("AcquisitionID", "PartID", "ScoreX10000", "RegionCount", "LatencyMs", "EncoderCount")


class Watcher:
    """Sees what the PLC sees, what the station was asked, and which parts it delivered; holds the rules."""

    def __init__(self, bench: Bench, hold: bool) -> None:
        self.bench, self.hold = bench, hold
        #: Delivered parts in order: number, whether it may still pass.
        self.delivered: list[int] = []
        self.may_pass: dict[int, bool] = {}
        self.shown: list[int] = []
        self.before = bench.outputs()
        self.level, self.acknowledged = 0, 0
        self.accepted = self.refused = 0

    def deliver(self, number: int, clean: bool) -> None:
        self.delivered.append(number)
        self.may_pass[number] = clean

    def look(self, wrote: dict[str, int] | None = None) -> None:
        seen, before = self.bench.outputs(), self.before
        self._trigger(seen, wrote or {})
        troubled = bool(seen["Fault"]) or not seen["Online"]
        if troubled:
            self.may_pass = dict.fromkeys(self.may_pass, False)
        if seen["ResultValid"] and not (before["ResultValid"] and self._same(before, seen)):
            self.shown.append(seen["AcquisitionID"])
        elif seen["ResultValid"]:
            # Stable, except that Pass may become Suspect.
            assert [seen[name] for name in WORDS] == [before[name] for name in WORDS]
            changed = {name for name in VERDICTS if seen[name] != before[name]}
            assert changed in (set(), {"Pass", "Suspect"})
            assert not changed or before["Pass"]
        assert sum(seen[name] for name in VERDICTS) == seen["ResultValid"]
        if seen["Pass"]:
            assert self.may_pass[seen["AcquisitionID"]], (
                "passes, but was not judged good, or there was trouble"
            )
        if seen["Ready"]:
            assert not troubled
        # In the order of delivery, none twice, none left out.
        assert self.shown == self.delivered[: len(self.shown)]
        if self.hold and before["ResultValid"] and not seen["ResultValid"]:
            assert self.bench.handshake.commands()["ResultAck"]
        self.before = seen

    @staticmethod
    def _same(before: dict[str, int], seen: dict[str, int]) -> bool:
        return before["AcquisitionID"] == seen["AcquisitionID"]

    def _trigger(self, seen: dict[str, int], wrote: dict[str, int]) -> None:
        level = wrote.get("Trigger", self.level)
        new = len(self.bench.desk.triggers) - self.accepted
        if level > self.level:
            assert new in (0, 1)
            if new:
                assert self.before["Ready"]
                assert seen["TriggerAck"]
                made = self.bench.desk.triggers[-1]
                given = self.bench.handshake.commands()["PartID"]
                assert made.part_id == (given or made.acquisition_id)
            else:
                assert seen["ErrorCode"]
                assert not seen["TriggerAck"]
                self.refused += 1
        else:
            assert new == 0
        if not level:
            assert not seen["TriggerAck"]
        self.level, self.accepted = level, self.accepted + new


class Play:
    """One random sequence."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.hold = self.random.random() < 0.7
        beat = self.random.choice([None, 1500.0])
        self.bench = Bench(
            result="hold" if self.hold else "pulse", acknowledge_ms=800.0, pulse_ms=50.0, heartbeat_ms=beat
        )
        self.watcher = Watcher(self.bench, self.hold)
        self.waiting: list[Trigger] = []
        self.known = 0

    def write(self, **values: int) -> None:
        self.bench.write(**values)
        self.watcher.look(values)
        fresh = self.bench.desk.triggers[self.known :]
        self.known += len(fresh)
        self.waiting += fresh

    def wait(self, seconds: float) -> None:
        """Let time pass in steps that show every pulse."""
        for _ in range(max(1, round(seconds / 0.02))):
            self.bench.wait(0.02)
            self.watcher.look()

    def step(self) -> None:
        choose = self.random
        commands = self.bench.handshake.commands()
        action = choose.choices(
            [
                "trigger",
                "ack",
                "enable",
                "clear",
                "beat",
                "recipe",
                "deliver",
                "camera",
                "wait",
                "station",
                "stall",
            ],
            [20, 20, 3, 3, 6, 2, 20, 1, 12, 3, 1],
        )[0]
        if action == "trigger":
            self.write(Trigger=1 - commands["Trigger"], PartID=choose.randrange(0, 5))
        elif action == "ack":
            self.write(ResultAck=1 - commands["ResultAck"])
        elif action == "enable":
            self.write(TriggerEnable=int(choose.random() < 0.8), Trigger=choose.randrange(2))
        elif action == "clear":
            self.write(ClearError=1 - commands["ClearError"])
        elif action == "beat":
            self.write(Heartbeat=1 - commands["Heartbeat"])
        elif action == "recipe":
            self.write(RecipeRequest=choose.randrange(3))
        elif action == "deliver" and self.waiting:
            self.deliver(self.waiting.pop(0))
        elif action == "wait":
            self.wait(choose.choice([0.01, 0.06, 0.3, 1.0]))
        elif action == "station":
            trouble = choose.random()
            self.bench.station(
                fault=trouble < 0.3, code=ErrorCode.CAMERA_LOST if trouble < 0.3 else ErrorCode.NONE,
                online=trouble < 0.9, ready=choose.random() < 0.8,
                changing_to=0, recipe=choose.randrange(1, 4),
            )  # fmt: skip
            self.watcher.look()
        elif action == "stall":
            self.bench.alive = choose.random() < 0.6
            self.wait(1.1)

    def deliver(self, trigger: Trigger) -> None:
        status = self.random.choice(["good", "good", "anomalous", "unreliable"])
        late = self.random.random() < 0.15
        changes: dict[str, Any] = {"code": ErrorCode.NO_FRAME} if self.random.random() < 0.1 else {}
        seen = self.bench.outputs()
        sound = bool(seen["Online"] and not seen["Fault"])
        self.watcher.deliver(trigger.acquisition_id, status == "good" and not late and not changes and sound)
        self.bench.part(trigger, status, late, **changes)
        self.watcher.look()

    def drain(self) -> None:
        """The PLC and the station behave: every accepted trigger has had its one result."""
        self.bench.alive = True
        while self.waiting:
            self.deliver(self.waiting.pop(0))
        for _ in range(60):
            self.write(ResultAck=1, Trigger=0)
            self.write(ResultAck=0)
            self.wait(0.06)


@pytest.mark.parametrize("seed", range(60))
def test_no_rule_is_broken(seed: int) -> None:
    play = Play(seed)
    play.write(TriggerEnable=1, Trigger=0, Heartbeat=1)
    for _ in range(250):
        play.step()
    play.drain()
    accepted = [trigger.acquisition_id for trigger in play.bench.desk.triggers]
    assert play.watcher.shown == play.watcher.delivered == accepted
    assert play.watcher.refused == len(play.bench.missed)
    play.bench.handshake.close()
    assert set(play.bench.outputs().values()) == {0}


def test_the_sequences_reach_what_they_are_for() -> None:
    passed = refused = overdue = withdrawn = 0
    for seed in range(60):
        play = Play(seed)
        play.write(TriggerEnable=1, Trigger=0, Heartbeat=1)
        for _ in range(250):
            before = play.watcher.before
            play.step()
            seen = play.watcher.before
            passed += seen["Pass"] > before["Pass"]
            overdue += seen["ErrorCode"] == ErrorCode.NOT_ACKNOWLEDGED != before["ErrorCode"]
            withdrawn += before["Pass"] and seen["Suspect"]
        refused += play.watcher.refused
    assert min(passed, refused, overdue, withdrawn) > 10
