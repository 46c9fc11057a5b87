"""Archived images evaluated again: speed and memory beside the bare loop, a killed process, a million names.

    python benchmarks/fleet/judge.py

The images are drawn and small, and the graph is a few operations, so that the command's own cost shows: with
a real bundle the graph is nearly all of the time. Each measurement is a process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
from blue_bundle import write_blue_bundle

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.bulk.folder import ResultFolder
from dmdd_edge.runtime.bulk.images import open_images
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.options.backend import BackendOptions

_LIBRARIES = ("onnxruntime", "pyarrow", "numpy", "opencv-python")
_SIDE = 64


def write_bundle(models: Path) -> Bundle:
    """A bundle whose graph is a few operations."""
    return write_blue_bundle(models, "plate", _SIDE)


def draw(folder: Path, files: int, names: int) -> None:
    """Drawn plates with noise, each under several names."""
    generator = np.random.default_rng(1)
    plate = np.full((_SIDE, _SIDE, 3), 60, np.uint8)
    for number in range(names):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < files:
            image = plate + generator.integers(0, 20, plate.shape, np.uint8)
            if number % 10 == 0:
                image[20:30, 20:30, 0] = 220
            cv2.imwrite(str(path), image)
        else:
            first = number % files
            os.link(folder / f"{first // 1000:03d}" / f"{first:06d}.png", path)


def bare(model: str, folder: str) -> None:
    """The bare loop: a detector with one thread, called with one path after the other."""
    cv2.setNumThreads(1)
    paths = sorted(Path(folder).rglob("*.png"))
    with Detector.load(model, "cpu", options=BackendOptions(threads=1)) as detector:
        start, cpu = time.perf_counter(), time.process_time()
        found = Counter(str(detector(path).status) for path in paths)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    common.report_apart({"images": len(paths), "seconds": seconds, "cpu_seconds": cpu, **found})


def listing(folder: str, into: str) -> None:
    """List names, write the list, read it as shards."""
    start, cpu, before = time.perf_counter(), time.process_time(), common.resident_mib()
    results = ResultFolder(Path(into))
    results.prepare(resume=False, overwrite=False)
    count = results.write_list(open_images(folder).names(Counter()))
    listed = time.process_time() - cpu
    shared = sum(len(shard.names) for shard in results.missing(count, 2))
    common.report_apart(
        {
            "names": count,
            "shared_out": shared,
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
            "of_them_listing": listed,
            "mib_before": before,
            "mib_peak": common.resident_mib(name="VmHWM"),
        }
    )


def written(said: dict[str, Any], into: Path) -> dict[str, Any]:
    """What a command said, and the rows that it wrote.

    Args:
        said: its report.
        into: its folder of Parquet files.
    """
    import pyarrow.parquet as pq

    sources: Counter[str] = Counter()
    for path in into.glob("*.parquet"):
        sources.update(pq.ParquetFile(path).read(["source"])["source"].to_pylist())
    return {
        **{name: said[name] for name in ("images", "seconds", "images_per_second", "jobs", "parts")},
        **{name: said[name] for name in ("good", "anomalous", "error", "lost_processes", "complete")},
        "rows": sum(sources.values()),
        "paths_once": sum(count == 1 for count in sources.values()),
    }


def memory_ends(memory: list[tuple[int, float, float]], parts: int) -> tuple[list[float], list[float]]:
    """MiB after the first part files and at the last ones: of the command, and of its largest member.

    Args:
        memory: over time: part files, MiB of the command, MiB of the largest member.
        parts: part files in all.
    """
    early = [item for item in memory if 1 <= item[0] <= 3] or memory
    late = [item for item in memory if item[0] >= parts - 3] or memory
    command = [round(early[0][1], 1), round(late[-1][1], 1)]
    return command, [round(max(item[2] for item in group), 1) for group in (early, late)]


def run(model: Path, images: Path, into: Path, jobs: int, kill: bool) -> dict[str, Any]:
    """The command, its memory over time, and its rows; a process is killed in the middle where wanted."""
    words = ["judge", "--model", model, "--source", images, "--into", into, "--jobs", jobs, "--json", "-q"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([*common.PROGRAM, *map(str, words)], stdout=subprocess.PIPE, text=True)
    memory: list[tuple[int, float, float]] = []
    killed = 0
    while process.poll() is None:
        time.sleep(0.2)
        parts = len(list(into.glob("*.parquet")))
        workers = workers_of(process.pid)
        try:
            sizes = [common.resident_mib(worker) for worker in workers]
            if sizes:  # without processes it only counts
                memory.append((parts, common.resident_mib(process.pid), max(sizes)))
        except OSError:
            continue  # one of them ended just now
        if kill and not killed and parts >= 4 and len(workers) == jobs:
            os.kill(workers[0], signal.SIGKILL)
            killed = 1
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert process.stdout is not None
    said = json.loads(process.stdout.read())
    parent, largest = memory_ends(memory, said["parts"])
    return {
        **written(said, into),
        "cpu_seconds": after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime,
        "killed": killed,
        "mib_parent": parent,
        "mib_largest_process": largest,
        "bytes_per_row": sum(path.stat().st_size for path in into.glob("*.parquet")) / said["images"],
    }


def workers_of(pid: int) -> list[int]:
    """The processes that work for a run of the command."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [
            int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
    except OSError:
        return []


def touch(folder: Path, names: int) -> None:
    """Empty files with the names of images."""
    for first in range(0, names, 10_000):
        below = folder / f"{first:07d}"
        below.mkdir(parents=True)
        for number in range(first, min(first + 10_000, names)):
            (below / f"{number:07d}.png").touch()


def main() -> None:
    """Measure and write the result file."""
    parser = common.parser(__doc__, "judge")
    parser.add_argument("--files", type=int, default=5000, help="drawn files (default: %(default)s)")
    parser.add_argument("--names", type=int, default=20_000, help="names of them (default: %(default)s)")
    parser.add_argument("--listed", type=int, default=1_000_000, help="names listed (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is not None:
        (bare if options.part[0] == "bare" else listing)(*options.part[1:])
        return
    machine = common.begin()
    figures: dict[str, Any] = {}

    def apart(part: str, *arguments: Path) -> dict[str, Any]:
        return common.measure_apart(__file__, ["--part", part, *map(str, arguments)], part)

    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        bundle = write_bundle(folder / "models")
        draw(folder / "images", options.files, options.names)
        figures["bare"] = apart("bare", bundle.path, folder / "images")
        print("bare", figures["bare"], flush=True)
        for key, jobs, kill in (("one", 1, False), ("two", 2, True)):
            figures[key] = run(bundle.path, folder / "images", folder / f"{key}.parquet", jobs, kill)
            print(key, figures[key], flush=True)
        touch(folder / "listed", options.listed)
        figures["listing"] = apart("listing", folder / "listed", folder / "listed.parquet")
        print("listing", figures["listing"])
    settings = {"files": options.files, "names": options.names, "side": _SIDE}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
