"""Many categories and many images on a Ray cluster of two nodes of this machine, one of which is killed.

    OMP_NUM_THREADS=1 python benchmarks/fleet/cluster.py

Two commands train the same 12 drawn categories, and one that is broken: on the cores of this machine, and on
the cluster while one of its nodes is lost. Both must give the same models. Fewer categories are trained in
both ways undisturbed, for what Ray costs. Then 20,000 images are evaluated again by one actor, and by two,
one of which is killed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from fleet.judge import draw as draw_images
from fleet.judge import memory_ends, write_bundle, written
from fleet.train_all import Plant, compare, summary

sys.path.append(str(common.ROOT))
from tests.ray_nodes import ray_nodes, raylet_pid

_LIBRARIES = ("ray", "torch", "timm", "onnx", "onnxruntime", "pyarrow")
_LIMIT = 7200.0
_TICK = os.sysconf("SC_CLK_TCK")


def stat(pid: int) -> list[str]:
    """The fields of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def below(pid: int) -> list[int]:
    """A process and all that it started."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            children.setdefault(int(stat(int(path.name))[1]), []).append(int(path.name))
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of processes and of those that they waited for."""
    total = 0
    for pid in pids:
        try:
            total += sum(map(int, stat(pid)[11:15]))
        except OSError:
            continue
    return total / _TICK


def named(cluster: Any, word: bytes) -> dict[int, int]:
    """Processes of the cluster's nodes with a word in their command line, with the process of their node."""
    found = {}
    for node in cluster.worker_nodes:
        raylet = raylet_pid(node)
        for pid in below(raylet):
            try:
                if word in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found[pid] = raylet
            except OSError:
                continue
    return found


def quick(plant: Plant) -> tuple[str, ...]:
    """Options with which a category takes little besides what is compared: no engine, a sum as the head."""
    path = plant.folder / "quick.toml"
    path.write_text('target = "onnx"\n')
    return ("--categories", str(path), "--head", "sum")


def train_here(plant: Plant, name: str) -> dict[str, Any]:
    """The command on this machine's cores."""
    plant.where = ("--jobs", "2", *quick(plant))
    return summary(*plant.run(name))


def train_there(plant: Plant, name: str, kill: bool) -> dict[str, Any]:
    """The command on two nodes with a core each, of which one is killed when a third is done."""
    with ray_nodes() as cluster:
        plant.where = ("--ray", cluster.address, *quick(plant))
        start = time.perf_counter()
        process = plant.start(name)
        killed: dict[str, Any] = {}
        while process.poll() is None and time.perf_counter() - start < _LIMIT:
            time.sleep(0.02)
            if kill and not killed:
                killed = lose_node(plant, name, cluster)
        assert process.stdout is not None
        report = json.loads(process.stdout.read())
        seconds = time.perf_counter() - start
    moved = {row: value["moves"] for row, value in report["categories"].items() if value.get("moves")}
    return {
        **summary(process.returncode, report, seconds),
        **({"killed": killed, "moved": moved} if kill else {}),
    }


def lose_node(plant: Plant, name: str, cluster: Any) -> dict[str, Any]:
    """Once a third is done, kill a node whose category is between its first checkpoint and its end."""
    if plant.states(name).get("exported", 0) < plant.categories // 3:
        return {}
    for category in plant.training(name):
        for pid, raylet in named(cluster, b"train_worker").items():
            if holds(pid, plant.runs(name) / f".{category}.lock"):
                os.kill(raylet, signal.SIGKILL)
                return {"category": category, "states": plant.states(name)}
    return {}


def holds(pid: int, lock: Path) -> bool:
    """Whether a process has a file open, as a training has the lock of its run."""
    try:
        return any(path.readlink() == lock for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def judge(model: Path, images: Path, into: Path, actors: int, kill: bool) -> dict[str, Any]:
    """Evaluate images again, with the memory of the actors over time; one is killed in the middle."""
    with ray_nodes((0, *[1] * actors)) as cluster:
        words = ["judge", "--model", model, "--source", images, "--into", into, "--ray", cluster.address]
        words += ["--backend", "cpu", "--json", "-q"]
        process = subprocess.Popen([*common.PROGRAM, *map(str, words)], stdout=subprocess.PIPE, text=True)
        memory: list[tuple[int, float, float]] = []
        cpu: dict[int, float] = {}
        killed = 0
        while process.poll() is None:
            time.sleep(0.2)
            parts = len(list(into.glob("*.parquet")))
            pids = list(named(cluster, b"ShardActor"))
            sizes = measured(pids, common.resident_mib)
            cpu |= {pid: cpu_seconds([pid]) for pid in pids}
            parent = measured([process.pid], common.resident_mib)
            if sizes and parent:
                memory.append((parts, parent[0], max(sizes)))
            if kill and not killed and parts >= 4 and len(pids) == actors:
                os.kill(pids[0], signal.SIGKILL)
                killed = 1
        assert process.stdout is not None
        said = json.loads(process.stdout.read())
    command, largest = memory_ends(memory, said["parts"])
    return {
        **written(said, into),
        "actors_cpu_seconds": round(sum(cpu.values()), 1),
        "killed": killed,
        "mib_command": command,
        "mib_largest_actor": largest,
    }


def measured(pids: list[int], figure: Callable[[int], float]) -> list[float]:
    """A figure of each process that still lives."""
    found = []
    for pid in pids:
        try:
            found.append(figure(pid))
        except OSError:
            continue
    return found


def main() -> None:
    """Train, kill, compare, evaluate images again, and write the result file."""
    parser = common.parser(__doc__, "fleet_cluster")
    parser.add_argument(
        "--categories", type=int, default=13, help="with the broken one (default: %(default)s)"
    )
    parser.add_argument(
        "--few", type=int, default=5, help="of the comparison of times, alike (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=60, help="of each training (default: %(default)s)")
    parser.add_argument("--files", type=int, default=5000, help="drawn files (default: %(default)s)")
    parser.add_argument("--names", type=int, default=20_000, help="names of them (default: %(default)s)")
    parser.add_argument("--part", choices=("train", "judge"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    machine = common.begin()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    # Parts that were measured before stay.
    figures: dict[str, Any] = {}
    if options.part and options.out.is_file():
        figures = json.loads(options.out.read_text())["figures"]

    def note(name: str, found: Any) -> None:
        figures[name] = found
        print(f"{name}: {found}", flush=True)

    try:
        if options.part != "judge":
            plant = Plant(folder, options.categories, (), options.steps)
            note("killed", train_there(plant, "killed", True))
            note("here", train_here(plant, "here"))
            note("equal", compare(plant, "here", "killed"))
            few = Plant(folder / "few", options.few, (), options.steps)
            note("few_cluster", train_there(few, "cluster", False))
            note("few_here", train_here(few, "here"))
            note("few_equal", compare(few, "here", "cluster"))
        if options.part != "train":
            bundle = write_bundle(folder / "models")
            draw_images(folder / "images", options.files, options.names)
            for name, actors, kill in (("judge_one", 1, False), ("judge_two", 2, True)):
                into = folder / f"{name}.parquet"
                note(name, judge(bundle.path, folder / "images", into, actors, kill))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    settings = {name: getattr(options, name) for name in ("categories", "few", "steps", "files", "names")}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
