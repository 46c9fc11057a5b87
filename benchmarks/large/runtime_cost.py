"""What tiles cost at run time, on the CPU: time per image against the number of tiles, and memory over a run.

1. Cost: images whose views have 1 to 100 tiles, from the decoded frame to the result, in one run, the sizes
   interleaved so that what else the machine does meets all of them. Per size the median time of each step,
   and the time per tile as a ratio to that of one tile alone.
2. Batches: the time per tile for several sizes of a batch, interleaved; what `--tile-batch` defaults to.
3. Memory: `--images` images of 20 megapixels through the run loop, read from files, with the archive off;
   resident memory is read after each image. The growth is the median of the last tenth minus the median of
   the second tenth.

`--model` names any bundle exported without tiles: its manifest is used with the tiling of each size. For the
memory alone a graph of few operations will do (`--graph tiny`), since the graph's own work does not depend on
how many images there are.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.runtime.backends import Backend
from dmdd_edge.runtime.backends.selection import select
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sources import open_source
from dmdd_edge.runtime.summary import Summary
from dmdd_edge.runtime.tile_queue import TileQueue

_LIBRARIES = ["onnxruntime", "numpy", "opencv-python-headless"]
_STEPS = ("prepare", "infer", "finish", "whole")


def frame_of(rows: int, columns: int, seed: int = 0) -> NDArray[np.uint8]:
    """A gray image with soft noise, uint8 rows x columns x 3."""
    random = np.random.default_rng(seed)
    coarse = random.integers(90, 170, (rows // 16 + 1, columns // 16 + 1, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)


def detector_of(bundle: Bundle, backend: Backend, preprocess: Preprocess, batch: int | None) -> Detector:
    """A detector on an open backend, with another preparation than that of the bundle."""
    manifest = bundle.manifest.model_copy(update={"preprocess": preprocess, "frame_limits": None})
    limits = EffectiveThreshold(0.999, 0.999, "option")
    return Detector(Bundle(bundle.path, manifest), backend, limits, tiles=TileQueue(backend, batch))


def tiling_of(tile: int) -> Preprocess:
    """Tiles of a size with a quarter of overlap."""
    return Preprocess(tiling=Tiling(tile=tile, overlap=tile // 4))


def judge(detector: Detector, image: NDArray[np.uint8]) -> dict[str, float]:
    """Milliseconds of each step for one image."""
    start = time.perf_counter()
    prepared = detector.prepare(Frame(image))
    ready = time.perf_counter()
    inferred = detector.collect(detector.start([prepared]))
    joined = time.perf_counter()
    detector.decide(inferred)
    ended = time.perf_counter()
    return {
        "prepare": 1e3 * (ready - start),
        "infer": 1e3 * (joined - ready),
        "finish": 1e3 * (ended - joined),
        "whole": 1e3 * (ended - start),
    }


def cost(bundle: Bundle, backend: Backend, sides: list[int], rounds: int) -> list[dict[str, Any]]:
    """The steps of images of several sizes, interleaved."""
    size = bundle.manifest.image_size
    step = size - size // 4
    images = {side: frame_of(*(size + (side - 1) * step,) * 2, side) for side in sides}
    detector = detector_of(bundle, backend, tiling_of(size), None)
    taken: dict[int, list[dict[str, float]]] = {side: [] for side in sides}
    for round_number in range(-1, rounds):  # the first warms up
        for side, image in images.items():
            times = judge(detector, image)
            if round_number >= 0:
                taken[side].append(times)
    rows: list[dict[str, Any]] = []
    for side in sides:
        steps = {name: statistics.median(times[name] for times in taken[side]) for name in _STEPS}
        pixels = images[side].shape[0] * images[side].shape[1]
        row: dict[str, Any] = {"tiles": side * side, "megapixels": round(pixels / 1e6, 2)}
        row |= {f"{name}_ms": round(value, 2) for name, value in steps.items()}
        rows.append({**row, "ms_per_tile": round(steps["whole"] / (side * side), 3)})
    for row in rows:
        row["per_tile_to_one"] = round(row["ms_per_tile"] / rows[0]["ms_per_tile"], 3)
        print(row, flush=True)
    return rows


def batches(bundle: Bundle, backend: Backend, sizes: list[int], rounds: int) -> list[dict[str, Any]]:
    """The time per tile for sizes of a batch, interleaved, on an image of 49 tiles."""
    size = bundle.manifest.image_size
    image = frame_of(*(size + 6 * (size - size // 4),) * 2)
    detectors = {count: detector_of(bundle, backend, tiling_of(size), count) for count in sizes}
    taken: dict[int, list[float]] = {count: [] for count in sizes}
    for round_number in range(-1, rounds):
        for count, detector in detectors.items():
            times = judge(detector, image)
            if round_number >= 0:
                taken[count].append(times["infer"] / 49)
    rows = [{"batch": count, "ms_per_tile": common.spread(values)} for count, values in taken.items()]
    for row in rows:
        print(row, flush=True)
    return rows


class _Memory:
    """A sink that reads the process's memory after each result."""

    def __init__(self) -> None:
        self.mib: list[float] = []
        self.statuses: set[str] = set()
        self._began = time.monotonic()

    def result(self, frame: Frame, result: Result) -> None:
        self.mib.append(common.resident_mib())
        self.statuses.add(result.status)
        if len(self.mib) % 25 == 0:
            seconds = (time.monotonic() - self._began) / len(self.mib)
            print(f"{len(self.mib)} images, {self.mib[-1]:.0f} MiB, {seconds:.2f} s an image", flush=True)

    def broken(self, frame: BrokenFrame) -> None:
        raise SystemExit(frame.error.message)

    def summary(self, summary: Summary) -> None:
        """Not needed."""

    def close(self) -> None:
        """Not needed."""


