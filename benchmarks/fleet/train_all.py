"""Trains 12 categories at once, one of them broken, kills the command in the middle, and continues it.

    OMP_NUM_THREADS=1 python benchmarks/fleet/train_all.py

The categories are drawn plates with other seeds. One command trains them undisturbed; another one is killed
(SIGKILL) in the middle and continued with --resume. Both must give the same models and the same figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cli.train_stage import BUNDLE
from dmdd_edge.sample import write_sample
from dmdd_edge.train.run_folder import MODEL, STATE, state_of

_LIBRARIES = ("torch", "timm", "onnx", "onnxruntime")
BROKEN = "broken"
#: Figures that are times.
_TIMES = ("train_seconds",)
#: The longest a command may take, in seconds.
_LIMIT = 7200.0


def draw(data: Path, categories: int) -> None:
    """Draw all categories but one, which gets a file that is not an image."""
    for number in range(1, categories):
        write_sample(data, f"plate_{number:02d}", train=12, test_good=3, test_bad=1, size=64, seed=number)
    for part in ("train", "test"):
        folder = data / BROKEN / part / "good"
        folder.mkdir(parents=True)
        (folder / "000.png").write_text("not an image")


def weights(folder: Path) -> Path:
    """Weights of a small backbone, drawn at random: what is compared needs no good figures."""
    import timm
    import torch

    torch.manual_seed(11)
    path = folder / "test_efficientnet.pth"
    torch.save(timm.create_model("test_efficientnet", pretrained=False).state_dict(), path)
    return path


class Plant:
    """A data set, and what trains it.

    Args:
        folder: where all of it is.
        categories: how many, with the broken one.
        where: the options that say where it is trained.
        steps: of each training.
    """

    def __init__(self, folder: Path, categories: int, where: Sequence[str], steps: int) -> None:
        self.folder, self.categories, self.where = folder, categories, where
        folder.mkdir(exist_ok=True)
        draw(folder / "data", categories)
        self._words = [
            *("train", "--all", "--data", str(folder / "data")),
            *("--steps", str(steps), "--image-size", "64", "--batch-size", "2", "--device", "cpu"),
            *("--backbone", "timm:test_efficientnet", "--weights", str(weights(folder)), "--json"),
        ]

    def start(self, name: str, *more: str) -> subprocess.Popen[str]:
        """Start the command with folders of a name."""
        places = ("--runs-dir", str(self.runs(name)), "--models-dir", str(self.folder / name / "models"))
        words = [*common.PROGRAM, *self._words, *self.where, *places, *more]
        log = (self.folder / f"{name}.log").open("a")
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)

    def run(self, name: str, *more: str) -> tuple[int, dict[str, Any], float]:
        """Run the command to its end; returns its exit code, its report and the seconds."""
        start = time.perf_counter()
        process = self.start(name, *more)
        out, _ = process.communicate(timeout=_LIMIT)
        return process.returncode, json.loads(out), time.perf_counter() - start

    def runs(self, name: str) -> Path:
        """The folder of the runs."""
        return self.folder / name / "runs"

    def states(self, name: str) -> dict[str, int]:
        """How many runs are in which state; of finished ones, how many have their bundle."""
        found: dict[str, int] = {}
        for number in range(1, self.categories):
            run = self.runs(name) / f"plate_{number:02d}"
            state = "exported" if (run / BUNDLE).is_file() else state_of(run)
            found[state] = found.get(state, 0) + 1
        return found

    def training(self, name: str) -> list[str]:
        """The categories that have a checkpoint and are not trained yet."""
        states = self.runs(name).glob(f"plate_*/{STATE}")
        return sorted(path.parent.name for path in states if not path.with_name(MODEL).is_file())

    def kill_in_the_middle(self, name: str) -> dict[str, Any]:
        """Start the command, kill it when a third is done and one is being trained, see what is left."""
        process = self.start(name)
        until = time.monotonic() + _LIMIT
        while time.monotonic() < until and process.poll() is None:
            done = sum(1 for _ in self.runs(name).glob(f"plate_*/{BUNDLE}"))
            if done >= self.categories // 3 and self.training(name):
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        start = time.perf_counter()
        left = self._wait_for_workers()
        return {
            "states_after": self.states(name),
            "workers_left": left,
            "workers_ended_after_seconds": round(time.perf_counter() - start, 1),
        }

    def _wait_for_workers(self) -> int:
        """Wait until no process of the command is left; returns how many were still there at the end."""
        until = time.monotonic() + 300.0
        while (count := _workers()) and time.monotonic() < until:
            time.sleep(0.2)
        return count

    def outcome(self, name: str, category: str) -> tuple[str, dict[str, Any], float]:
        """Digest of a model, its figures, and the threshold of its bundle."""
        folder = self.runs(name) / category
        metrics = json.loads((folder / "metrics.json").read_text())
        figures = {key: value for key, value in metrics.items() if key not in _TIMES}
        bundle = Bundle.load(self.folder / name / "models" / category)
        digest = hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()
        return digest, figures, bundle.manifest.threshold.image


def _workers() -> int:
    """Processes of categories that this benchmark's commands left behind."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            state = path.with_name("stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        count += b"dmdd_edge.cli.train_worker" in words and state != "Z"
    return count


def compare(plant: Plant, first: str = "undisturbed", second: str = "killed") -> dict[str, int]:
    """A disturbed command against the undisturbed one, category by category."""
    equal = {"categories": 0, "models_equal": 0, "figures_equal": 0, "thresholds_equal": 0}
    for number in range(1, plant.categories):
        category = f"plate_{number:02d}"
        one, other = (plant.outcome(name, category) for name in (first, second))
        equal["categories"] += 1
        for name, same in zip(list(equal)[1:], map(lambda a, b: a == b, one, other), strict=True):
            equal[name] += same
    return equal


def summary(code: int, report: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What a command reported."""
    categories = report["categories"]
    peaks = [row["peak_memory_mib"] for row in categories.values() if "peak_memory_mib" in row]
    failed = {name: row for name, row in categories.items() if row["state"] == "failed"}
    return {
        "exit_code": code,
        "counts": report["counts"],
        "failed": {name: row["reason"].split(" (")[0] for name, row in failed.items()},
        "seconds": round(seconds, 1),
        "largest_peak_memory_mib": max(peaks),
    }


def main() -> None:
    """Train, kill, continue, compare, and write the result file."""
    parser = common.parser(__doc__, "fleet_train_all")
    parser.add_argument(
        "--categories", type=int, default=12, help="with the broken one (default: %(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="at a time (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=60, help="of each training (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    machine = common.begin()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        plant = Plant(folder, options.categories, ("--jobs", str(options.jobs)), options.steps)
        figures: dict[str, Any] = {"killed": plant.kill_in_the_middle("killed")}
        print("killed:", figures["killed"], flush=True)
        figures["continued"] = summary(*plant.run("killed", "--resume"))
        print("continued:", figures["continued"], flush=True)
        figures["undisturbed"] = summary(*plant.run("undisturbed"))
        print("undisturbed:", figures["undisturbed"], flush=True)
        figures["equal"] = compare(plant)
        print("equal:", figures["equal"], flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    settings = {name: getattr(options, name) for name in ("categories", "jobs", "steps")}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
