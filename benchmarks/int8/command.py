"""The command: ``python benchmarks/int8 runs/screw runs/bottle`` measures trained runs in INT8.

A run whose file of results exists is not measured again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common import RESULTS

from dmdd_edge.storage import write_atomically
from int8.study import study


def main() -> None:
    """Write a file of results per run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of trained runs")
    parser.add_argument("--out", type=Path, default=RESULTS / "int8", help="folder of the results")
    parser.add_argument(
        "--points",
        type=int,
        default=5,
        help="evenly spread points of the curve, beside those that the choice measured",
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for folder in options.runs:
        file = options.out / f"{folder.name}.json"
        if file.is_file():
            continue
        print(f"{folder.name}: measuring", flush=True)
        document = study(folder, options.points, lambda text: print(f"  {text}", flush=True))
        write_atomically(file, json.dumps(document, indent=1) + "\n")
        print(f"wrote {file}", flush=True)