class Cheap:
    """A backend of one multiplication, for the memory of what surrounds the graph; its map is blue / 1000."""

    name, description, precision, slots = "cpu", "no graph", "fp32", 2

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Backend``."""
        maps = images[..., 0] * np.float32(1e-3)
        return maps, maps.max(axis=(1, 2))

    submit = infer

    def collect(
        self, ticket: tuple[NDArray[np.float32], NDArray[np.float32]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``OverlappingBackend``; nothing is left to do."""
        return ticket

    def close(self) -> None:
        """Nothing is open."""


def memory(bundle: Bundle, backend: Backend, options: Namespace) -> dict[str, Any]:
    """Resident memory while many large images go through the run loop."""
    size = bundle.manifest.image_size
    tile = options.tile or size
    detector = detector_of(bundle, backend, tiling_of(tile), None)
    rows, columns = options.rows, options.columns
    tiles = detector.bundle.manifest.preprocess.geometry((rows, columns), size).layout.count
    with tempfile.TemporaryDirectory() as folder:
        files = list(_links(Path(folder), rows, columns, options.images))
        sink, began = _Memory(), time.perf_counter()
        until = began + 60 * options.minutes
        stop = lambda: time.perf_counter() > until  # noqa: E731
        run_frames(detector, open_source(str(files[0].parent)), [sink], stop=stop)
        seconds = time.perf_counter() - began
    tenth = max(len(sink.mib) // 10, 1)
    early, late = (statistics.median(part) for part in (sink.mib[tenth : 2 * tenth], sink.mib[-tenth:]))
    return {
        "images": len(sink.mib),
        "megapixels": round(rows * columns / 1e6, 2),
        "tile": tile,
        "tiles_per_image": tiles,
        "graph": options.graph,
        "seconds_per_image": round(seconds / len(sink.mib), 3),
        "mib_second_tenth": round(early, 1),
        "mib_last_tenth": round(late, 1),
        "growth_mib": round(late - early, 1),
        "peak_mib": round(common.resident_mib(name="VmHWM"), 1),
        "statuses": sorted(sink.statuses),
    }


def _links(folder: Path, rows: int, columns: int, count: int) -> Iterator[Path]:
    """Files of images: four that differ, under as many names as images are wanted."""
    place = folder / "images"
    place.mkdir()
    for number in range(count):
        path = place / f"{number:05d}.jpg"
        if number < 4:
            cv2.imwrite(str(path), frame_of(rows, columns, number))
        else:
            path.hardlink_to(place / f"{number % 4:05d}.jpg")
        yield path


def main() -> None:
    """Measure what the options name, and write the result."""
    made = common.parser(__doc__, "large_runtime")
    made.add_argument("--model", type=Path, required=True, help="a version's folder of an untiled bundle")
    made.add_argument("--parts", nargs="+", default=["cost", "batches", "memory"])
    made.add_argument("--sides", type=int, nargs="+", default=[1, 2, 4, 7, 10], help="tiles along a side")
    made.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--images", type=int, default=1000)
    made.add_argument("--minutes", type=float, default=60, help="after which the images of the memory end")
    made.add_argument("--rows", type=int, default=4000)
    made.add_argument("--columns", type=int, default=5000)
    made.add_argument("--tile", type=int, help="side in pixels, for the memory (default: the network's)")
    made.add_argument("--graph", choices=["bundle", "tiny"], default="bundle", help="for the memory")
    options = made.parse_args()
    machine = common.begin()
    bundle = Bundle.load(options.model)
    # Parts that are not measured now stay as they are in the file.
    figures: dict[str, Any] = json.loads(options.out.read_text())["figures"] if options.out.exists() else {}
    if {"cost", "batches"} & set(options.parts):
        backend = select(bundle, "cpu", BackendOptions(slots=2)).backend
        if "cost" in options.parts:
            figures["cost"] = cost(bundle, backend, options.sides, options.rounds)
        if "batches" in options.parts:
            figures["batches"] = batches(bundle, backend, options.batches, options.rounds)
        backend.close()
    if "memory" in options.parts:
        tiny = options.graph == "tiny"
        measured: Backend = Cheap()
        if not tiny:
            measured = select(bundle, "cpu", BackendOptions(slots=2)).backend
        figures["memory"] = memory(bundle, measured, options)
        print(figures["memory"], flush=True)
    settings = {"rounds": options.rounds, "image_size": bundle.manifest.image_size}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
