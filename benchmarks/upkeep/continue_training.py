"""A run continued with more good images, against a training of all images from the start; and a new lot.

    python benchmarks/upkeep/continue_training.py --data DIR --work DIR [--lot]

Of bottle's good images 50 are kept back. A run is trained on the others; ``train --continue`` adds the 50,
and a training from the start has all of them and as many steps as both together. With --lot, a new lot is
drawn from 25 of the 50 under other light and another white balance: the other 25, and the good test images,
under the same light show what the run makes of it before and after. Runs that are in the work folder already
are used again.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from common import PROGRAM, begin, parser, write_result

CATEGORY = "bottle"
#: Images that are kept back, the seed that draws them, and how many of them the new lot is trained with.
KEPT_BACK, DRAW, LOT = 50, 19, 25
#: The new lot's light: what blue, green and red are multiplied by.
LIGHT = (0.78, 0.85, 0.90)
FIGURES = ("image_auroc", "pixel_auroc", "pro")


def main() -> None:
    """Train, continue, compare, write the result."""
    made = parser(__doc__, "continue_training")
    made.add_argument("--data", type=Path, required=True, help="the folder that holds bottle")
    made.add_argument("--work", type=Path, required=True, help="folder for images and runs")
    made.add_argument("--steps", type=int, default=300, help="of the first run")
    made.add_argument("--image-size", type=int, default=128)
    made.add_argument("--lot", action="store_true", help="continue with a new lot too")
    options = made.parse_args()
    machine = begin()
    work = options.work
    draw_images(options.data / CATEGORY, work, lot=options.lot)
    size = ["--image-size", str(options.image_size)]

    def first(name: str, data: str, steps: int) -> dict[str, Any]:
        return trained(
            work, name, ["--data", str(work / data), "--category", CATEGORY, *size, "--steps", str(steps)]
        )

    start = first("start", "start", options.steps)
    more = trained(
        work, "continued", ["--continue", str(work / "runs" / "start"), "--add", str(work / "added")]
    )
    full = first("from_start", "all", options.steps + more["steps"])
    figures: dict[str, Any] = {"runs": {"start": start, "continued": more, "from_start": full}}
    if options.lot:
        figures["runs"]["lot"] = trained(
            work, "lot", ["--continue", str(work / "runs" / "start"), "--add", str(work / "lot_added")]
        )
        figures["new_lot"] = {
            name: {
                "unseen": decided(work, name, "lot_unseen", "lot_defects"),
                "as_before": decided(work, name, "good", "defects"),
            }
            for name in ("start", "lot")
        }
    settings = {
        "image_size": options.image_size,
        "steps": options.steps,
        "kept_back": KEPT_BACK,
        "lot_images": LOT,
        "lot_light": list(LIGHT),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
    }
    write_result(options.out, machine, settings, figures, ["torch", "timm", "numpy"])


def draw_images(source: Path, work: Path, *, lot: bool) -> None:
    """Lay out the images: links to those as they are, files for those under the new lot's light."""
    good = sorted((source / "train" / "good").iterdir())
    order = np.random.default_rng(DRAW).permutation(len(good))
    kept_back = [good[i] for i in sorted(order[:KEPT_BACK].tolist())]
    for name, images in (("start", [path for path in good if path not in kept_back]), ("all", good)):
        for path in images:
            _link(path, work / name / CATEGORY / "train" / "good" / path.name)
        for folder in ("test", "ground_truth"):
            _link(source / folder, work / name / CATEGORY / folder)
    for path in kept_back:
        _link(path, work / "added" / path.name)
    if not lot:
        return
    tests = sorted((source / "test" / "good").iterdir())
    defects = [path for path in sorted((source / "test").rglob("*.png")) if path.parent.name != "good"]
    for path in kept_back[:LOT]:
        _relit(path, work / "lot_added" / path.name)
    for number, path in enumerate([*kept_back[LOT:], *tests]):
        _relit(path, work / "lot_unseen" / f"{number:03}.png")
    for path in tests:
        _link(path, work / "good" / path.name)
    for path in defects:
        _link(path, work / "defects" / path.parent.name / path.name)
        _relit(path, work / "lot_defects" / path.parent.name / path.name)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.symlink_to(source.resolve())


def _relit(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        image = cv2.imread(str(source))
        assert image is not None, source
        cv2.imwrite(str(target), np.clip(image * np.array(LIGHT), 0, 255).astype(np.uint8))


def trained(work: Path, name: str, arguments: list[str]) -> dict[str, Any]:
    """Train a run, unless it is there; its images, steps, CPU seconds and figures."""
    folder, cost = work / "runs" / name, work / f"{name}.cost.json"
    if not cost.is_file():
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [*PROGRAM, "train", *arguments, "--run", name, "--runs-dir", str(work / "runs")]
        subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        cost.write_text(
            json.dumps({"cpu_seconds": round(cpu, 1), "seconds": round(time.monotonic() - began, 1)})
        )
    facts = json.loads((folder / "run.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    return {
        "train": len(facts["train"]),
        "holdout": len(facts["holdout"]),
        "steps": facts["steps"],
        **json.loads(cost.read_text()),
        **{figure: metrics[figure] for figure in FIGURES},
        "at_threshold": {key: value for key, value in metrics["at_threshold"].items() if key != "groups"},
    }


def decided(work: Path, run: str, good: str, bad: str) -> dict[str, Any]:
    """What a run decides on folders of images, at its threshold."""
    command = [
        *PROGRAM, "evaluate", "--run", run, "--runs-dir", str(work / "runs"),
        "--good", str(work / good), "--bad", str(work / bad), "--json",
    ]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    metrics = json.loads(done.stdout)
    found = metrics["at_threshold"]
    return {
        "image_auroc": metrics["image_auroc"],
        **{key: found[key] for key in ("threshold", "found", "defective", "false_alarms", "good")},
    }


if __name__ == "__main__":
    main()
