"""Change the recipe of a running station again and again under triggers, and see who judged each part.

The bundles of each recipe give every image the same scores, so a part's scores tell which recipe judged
it. A thread triggers whenever the station is ready; a camera answers with frames that are made at once. The
graphs take next to no time: the change itself is measured, and that no part falls between two recipes.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import common
import numpy as np

sys.path.insert(0, str(common.ROOT))

from tests.runtime.station.constant_bundles import station_settings, write_constant_bundle
from tests.runtime.station.running import Camera, Running, running, wait_until

#: Scores of each recipe's inspections; the third has the bundle of the first among its own.
SCORES = {1: (0.125,), 2: (0.25, 0.375), 3: (0.4375, 0.125), 4: (0.75,), 5: (0.875, 0.3125)}


def measure(folder: Path, changes: int, keep_warm: int, seed: int) -> dict[str, Any]:
    """Run the station through the changes; returns the figures."""
    inspections = {f"{score}": f"bundle{score}" for scores in SCORES.values() for score in scores}
    for score in {score for scores in SCORES.values() for score in scores}:
        write_constant_bundle(folder / "models", f"bundle{score}", score)
    recipes = {number: [f"{score}" for score in scores] for number, scores in SCORES.items()}
    settings = station_settings(folder, inspections, recipes, keep_warm=keep_warm)
    draw, at = random.Random(seed), 1
    seconds: list[float] = []
    with running(settings, {"top": Camera()}, say=lambda line: None) as station:
        stop, accepted = threading.Event(), Counter[str]()
        thread = threading.Thread(target=trigger, args=(station, stop, accepted))
        thread.start()
        for _ in range(changes):
            parts = len(station.notes.parts)
            at = draw.choice([number for number in SCORES if number != at])
            start = time.perf_counter()
            station.desk.request_recipe(at)
            wait_until(lambda at=at: station.desk.state().recipe == at and station.desk.state().ready)  # type: ignore[misc]
            seconds.append(time.perf_counter() - start)
            wait_until(lambda parts=parts: len(station.notes.parts) > parts + draw.randrange(20))  # type: ignore[misc]
        stop.set()
        thread.join()
        wait_until(lambda: len(station.notes.parts) == accepted["accepted"])
        state, notes = station.desk.state(), station.notes
    wrong = [part for part in notes.parts if scores_of(part) != SCORES[part.trigger.recipe]]
    ids = [part.trigger.acquisition_id for part in notes.parts]
    return {
        "changes": changes,
        "parts": len(ids),
        "parts_judged_by_another_recipe": len(wrong),
        "ids_in_order_and_once": ids == sorted(set(ids)),
        "triggers_accepted": accepted["accepted"],
        "triggers_refused": accepted["refused"],
        "refusals_reported": len(notes.misses),
        "counted_parts_and_missed": [state.parts, state.missed],
        "parts_by_recipe": dict(sorted(Counter(part.trigger.recipe for part in notes.parts).items())),
        "change_ms": {
            f"p{share}": round(1000 * float(np.percentile(seconds, share, method="inverted_cdf")), 1)
            for share in (50, 90, 99)
        },
    }


def trigger(station: Running, stop: threading.Event, accepted: Counter[str]) -> None:
    """Trigger all the time; a refusal is followed by a pause, as a PLC's cycle would be."""
    while not stop.is_set():
        taken = type(station.desk.trigger("modbus")) is int
        accepted["accepted" if taken else "refused"] += 1
        if not taken:
            time.sleep(0.002)


def scores_of(part: Any) -> tuple[float, ...]:
    """The scores of a part's inspections, in order."""
    return tuple(round(each.result.score, 4) for each in part.inspections)


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "station_recipes")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--keep-warm", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    machine = common.begin()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.changes, options.keep_warm, options.seed)
    print(json.dumps(figures, indent=2))
    settings = {"changes": options.changes, "keep_warm": options.keep_warm, "seed": options.seed}
    common.write_result(options.out, machine, settings, figures, ["onnxruntime"])


if __name__ == "__main__":
    main()
