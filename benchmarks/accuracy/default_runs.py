"""What the default command reaches: figures of finished runs, and of each defect type.

    python benchmarks/accuracy/default_runs.py runs/bottle [runs/screw ...]

The runs are evaluated on their test images, as `dmdd-edge evaluate` does. A run with any other option than
those that name its data and its folder is refused, because its row would not be the default's. After a change
to the head, `--fit-head` first fits the head of an earlier run again, as training does once the student is
trained; its row says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
import torch

from accuracy.heads import with_head
from dmdd_edge.evaluation.metrics import PAPER_FIELDS
from dmdd_edge.train.checkpoint import Run, load_run
from dmdd_edge.train.config import TrainConfig, make_config
from dmdd_edge.train.places import category_of, moved
from dmdd_edge.train.session import evaluate_on

_CHOSEN = ("stages", "abnormality", "density", "lengths", "prototypes", "place", "joined_score")
_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python")


def changed_options(config: TrainConfig) -> list[str]:
    """Names of the parts of a configuration that the default command would have set otherwise."""
    usual = make_config("edge", data=config.data, category=config.category).model_dump()
    return sorted(name for name, value in config.model_dump().items() if value != usual[name])


def row(run: Run, metrics: dict[str, Any], *, fitted: bool) -> dict[str, Any]:
    """A run in the result file.

    Args:
        run: finished.
        metrics: of its test images, as in metrics.json.
        fitted: whether its head was fitted again.
    """
    chosen = run.info["map_weights"]
    good = metrics["at_threshold"]
    return {
        "category": run.config.category,
        "data_set": Path(run.config.data).name,
        "trained": len(run.info["train"]),
        "held_out": len(run.info["holdout"]),
        "steps": run.info["steps"],
        "seed": run.config.seed,
        "train_minutes": round(run.info["train_seconds"] / 60, 1),
        "head_fitted_again": fitted,
        **_rounded({name: metrics[name] for name in PAPER_FIELDS}),
        "per_defect": {name: _rounded(found) for name, found in metrics["per_defect"].items()},
        "at_threshold": {name: good[name] for name in ("found", "defective", "false_alarms", "good")},
        "chosen": {name: chosen.get(name, 0.0) for name in _CHOSEN},
    }


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in figures.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = common.parser(__doc__, "default_runs")
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs")
    parser.add_argument("--data", type=Path, help="data set, where it is not in the place of the training")
    parser.add_argument(
        "--fit-head", action="append", default=[], help="fit this category's head again first"
    )
    common.keep_option(parser)
    options = parser.parse_args(arguments)
    machine, rows = common.begin(), []
    for folder in options.runs:
        run = moved(load_run(folder), options.data)
        if changed := changed_options(run.config):
            sys.exit(f"{folder} was trained with options: {', '.join(changed)}.\nGive runs without any.")
        fitted = run.config.category in options.fit_head
        if fitted:
            run = with_head(run, {})
        found, _ = evaluate_on(run, category_of(run), None, torch.device("cpu"), lambda done, total: None)
        rows.append(row(run, found.metrics, fitted=fitted))
        print(json.dumps(rows[-1]), flush=True)
    if options.keep:
        rows = common.merged(options.out, rows, ("category",))
    common.write_result(options.out, machine, {}, {"runs": rows}, _LIBRARIES)


if __name__ == "__main__":
    main()
