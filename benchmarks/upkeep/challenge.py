"""Worse versions at the gate of a challenge set: trained for fewer steps, exported, refused by name.

    python benchmarks/upkeep/challenge.py --data DATA --models-dir MODELS

An exported bundle is in use, and every third defective test image becomes a challenge part. Then the same
category is trained for fewer steps and exported, by the commands that a user has; ``--worse`` takes finished
runs instead. What is not lost at the new version's threshold passes; that is measured too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import PROGRAM, begin, parser, write_result

#: One defective test image in this number is a challenge part.
_EVERY = 3


def run(*words: object) -> tuple[int, str, str, float]:
    """Run a command of ``dmdd-edge``; exit code, standard output, standard error, seconds."""
    start = time.perf_counter()
    done = subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr, time.perf_counter() - start


def must(*words: object) -> str:
    """Run a command that has to work; standard output."""
    code, out, said, _ = run(*words)
    if code:
        raise SystemExit(f"{' '.join(map(str, words))}: exit code {code}\n{said}")
    return out


def current(models: Path, category: str) -> str:
    """The version in use."""
    return (models / category / "CURRENT").read_text().strip()


def measure(models: Path, category: str, trained: Path, name: str, data: Path) -> dict[str, Any]:
    """Export a run beside the version in use, and see what the gate does."""
    before = current(models, category)
    export = ("export", "--run", name, "--runs-dir", trained, "--data", data, "--models-dir", models)
    code, _, said, seconds = run(*export, "--target", "onnx", "--quiet")
    refused = code == 1 and "is not put to use: it loses" in said
    if code and not refused:
        raise SystemExit(said)
    version = max(entry.name for entry in (models / category).iterdir() if (entry / "manifest.json").exists())
    assert refused == (current(models, category) == before)
    first = next((line for line in said.splitlines() if line.startswith("error:")), "")
    again, _, said_again, gate_seconds = run("models", "use", category, version, "--models-dir", models)
    if refused:
        assert (again, current(models, category)) == (1, before), said_again
        assert (models / category / "challenge" / "index.json").exists()
        must("models", "use", category, version, "--models-dir", models, "--allow-loss")
    code, out, _, run_seconds = run(
        "challenge", "run", "--category", category, "--models-dir", models, "--json"
    )
    report = json.loads(out)
    must("models", "use", category, before, "--models-dir", models, "--allow-loss")
    return {
        "version": version,
        "refused": refused,
        "exit_code_of_run": code,
        "found": report["found"],
        "total": report["total"],
        "lost": report["lost"],
        "threshold": report["threshold"],
        "lowest_margin": min(part["margin"] for part in report["parts"]),
        "message": re.sub(r"/\S*/", "", first),
        "export_seconds": round(seconds, 1),
        "gate_seconds": round(gate_seconds, 1) if refused else None,
        "challenge_run_seconds": round(run_seconds, 1),
    }


def main() -> None:
    """Measure and write the result."""
    arguments = parser(__doc__, "upkeep_challenge")
    arguments.add_argument("--data", type=Path, required=True, help="data set in MVTec AD's layout")
    arguments.add_argument("--category", default="bottle")
    arguments.add_argument("--models-dir", type=Path, required=True, help="with a bundle of the category")
    arguments.add_argument("--image-size", type=int, default=256, help="of the worse versions")
    arguments.add_argument("--steps", type=int, nargs="*", default=[20, 60], help="of the worse versions")
    arguments.add_argument("--worse", type=Path, nargs="*", default=[], help="finished runs that are worse")
    options = arguments.parse_args()
    machine = begin()
    category = options.category
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        models, trained = Path(folder) / "models", Path(folder) / "runs"
        shutil.copytree(options.models_dir / category, models / category)
        bad = sorted(
            path for path in (options.data / category / "test").glob("*/*.png") if path.parent.name != "good"
        )[::_EVERY]
        renamed = Path(folder) / "parts"
        renamed.mkdir()
        for path in bad:
            shutil.copyfile(path, renamed / f"{path.parent.name}-{path.name}")
        must("challenge", "add", renamed, "--models-dir", models, "--category", category)
        code, out, _, seconds = run(
            "challenge", "run", "--category", category, "--models-dir", models, "--json"
        )
        report = json.loads(out)
        figures["in use"] = {
            "found": report["found"],
            "total": report["total"],
            "lost": report["lost"],
            "threshold": report["threshold"],
            "lowest_margin": min(part["margin"] for part in report["parts"]),
            "exit_code_of_run": code,
            "challenge_run_seconds": round(seconds, 1),
        }
        for steps in options.steps:
            name = f"{category}-{steps}"
            start = time.perf_counter()
            must(
                *("train", "--data", options.data, "--category", category, "--run", name, "--steps", steps),
                *("--runs-dir", trained, "--device", "cpu", "--image-size", options.image_size, "--quiet"),
            )
            figures[f"{steps} steps"] = {
                "train_seconds": round(time.perf_counter() - start, 1),
                **measure(models, category, trained, name, options.data),
            }
            print(json.dumps(figures[f"{steps} steps"], indent=2), flush=True)
        for folder_of_run in options.worse:
            facts = json.loads((folder_of_run / "run.json").read_text())
            figures[f"{facts['steps']} steps"] = measure(
                models, category, folder_of_run.parent, folder_of_run.name, options.data
            )
            print(json.dumps(figures[f"{facts['steps']} steps"], indent=2), flush=True)
    settings = {
        "category": category,
        "steps": options.steps,
        "image_size": options.image_size,
        "every": _EVERY,
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }
    write_result(options.out, machine, settings, figures, ["torch", "onnxruntime", "numpy"])


if __name__ == "__main__":
    main()
