"""Triggers faster than the graph for a minute: everything answered or reported missed, and memory flat.

    python benchmarks/station/overload.py --model models/plate

A PLC triggers at a multiple of the graph's rate whether or not the station is ready. Parts and refused
triggers are counted at the PLC, in the results file, in the station's summary and in its counters on the
disk. The station's memory is read every second.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
import cv2
import numpy as np

from dmdd_edge.runtime.station.counters import Counters
from dmdd_edge.runtime.station.plc.client import PlcClient
from station.harness import LIBRARIES, Load, free_port, lines_of, percentiles, station, until_ready

#: Seconds at which the memory is shown.
SHOWN = (10, 30, 60)
TEXT = """\
[cameras.top]
source = "images:parts"
[inspections.plate]
model = "{model}"
backend = "cpu"
[plc.modbus]
host = "127.0.0.1"
port = {port}
[results]
jsonl = "line1.jsonl"
"""


def press(plc: PlcClient, process: int, seconds: float, interval: float) -> tuple[list[Any], list[float]]:
    """Trigger at a rate, and collect the results; returns them and the memory by the second."""
    memory: list[float] = []
    begun = time.monotonic()

    def part_ids() -> Any:
        part_id = 0
        while time.monotonic() < begun + seconds:
            if time.monotonic() >= begun + len(memory):
                memory.append(round(common.resident_mib(process), 1))
            part_id += 1
            yield part_id

    # Refused triggers are what is measured: nobody waits for Ready.
    found = list(plc.run(part_ids(), interval, wait_ready=False, cycle=0.0005, patience=60))
    memory.append(round(common.resident_mib(process), 1))
    return found, memory


def measure(model: Path, seconds: float, interval: float) -> dict[str, Any]:
    """Run the station; returns the figures."""
    with tempfile.TemporaryDirectory() as name, Load() as load:
        folder, port = Path(name), free_port()
        (folder / "parts").mkdir()
        rng = np.random.default_rng(0)
        for number in range(4):
            noise = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f"parts/{number}.png"), cv2.GaussianBlur(noise, (0, 0), 3))
        (folder / "line1.toml").write_text(TEXT.format(model=model.resolve(), port=port))
        with station(folder) as process:
            process.ready()
            with PlcClient("127.0.0.1", port, timeout=30.0) as plc:
                until_ready(plc)
                begun = time.monotonic()
                found, memory = press(plc, process.pid, seconds, interval)
                spent = time.monotonic() - begun
                tally = plc.tally
            if process.end():
                raise SystemExit(f"the station ended with an error: {process.said}")
        lines, torn = lines_of(folder / "line1.jsonl")
        kept = Counters(folder / "line1.state", print)
        counts = kept.counts
        kept.close()
    parts = [line for line in lines if line["type"] == "part"]
    missed = [line for line in lines if line["type"] == "missed"]
    summary = lines[-1]["parts"]
    refused = tally.refused.total()
    return {
        "load_average": load.figures(),
        "triggers_per_second": round((tally.triggered + refused) / spent, 1),
        "results_per_second": round(len(found) / spent, 1),
        "triggers": tally.triggered + refused,
        "answered": {
            "plc": len(found),
            "lines": len(parts),
            "summary": summary["total"],
            "counters": counts.parts,
        },
        "refused": {
            "plc": refused,
            "lines": len(missed),
            "summary": summary["missed"],
            "counters": counts.missed,
        },
        "refused_by_error": dict(Counter(line["error"] for line in missed)),
        "acknowledged_without_result": tally.unanswered,
        "ids_at_the_plc_are_those_of_the_lines_in_order": [each.part_id for each in found]
        == [line["part_id"] for line in parts],
        "refused_and_answered_are_all_triggers_once": sorted(
            [line["part_id"] for line in parts] + [line["part_id"] for line in missed]
        )
        == list(range(1, tally.triggered + refused + 1)),
        "torn_lines": torn,
        "memory_mib_by_second": {f"{at}": memory[min(at, len(memory) - 1)] for at in SHOWN},
        "memory_growth_mib": round(memory[-1] - memory[min(10, len(memory) - 1)], 1),
        "trigger_to_result_valid_ms": percentiles([1000 * each.seconds for each in found if each.seconds]),
    }


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "station_overload")
    parser.add_argument("--model", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--seconds", type=float, default=61.0)
    parser.add_argument("--interval", type=float, default=0.002, help="seconds (default: %(default)s)")
    options = parser.parse_args()
    machine = common.begin()
    figures = measure(options.model, options.seconds, options.interval)
    print(json.dumps(figures, indent=2))
    settings = {"seconds": options.seconds, "interval": options.interval, "model": options.model.name}
    common.write_result(options.out, machine, settings, figures, LIBRARIES)


if __name__ == "__main__":
    main()
