"""Four bundles in one station against four stations with one each: memory and throughput.

    python benchmarks/station/processes.py --model models/plate

The bundle is copied four times under other names, so that nothing is shared that four different ones could
not share. Cameras show drawn images as fast as the graphs are free (``trigger = "free"``). Memory is the
proportional set size of all processes after the warm-up; throughput counts inspections in the results files.
One after the other in the same minute, so their ratio holds on a busy machine, and the times do not.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
import cv2
import numpy as np

from station.harness import LIBRARIES, Load, lines_of, pss_mib, station

NAMES = ("a", "b", "c", "d")


def write_station(folder: Path, models: Path, names: tuple[str, ...]) -> None:
    """Write a station with a camera and one inspection per bundle."""
    (folder / "parts").mkdir(parents=True)
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "parts/0.png"), cv2.GaussianBlur(image, (0, 0), 3))
    inspections = "".join(
        f'[inspections.{name}]\nmodel = "{models / name}"\nbackend = "cpu"\n' for name in names
    )
    (folder / "line1.toml").write_text(
        f"""\
[cameras.top]
source = "images:parts?fps=200"
trigger = "free"
{inspections}[results]
jsonl = "line1.jsonl"
"""
    )


def measure(folder: Path, groups: list[tuple[str, ...]], models: Path, seconds: float) -> dict[str, Any]:
    """Run a station per group at once; returns memory and rate of all together."""
    places = [folder / "-".join(group) for group in groups]
    for place, group in zip(places, groups, strict=True):
        write_station(place, models, group)
    with ExitStack() as stack, Load() as load:
        processes = [stack.enter_context(station(place)) for place in places]
        for process in processes:
            process.ready()
        time.sleep(2)
        before, begun = inspected(places), time.monotonic()
        time.sleep(seconds)
        rate = (inspected(places) - before) / (time.monotonic() - begun)
        memory = sum(pss_mib(process.pid) for process in processes)
        for process in processes:
            process.end()
    return {
        "processes": len(groups),
        "memory_pss_mib": round(memory, 1),
        "inspections_per_second": round(rate, 2),
        "load_average": load.figures(),
    }


def inspected(places: list[Path]) -> int:
    """Number of inspections in the results files so far."""
    lines = [line for place in places for line in lines_of(place / "line1.jsonl")[0]]
    return sum(len(line["inspections"]) for line in lines if line["type"] == "part")


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "station_processes")
    parser.add_argument("--model", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    options = parser.parse_args()
    machine = common.begin()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for copy in NAMES:
            shutil.copytree(options.model, folder / "models" / copy)
        one = measure(folder / "one", [NAMES], folder / "models", options.seconds)
        four = measure(folder / "four", [(copy,) for copy in NAMES], folder / "models", options.seconds)
    figures = {
        "one_process": one,
        "four_processes": four,
        "memory_ratio": round(one["memory_pss_mib"] / four["memory_pss_mib"], 3),
        "throughput_ratio": round(one["inspections_per_second"] / four["inspections_per_second"], 3),
    }
    print(json.dumps(figures, indent=2))
    settings = {"seconds": options.seconds, "model": options.model.name}
    common.write_result(options.out, machine, settings, figures, LIBRARIES)


if __name__ == "__main__":
    main()
