"""Run half an hour with a camera faster than the graph: memory, age of results, accounting of frames.

`dmdd-edge run --source replay:VIDEO` plays a drawn video at a multiple of the graph's rate as if it were a
camera. The resident memory of the process is read from /proc every few seconds; growth is the median of the
last tenth of the run minus the median of the tenth after the warm-up.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import common
import cv2
import numpy as np

from dmdd_edge.runtime.detector import Detector

_LIBRARIES = ["onnxruntime", "numpy", "opencv-python"]
_WARM_UP = 120.0


def draw_video(path: Path, size: int) -> None:
    """Write a short clip of moving noise, MJPG."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (size, size, 3), dtype=np.uint8), (0, 0), 5)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (size, size))
    for shift in range(60):
        writer.write(np.roll(image, 2 * shift, axis=1))
    writer.release()


def graph_ms(model: Path) -> float:
    """Median milliseconds per frame of the detector."""
    with Detector.load(model, "cpu") as detector:
        size = detector.bundle.manifest.image_size
        frame = np.full((size, size, 3), 128, np.uint8)
        times = []
        for _ in range(60):
            start = time.perf_counter()
            detector(frame)
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def measure(options: Namespace) -> dict[str, Any]:
    """Run the program and sample its memory."""
    alone = graph_ms(options.model)
    fps = options.times * 1000 / alone
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "clip.avi"
        draw_video(video, 320)
        command = [
            *(*common.PROGRAM, "run", "--json"),
            *("--model", str(options.model), "--source", f"replay:{video}?fps={fps:.1f}&loop=1"),
            *("--jsonl", f"{folder}/results.jsonl", "--rotate-size", "5MB", "--keep", "20MB"),
            *("--duration", str(60 * options.minutes), "--backend", "cpu"),
        ]
        memory: list[tuple[float, float]] = []
        indices: list[int] = []
        dropped, summary = 0, {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ended = threading.Event()

            def watch() -> None:
                begin = time.monotonic()
                while not ended.wait(2.0):
                    memory.append((time.monotonic() - begin, common.resident_mib(process.pid)))

            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            for line in process.stdout:
                found = json.loads(line)
                if found["type"] == "summary":
                    summary = found
                elif found["type"] == "result":
                    if indices and found["index"] != indices[-1] + 1:
                        sys.exit(f"Result {indices[-1]} is followed by result {found['index']}.")
                    indices[:] = [found["index"]]
                    dropped += found["dropped"]
            ended.set()
            watcher.join()
        if process.returncode != 0:
            sys.exit(f"The run ended with exit code {process.returncode}.")
    warm = min(_WARM_UP, 60 * options.minutes / 4)
    after = [mib for at, mib in memory if at > warm]
    tenth = max(1, len(after) // 10)
    growth = statistics.median(after[-tenth:]) - statistics.median(after[:tenth])
    return {
        "graph_ms": round(alone, 2),
        "camera_fps": round(fps, 1),
        "minutes": options.minutes,
        "frames": summary["frames"],
        "dropped": summary["dropped"],
        "dropped_named_by_results": dropped,
        "arrived_per_second": round((summary["frames"] + summary["dropped"]) / summary["seconds"], 1),
        "age_ms": summary["age_ms"],
        "latency_ms": summary["latency_ms"],
        "resident_mib": {"start": round(after[0], 1), "end": round(after[-1], 1), "growth": round(growth, 2)},
    }


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "run_memory")
    parser.add_argument("--model", type=Path, required=True, help="bundle, or a category's folder of bundles")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--times", type=float, default=5.0, help="rate of the camera, as a multiple of the graph's"
    )
    options = parser.parse_args()
    machine = common.begin()
    figures = measure(options)
    print(json.dumps(figures, indent=2))
    settings = {"minutes": options.minutes, "times": options.times}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
