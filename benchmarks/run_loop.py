"""Measure the cost of the run loop: a folder against bare session calls, and Python's share of a frame.

1. Folder: `run_frames` over image files (decode, resize, graph, regions, JSON line to a file), against the
   graph called in a loop on prepared tensors with the options of a live run. Both are interleaved, the folder
   once after every block of bare calls; the ratio is folder rate over bare rate.
2. Overhead: one frame of the graph's size from memory through `Detector`, minus the session call in it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import common
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import list_images, read_image, resize
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile
from dmdd_edge.runtime.sources import SourceOptions, open_source

_LIBRARIES = ["onnxruntime", "numpy", "opencv-python"]


def bare_rate(live: Detector, tensors: list[NDArray[np.uint8]]) -> float:
    """Calls per second of the graph alone on prepared tensors, one at a time."""
    start = time.perf_counter()
    for tensor in tensors:
        live.backend.infer(tensor)
    return len(tensors) / (time.perf_counter() - start)


def folder_rate(
    detector: Detector, folder: str, every: int, out: Path
) -> tuple[float, dict[str, float], str]:
    """Frames per second of a run over a folder, the share of time of each part, and the slowest part."""
    sink = JsonLinesFile(out, FileOptions(existing="replace"))
    summary = run_frames(detector, open_source(folder, SourceOptions(every=every)), [sink])
    return summary.throughput, summary.busy, summary.slowest


def overhead(live: Detector, frames: list[NDArray[np.uint8]], rounds: int) -> list[float]:
    """Milliseconds per frame outside the session call."""
    inside = [0.0]
    infer = live.backend.infer

    def timed(images: NDArray[np.uint8]) -> Any:
        start = time.perf_counter()
        outputs = infer(images)
        inside[0] = time.perf_counter() - start
        return outputs

    live.backend.infer = timed  # type: ignore[method-assign]
    outside = []
    for _ in range(rounds):
        for frame in frames:
            start = time.perf_counter()
            live(frame)
            outside.append(1e3 * (time.perf_counter() - start - inside[0]))
    live.backend.infer = infer  # type: ignore[method-assign]
    return outside


def measure(options: Namespace) -> dict[str, Any]:
    """Measure everything."""
    paths = list_images(Path(options.source), recursive=True)[:: options.every]
    with (
        Detector.load(options.model, "cpu") as live,
        Detector.load(options.model, "cpu", options=BackendOptions(slots=2)) as folder,
        tempfile.TemporaryDirectory() as scratch,
    ):
        size = live.bundle.manifest.image_size
        frames = [resize(read_image(path), size) for path in paths]
        tensors = [np.ascontiguousarray(frame)[None] for frame in frames]
        bare_rate(live, tensors)  # warm-up
        rates: dict[str, list[float]] = {"bare": [], "folder": []}
        busy: dict[str, float] = {}
        slowest = ""
        for _ in range(options.rounds):
            rates["bare"].append(bare_rate(live, tensors))
            rate, busy, slowest = folder_rate(
                folder, options.source, options.every, Path(scratch) / "results.jsonl"
            )
            rates["folder"].append(rate)
        extra = overhead(live, frames, rounds=max(1, 400 // len(frames)))
        backends = {"live": live.backend.description, "folder": folder.backend.description}
    ratios = [folder / bare for bare, folder in zip(rates["bare"], rates["folder"], strict=True)]
    return {
        "images": len(paths),
        "back_ends": backends,
        "bare_calls_per_second": common.spread(rates["bare"]),
        "folder_frames_per_second": common.spread(rates["folder"]),
        "ratio": common.spread(ratios),
        "busy_of_the_last_run": busy,
        "slowest": slowest,
        "overhead_ms": {
            "median": round(statistics.median(extra), 3),
            "p90": round(float(np.percentile(extra, 90)), 3),
        },
    }


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "run_loop")
    parser.add_argument("--model", type=Path, required=True, help="bundle, or a category's folder of bundles")
    parser.add_argument("--source", required=True, help="folder of images")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.rounds < 1:
        sys.exit("--rounds must be at least 1.")
    machine = common.begin()
    figures = measure(options)
    bare, folder = figures["bare_calls_per_second"], figures["folder_frames_per_second"]
    print(f"bare session calls  {bare['median']:.1f} per second ({figures['back_ends']['live']})")
    print(f"folder, end to end  {folder['median']:.1f} per second ({figures['back_ends']['folder']})")
    ratio = figures["ratio"]
    print(f"ratio               {ratio['median']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})")
    print(f"overhead            {figures['overhead_ms']['median']:.3f} ms per frame outside the session call")
    settings = {"every": options.every, "rounds": options.rounds, "image_size_on_disk": "as the files are"}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
