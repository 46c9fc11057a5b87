"""How each of many jobs stands: what the table of progress shows, and what is reported at the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["waiting", "running", "done", "skipped", "failed", "stopped"]


@dataclass
class Standing:
    """One job.

    Attributes:
        name: of the job; no two have the same.
        state: ``skipped``: was done before. ``stopped``: ended early on request, and can continue.
        phase: what it does now, for people.
        share: of its work, 0..1; None while nothing tells.
        memory: MiB that it holds now.
        peak: MiB that it held at most.
        began: value of the clock when it started; None before.
        seconds: how long it took; 0 before it ends.
        reason, fix: why it failed and what to do.
        result: what it reports when it is done.
        place: the machine of a cluster that it is on; empty without a cluster.
        moves: how often it continued elsewhere, because its machine or process was lost.
    """

    name: str
    state: State = "waiting"
    phase: str = ""
    share: float | None = None
    memory: float = 0.0
    peak: float = 0.0
    began: float | None = None
    seconds: float = 0.0
    reason: str = ""
    fix: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    place: str = ""
    moves: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        found: dict[str, Any] = {"state": self.state, "seconds": round(self.seconds, 3)}
        if self.peak:
            found["peak_memory_mib"] = round(self.peak)
        if self.place:
            found |= {"node": self.place, "moves": self.moves}
        if self.state == "failed":
            found |= {"reason": self.reason, "fix": self.fix}
        return found | self.result


def counts(standings: Iterable[Standing]) -> dict[State, int]:
    """How many jobs are in each state, in the order of the states, without those that are 0."""
    found: dict[State, int] = dict.fromkeys(("done", "skipped", "running", "waiting", "stopped", "failed"), 0)
    for standing in standings:
        found[standing.state] += 1
    return {state: number for state, number in found.items() if number}
