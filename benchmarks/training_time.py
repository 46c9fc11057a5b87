"""How much sooner training reaches a figure than in the project's first form, in one run.

The first form is the project's own code of that time, taken from the repository's history and run with its
own defaults; today's code, as it was last committed, trains for fewer steps. Both train the same category on
the same machine, one after the other. Where today's pixel AUROC and PRO are no lower than the first form's,
the ratio of the times is a lower bound: the first form would need longer still for today's figures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import common
from first_form import FIRST, check_out, run_code

from dmdd_edge.metrics import PAPER_FIGURES

_COMPARED = ("pixel_auroc", "pro")


def train(code: Path, steps: int, options: Namespace) -> dict[str, Any]:
    """Train with the code that lies in a folder; returns the run's metrics.json.

    Exits with the training's own message when it fails.
    """
    with tempfile.TemporaryDirectory() as runs:
        command = ["train", "--data", str(options.data), "--category", options.category]
        command += ["--steps", str(steps), "--seed", str(options.seed), "--runs-dir", runs]
        done = run_code(code, [*common.PROGRAM, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        found = list(Path(runs).glob("*/metrics.json"))
        if done.returncode or not found:
            sys.exit(f"training failed:\n{done.stderr}")
        metrics: dict[str, Any] = json.loads(found[0].read_text())
        return metrics


def verdict(first: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The ratio of the times, and whether today's figures are no lower than the first form's."""
    return {
        "ratio": round(first["train_seconds"] / now["train_seconds"], 3),
        "as_good": all(now[name] >= first[name] for name in _COMPARED),
    }


def short(metrics: Mapping[str, Any]) -> str:
    """Steps, time and figures in a line."""
    figures = ", ".join(f"{shown} {100 * metrics[name]:.2f}" for shown, name in PAPER_FIGURES)
    return f"{metrics['steps']} steps in {metrics['train_seconds']:.0f} s: {figures}"


def options_from(arguments: Iterable[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "training_time")
    parser.add_argument("--data", type=Path, required=True, help="data set")
    parser.add_argument("--category", default="bottle")
    parser.add_argument("--steps", type=int, default=300, help="of today's code (default: %(default)s)")
    parser.add_argument(
        "--first-steps", type=int, default=600, help="of the first form (default: %(default)s)"
    )
    parser.add_argument("--first", default=FIRST, help="commit of the first form (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(None if arguments is None else list(arguments))
    options.data = options.data.absolute()
    return options


def main() -> None:
    """Train both, print and write."""
    options = options_from()
    machine = common.begin()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, commit, steps in (
            ("now", "HEAD", options.steps),
            ("first", options.first, options.first_steps),
        ):
            code = Path(folder) / name
            code.mkdir()
            check_out(commit, code)
            figures[name] = train(code, steps, options)
            print(f"{name}: {short(figures[name])}", flush=True)
    figures |= verdict(figures["first"], figures["now"])
    said = "no lower" if figures["as_good"] else "NOT all as high"
    print(f"the first form takes {figures['ratio']:.2f} times as long; today's P-AUROC and PRO are {said}")
    settings = {
        name: value for name, value in vars(options).items() if name not in ("out", "data", "category")
    }
    names = ["torch", "torchvision", "timm", "numpy"]
    common.write_result(options.out, machine, settings, {options.category: figures}, names)


if __name__ == "__main__":
    main()
