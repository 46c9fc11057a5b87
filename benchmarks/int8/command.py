"""The command: ``python benchmarks/int8 runs/screw runs/bottle`` measures trained runs in INT8.

A run whose file of results exists is not measured again. With ``--ours`` it is, except for the rows of the
graphs that are not ours; ``--graph`` adds the rows of a graph that was made in another way, such as by
``nncf_graph.py``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common import RESULTS

from dmdd_edge.storage import write_atomically
from int8.study import more_rows, study


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
    parser.add_argument("--ours", action="store_true", help="measure our graph again, and keep other rows")
    parser.add_argument("--keep", type=Path, help="keep the graphs here, in a folder for each run")
    parser.add_argument(
        "--graph",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="another INT8 graph of the one run: adds its rows; FILE stands beside --keep's fp32.onnx",
    )
    options = parser.parse_args()
    if options.graph:
        _add_rows(options.runs, options.out, dict(item.split("=", 1) for item in options.graph))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for folder in options.runs:
        file = options.out / f"{folder.name}.json"
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        if before is not None and not options.ours:
            continue
        print(f"{folder.name}: measuring", flush=True)
        keep = None if options.keep is None else options.keep / folder.name
        document = study(folder, options.points, _say, keep, before)
        write_atomically(file, json.dumps(document, indent=1) + "\n")
        print(f"wrote {file}", flush=True)


def _add_rows(runs: list[Path], out: Path, graphs: dict[str, str]) -> None:
    (folder,) = runs
    files = {name: Path(path) for name, path in graphs.items()}
    fp32 = next(iter(files.values())).with_name("fp32.onnx")
    file = out / f"{folder.name}.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    kept = [row for row in document["rows"] if row["graph"] not in files]
    document["rows"] = kept + more_rows(folder, {"fp32": fp32, **files}, _say)
    write_atomically(file, json.dumps(document, indent=1) + "\n")
    print(f"wrote {file}", flush=True)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)
