"""Two Ray nodes that have nothing in common but an S3 store; one is killed, and its cache is removed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import common

sys.path.append(str(common.ROOT))
from tests.ray_nodes import ray_nodes, raylet_pid

_CATEGORIES = ("plate_01", "plate_02")
_LIMIT = 3600.0


def lose_a_node(folder: Path, steps: int, store: str) -> dict[str, Any]:
    """Train categories on two nodes, kill one that is training, and compare with --jobs 1 in folders.

    Args:
        folder: with the data set and the weights.
        steps: of each training.
        store: address of the bucket.
    """
    listed = folder / "list.toml"
    listed.write_text('target = "onnx"\n' + "".join(f"[{name}]\n" for name in _CATEGORIES))
    data = f"{store}/set"
    _put(folder / "data", data)
    words = [
        *("train", "--all", "--categories", str(listed), "--data", data, "--json"),
        *("--steps", str(steps), "--image-size", "64", "--batch-size", "2", "--device", "cpu"),
        *("--backbone", "timm:test_efficientnet", "--weights", str(folder / "test_efficientnet.pth")),
        *("--head", "sum"),
    ]
    caches = [folder / f"node{number}" for number in range(3)]
    variables = [
        {"DMDD_STORE_CACHE": str(cache / "runs"), "DMDD_DATA_CACHE": str(cache / "data")} for cache in caches
    ]
    killed: dict[str, Any] = {}
    start = time.perf_counter()
    with ray_nodes((0, 1, 1), variables) as cluster:
        own = {name: str(folder / "command" / name) for name in variables[0]}
        places = ("--runs-dir", f"{store}/runs", "--models-dir", f"{store}/models")
        process = _program([*words, *places, "--ray", cluster.address], folder / "ray.log", own)
        while process.poll() is None and time.perf_counter() - start < _LIMIT:
            time.sleep(0.05)
            for number, node in enumerate(cluster.worker_nodes, 1) if not killed else ():
                if category := _has_sent(caches[number]):
                    os.kill(raylet_pid(node), signal.SIGKILL)
                    killed = {"category": category, "seconds": round(time.perf_counter() - start, 1)}
                    gone = caches[number]
                    break
            if killed and gone.is_dir() and time.perf_counter() - start > killed["seconds"] + 5:
                shutil.rmtree(gone, ignore_errors=True)
        assert process.stdout is not None
        report = json.loads(process.stdout.read())
    seconds = time.perf_counter() - start
    here = folder / "here"
    places = ("--runs-dir", str(here / "runs"), "--models-dir", str(here / "models"))
    plain = _program([*words, *places], folder / "here.log", {"DMDD_DATA_CACHE": str(folder / "here-data")})
    plain.communicate(timeout=_LIMIT)
    pulled = folder / "pulled"
    pull = [*common.PROGRAM, "models", "pull", f"{store}/models", "--models-dir", str(pulled), "-q"]
    code = subprocess.run(pull, check=False).returncode
    rows = {name: _compare(folder, store, here, pulled, name) for name in _CATEGORIES}
    return {
        "exit_code": process.returncode,
        "counts": report["counts"],
        "killed": killed,
        "moved": {name: row.get("moves", 0) for name, row in report["categories"].items()},
        "seconds": round(seconds, 1),
        "pull_exit_code": code,
        "equal": rows,
    }


def _program(words: list[str], log: Path, variables: dict[str, str]) -> subprocess.Popen[str]:
    environment = {**os.environ, **variables}
    return subprocess.Popen(
        [*common.PROGRAM, *words], stdout=subprocess.PIPE, stderr=log.open("a"), text=True, env=environment
    )


def _put(folder: Path, address: str) -> None:
    code = "import sys, s3fs; s3fs.S3FileSystem().put(sys.argv[1] + '/', sys.argv[2], recursive=True)"
    subprocess.run([sys.executable, "-c", code, str(folder), address.removeprefix("s3://")], check=True)


def _has_sent(cache: Path) -> str | None:
    """A category that this node has sent a checkpoint of, and has not finished."""
    for note in cache.glob("runs/*/runs/.*.sent.json"):
        name = note.name[1:].removesuffix(".sent.json")
        run = note.with_name(name)
        with suppress(OSError, ValueError):
            sent = json.loads(note.read_text())["head"]
            if sent and (run / "state.safetensors").is_file() and not (run / "model.safetensors").is_file():
                return name
    return None


def _compare(folder: Path, store: str, here: Path, pulled: Path, category: str) -> dict[str, bool]:
    """A category of the cluster against that of this machine: model, figures and threshold."""
    from dmdd_edge.bundle.bundle import Bundle

    fetched = folder / "fetched"
    code = (
        "import sys; from dmdd_edge.workspace import find_run as f; print(f(sys.argv[1], None, sys.argv[2]))"
    )
    words = [sys.executable, "-c", code, category, f"{store}/runs"]
    environment = {**os.environ, "DMDD_STORE_CACHE": str(fetched)}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    run, plain = Path(done.stdout.strip().splitlines()[-1]), here / "runs" / category

    def figures(of: Path) -> dict[str, Any]:
        found = json.loads((of / "metrics.json").read_text())
        return {key: value for key, value in found.items() if key != "train_seconds"}

    thresholds = [
        Bundle.load(models / category).manifest.threshold.image for models in (pulled, here / "models")
    ]
    return {
        "model": (run / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes(),
        "figures": figures(run) == figures(plain),
        "threshold": thresholds[0] == thresholds[1],
    }
