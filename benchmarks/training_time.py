"""How much sooner training reaches a category's figures than in the project's first form, in one run.

The first form is the project's own code of that time, taken from the repository's history and run with its
own defaults; today's code is as it was last committed. Each trains anew, from the same seed, at one length
after another until its pixel AUROC and PRO are both no lower than the target: the paper's for the category,
or what --target says. The ratio is that of the two trainings that end there, each alone; what led up to them
is not counted. All happen on the same machine, one after the other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import common
from first_form import FIRST, check_out, run_code

from dmdd_edge.evaluation.metrics import PAPER_FIGURES
from dmdd_edge.evaluation.paper import paper_row

#: What has to be reached.
_TARGETS = ("pixel_auroc", "pro")


def train(code: Path, steps: int, options: Namespace) -> dict[str, Any]:
    """Train with the code that lies in a folder; returns the run's metrics.json.

    Exits with the training's own message when it fails.
    """
    with tempfile.TemporaryDirectory() as runs:
        command = ["train", "--data", str(options.data), "--category", options.category]
        command += ["--steps", str(steps), "--seed", str(options.seed), "--runs-dir", runs]
        if options.textures:
            command += ["--textures", str(options.textures)]
        if options.image_size:
            command += ["--image-size", str(options.image_size)]
        done = run_code(code, [*common.PROGRAM, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        found = list(Path(runs).glob("*/metrics.json"))
        if done.returncode or not found:
            sys.exit(f"training failed:\n{done.stderr}")
        metrics: dict[str, Any] = json.loads(found[0].read_text())
        return metrics


def reached(metrics: Mapping[str, Any], target: Mapping[str, float]) -> bool:
    """Whether a training's figures are no lower than the target's."""
    return all(metrics[name] >= target[name] for name in _TARGETS)


def verdict(
    target: Mapping[str, float], now: Sequence[Mapping[str, Any]], first: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the trainings say.

    Args:
        target: figures to reach, 0..1.
        now: metrics of today's trainings, in the order of their lengths.
        first: the first form's, likewise.

    Returns:
        ``now_reached`` and ``first_reached``: whether the last of each is there. ``ratio``: the first form's
        time over today's; a lower bound where the first form is not there, None where today's is not.
    """
    there = reached(now[-1], target)
    return {
        "now_reached": there,
        "first_reached": reached(first[-1], target),
        "ratio": round(first[-1]["train_seconds"] / now[-1]["train_seconds"], 3) if there else None,
    }


def sentence(found: Mapping[str, Any]) -> str:
    """A verdict in words."""
    if not found["now_reached"]:
        return "today's code does not reach the target at any of these lengths"
    if found["first_reached"]:
        return f"the first form takes {found['ratio']:.2f} times as long to the target"
    return f"the first form is not there after {found['ratio']:.2f} times as long"


def short(metrics: Mapping[str, Any]) -> str:
    """Steps, time and figures in a line."""
    figures = ", ".join(f"{shown} {100 * metrics[name]:.2f}" for shown, name in PAPER_FIGURES)
    return f"{metrics['steps']} steps in {metrics['train_seconds']:.0f} s: {figures}"


def options_from(arguments: Iterable[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "training_time")
    parser.add_argument("--data", type=Path, required=True, help="data set")
    parser.add_argument("--category", default="bottle")
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=[300, 600, 1200, 2400],
        help="lengths, from short to long (default: 300 600 1200 2400)",
    )
    parser.add_argument("--first-steps", type=int, nargs="+", help="of the first form (default: the same)")
    parser.add_argument(
        "--target",
        type=float,
        nargs=2,
        metavar=("P-AUROC", "PRO"),
        help="in percent (default: the paper's for the category)",
    )
    parser.add_argument("--textures", type=Path, help="folder of textures for both (default: drawn ones)")
    parser.add_argument("--image-size", type=int, help="of both (default: each form's own)")
    parser.add_argument("--first", default=FIRST, help="commit of the first form (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(None if arguments is None else list(arguments))
    options.data = options.data.absolute()
    options.textures = options.textures and options.textures.absolute()
    options.first_steps = options.first_steps or options.steps
    if options.target is None:
        paper = paper_row(options.category)
        if paper is None:
            parser.error(f"the paper has no {options.category}: give --target")
        options.target = [round(100 * paper.pixel_auroc, 2), round(100 * paper.pro, 2)]
    return options


def train_until(
    target: Mapping[str, float], code: Path, lengths: Iterable[int], name: str, options: Namespace
) -> list[dict[str, Any]]:
    """Train at one length after another until the target is reached; returns the metrics of each."""
    done: list[dict[str, Any]] = []
    for steps in lengths:
        done.append(train(code, steps, options))
        print(f"{name}: {short(done[-1])}", flush=True)
        if reached(done[-1], target):
            break
    return done


def main() -> None:
    """Train both, print and write."""
    options = options_from()
    machine = common.begin()
    target = dict(zip(_TARGETS, (value / 100 for value in options.target), strict=True))
    print(f"target: P-AUROC {options.target[0]:.2f}, PRO {options.target[1]:.2f}", flush=True)
    trained: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, commit, lengths in (
            ("now", "HEAD", options.steps),
            ("first", options.first, options.first_steps),
        ):
            code = Path(folder) / name
            code.mkdir()
            check_out(commit, code)
            trained[name] = train_until(target, code, lengths, name, options)
    found = verdict(target, trained["now"], trained["first"])
    print(sentence(found))
    figures = {"target": target, **trained, **found}
    settings = {
        name: value.name if isinstance(value, Path) else value
        for name, value in vars(options).items()
        if name not in ("out", "data", "category")
    }
    names = ["torch", "torchvision", "timm", "numpy"]
    common.write_result(options.out, machine, settings, {options.category: figures}, names)


if __name__ == "__main__":
    main()
