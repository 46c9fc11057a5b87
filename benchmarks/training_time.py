"""Compare the time to reach target accuracy with the project's first version, in one run.

The first version is the project's code of that time, taken from the repository's history and run with its
defaults; the current code is the last commit. Each version trains from scratch with the same seed, at one
length after another, until its pixel AUROC and PRO both reach the target: the paper's figures for the
category, or --target. The ratio is that of the two trainings that reach it; shorter trainings are not
counted. All run on the same machine, one after the other.
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
from past_code import FIRST, check_out, run_code

from dmdd_edge.evaluation.metrics import PAPER_FIGURES
from dmdd_edge.evaluation.paper import paper_row

#: Figures that must reach the target.
_TARGETS = ("pixel_auroc", "pro")


def train(code: Path, steps: int, options: Namespace) -> dict[str, Any]:
    """Train with the code in a folder; returns the run's metrics.json.

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
            sys.exit(f"Training failed:\n{done.stderr}")
        metrics: dict[str, Any] = json.loads(found[0].read_text())
        return metrics


def reached(metrics: Mapping[str, Any], target: Mapping[str, float]) -> bool:
    """Whether a training's figures reach the target."""
    return all(metrics[name] >= target[name] for name in _TARGETS)


def verdict(
    target: Mapping[str, float], now: Sequence[Mapping[str, Any]], first: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Compare the trainings of both versions.

    Args:
        target: figures to reach, 0..1.
        now: metrics of the current version's trainings, shortest first.
        first: metrics of the first version's trainings, shortest first.

    Returns:
        ``now_reached`` and ``first_reached``: whether the last training of each reaches the target.
        ``ratio``: the first version's time over the current one's; a lower bound when the first version does
        not reach the target, None when the current one does not.
    """
    now_reached = reached(now[-1], target)
    return {
        "now_reached": now_reached,
        "first_reached": reached(first[-1], target),
        "ratio": round(first[-1]["train_seconds"] / now[-1]["train_seconds"], 3) if now_reached else None,
    }


def sentence(found: Mapping[str, Any]) -> str:
    """The verdict as a sentence."""
    if not found["now_reached"]:
        return "the current version does not reach the target at any of these lengths"
    if found["first_reached"]:
        return f"the first version takes {found['ratio']:.2f} times as long to reach the target"
    return f"the first version has not reached the target after {found['ratio']:.2f} times as long"


def short(metrics: Mapping[str, Any]) -> str:
    """Steps, time and figures in one line."""
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
        help="lengths, shortest first (default: 300 600 1200 2400)",
    )
    parser.add_argument(
        "--first-steps", type=int, nargs="+", help="lengths of the first version (default: the same)"
    )
    parser.add_argument(
        "--target",
        type=float,
        nargs=2,
        metavar=("P-AUROC", "PRO"),
        help="target in percent (default: the paper's)",
    )
    parser.add_argument("--textures", type=Path, help="folder of textures for both (default: drawn)")
    parser.add_argument("--image-size", type=int, help="image size of both (default: each version's)")
    parser.add_argument("--first", default=FIRST, help="commit of the first version (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(None if arguments is None else list(arguments))
    options.data = options.data.absolute()
    options.textures = options.textures and options.textures.absolute()
    options.first_steps = options.first_steps or options.steps
    if options.target is None:
        paper = paper_row(options.category)
        if paper is None:
            parser.error(f"The paper has no category {options.category!r}. Set --target.")
        options.target = [round(100 * paper.pixel_auroc, 2), round(100 * paper.pro, 2)]
    return options


def train_until(
    target: Mapping[str, float], code: Path, lengths: Iterable[int], name: str, options: Namespace
) -> list[dict[str, Any]]:
    """Train at increasing lengths until the target is reached; returns the metrics of each."""
    done: list[dict[str, Any]] = []
    for steps in lengths:
        done.append(train(code, steps, options))
        print(f"{name}: {short(done[-1])}", flush=True)
        if reached(done[-1], target):
            break
    return done


def main() -> None:
    """Train both versions, print and write."""
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
