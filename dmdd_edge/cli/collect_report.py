"""What ``dmdd-edge collect`` prints: a line per refused or marked image, and the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmdd_edge.cli.collect_runs import runs_of
from dmdd_edge.cli.console import console, next_step, print_json
from dmdd_edge.data.images import describe_passed_over
from dmdd_edge.messages.commands import command
from dmdd_edge.runs import list_runs

if TYPE_CHECKING:
    from dmdd_edge.cli.collect import CollectCommand
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.runtime.collect.collect import Collected, OpenCollection
    from dmdd_edge.runtime.collect.collector import TakenImage

#: Doubtful images that are named; the rest is counted.
_NAMED = 5


class Report:
    """Reports the progress.

    Args:
        collection: what is reported.
        work: where to.
    """

    def __init__(self, collection: OpenCollection, work: Work) -> None:
        self._collection, self._work = collection, work
        self._last = ""

    def image(self, taken: TakenImage) -> None:
        """Report an image that was kept or refused."""
        name = taken.source
        if taken.number is None:
            self._last = f"refused: {taken.text}"
            self._work.say(f"{name} refused: {taken.text}")
        else:
            self._last = f"{taken.number:06d}.png"
            if taken.faults:
                self._last += f" kept with a mark: {taken.text}"
                self._work.say(f"{name} -> {self._last}")
        self._update()

    def frame(self) -> None:
        """Show the state also where no image is taken."""
        self._work.update(
            "collecting", len(self._collection.collector), self._collection.options.target, self._last
        )

    def _update(self) -> None:
        spread = self._collection.collector.spread()
        missing = [] if spread is None else spread.missing()
        note = "; ".join([self._last, *missing[:1]])
        self._work.update(
            "collecting", len(self._collection.collector), self._collection.options.target, note
        )


def print_outcome(outcome: Collected, options: CollectCommand) -> None:
    """Print the result; with ``--json`` also for a program."""
    if options.json:
        print_json(as_json(outcome))
    counts = outcome.counts
    more = f", {counts.added} of them new" if counts.added != counts.images else ""
    console.print(f"{counts.images} good images in {outcome.into} (target {outcome.target}){more}")
    if counts.refused or counts.unreadable:
        kinds = {**counts.refused, **({"unreadable": counts.unreadable} if counts.unreadable else {})}
        console.print(f"refused: {describe_passed_over(kinds)}")
    if outcome.first_unreadable:
        console.print(f"the first unreadable one: {outcome.first_unreadable}")
    if counts.marked:
        console.print(f"kept with a mark: {describe_passed_over(counts.marked)}")
    if outcome.passed_over:
        console.print(f"passed over: {describe_passed_over(outcome.passed_over)}")
    if outcome.spread is not None:
        console.print(f"spread: {outcome.spread.text()}")
    for number, fault in outcome.doubtful[:_NAMED]:
        console.print(f"look at {outcome.into / f'{number:06d}.png'}: {fault.text}")
    if len(outcome.doubtful) > _NAMED:
        console.print(f"look at {len(outcome.doubtful) - _NAMED} more (--json lists them)")
    for line in outcome.missing:
        console.print(f"missing: {line}")
    if counts.images < outcome.target:
        console.print(f"{outcome.target - counts.images} fewer than the target; the same command continues")
    if counts.images:
        next_step(_next(outcome))


def _next(outcome: Collected) -> str:
    """The command that trains on the set: from the start, or from a run that knows a part of it."""
    known, taken = runs_of(outcome.into), list_runs()
    images, name = outcome.counts.images, outcome.into.resolve().name
    if known:
        run, learned = max(known, key=lambda one: one[1])
        console.print(f"run {run} has learned from {learned} of these {images} images")
        if learned < images:
            return command("train", **{"continue": run}, add=outcome.into)
    return command("train", data=outcome.into, run=f"{name}_{images}" if name in taken else None)


def as_json(outcome: Collected) -> dict[str, Any]:
    """The result for a program."""
    counts, spread = outcome.counts, outcome.spread
    return {
        "into": str(outcome.into),
        "target": outcome.target,
        "images": counts.images,
        "added": counts.added,
        "refused": counts.refused,
        "unreadable": counts.unreadable,
        "marked": counts.marked,
        "doubtful": [
            {"image": f"{number:06d}.png", "kind": fault.kind, "text": fault.text}
            for number, fault in outcome.doubtful
        ],
        "spread": None
        if spread is None
        else {
            "seconds": spread.seconds,
            "light": dict(zip(("low", "middle", "high"), spread.light, strict=True)),
            "drift": spread.drift,
            "shift_px": spread.shift,
            "turn_degrees": spread.turn,
            "noise": round(spread.noise, 3),
        },
        "missing": list(outcome.missing),
        "passed_over": outcome.passed_over,
        "ended_by": outcome.ended_by,
    }
