"""What the drift watch costs a frame, and whether its memory is flat.

1. Measures: `frame_statistics` of a 256 x 256 image as it is, and without what the watch needs of it (the
   strongest edges, the center), in turn, for the same images.
2. Watch: a result of a passing part through the watch of a run, beside the same loop without it.
3. Memory: resident memory over two million results.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from dmdd_edge.data import quality
from dmdd_edge.runtime.drift.inspection import WatchedInspection
from dmdd_edge.runtime.result import FrameLook, Result
from upkeep.tiny_run import drawn, tiny_detector

_LIBRARIES = ("numpy", "opencv-python")
_SIDE, _BLOCKS = 256, 60
_MAP = np.zeros((1, 1), np.float32)


def measures() -> dict[str, Any]:
    """Microseconds of the statistics of an image, with and without what the watch needs."""
    images = [drawn(_SIDE, _SIDE, number) for number in range(8)]

    def block() -> float:
        start = time.process_time()
        for _ in range(5):
            for image in images:
                quality.frame_statistics(image)
        return 1e6 * (time.process_time() - start) / (5 * len(images))

    whole, without = [], []
    for _ in range(_BLOCKS):
        whole.append(block())
        with (
            mock.patch.object(quality, "_strongest", return_value=0.0),
            mock.patch.object(quality, "_center", return_value=(0.5, 0.5)),
        ):
            without.append(block())
    return {
        "with_us": common.spread(whole),
        "without_us": common.spread(without),
        "added_us": round(statistics.median(whole) - statistics.median(without), 1),
    }


def results(count: int, seed: int) -> list[Result]:
    """Results of passing parts."""
    rng = np.random.default_rng(seed)
    values: NDArray[np.float64] = rng.normal(size=(count, 5))
    made = []
    for index, (score, light, sharpness, x, y) in enumerate(values.tolist()):
        look = FrameLook(100 + light, 3 + 0.1 * sharpness, 0.5 + 0.01 * x, 0.5 + 0.01 * y)
        level = min(max(0.3 + 0.05 * score, 0.0), 0.49)
        made.append(Result("", index, "good", float(index), level, level, 0.5, False, _MAP, look=look))
    return made


def watched(folder: Path, frames: int) -> dict[str, Any]:
    """Microseconds of the watch per result, and resident memory on the way."""
    detector = tiny_detector(folder)
    watch = WatchedInspection("", "", lambda: detector, 1_000_000, "")
    once = results(20_000, 1)
    taken, empty, resident = [], [], []
    for block in range(frames // len(once)):
        start = time.process_time()
        for result in once:
            watch.take(result)
        middle = time.process_time()
        for result in once:
            len(result.source)
        taken.append(1e6 * (middle - start) / len(once))
        empty.append(1e6 * (time.process_time() - middle) / len(once))
        if block % 5 == 4:
            resident.append(round(common.resident_mib(), 1))
    detector.close()
    return {
        "watch_us": common.spread(taken),
        "empty_loop_us": common.spread(empty),
        "frames": frames,
        "resident_mib": [resident[0], resident[len(resident) // 2], resident[-1]],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = common.parser(__doc__, "drift_cost")
    parser.add_argument("--frames", type=int, default=2_000_000, help="results that memory is watched over")
    options = parser.parse_args(arguments)
    machine = common.begin()
    figures = {"measures": measures()}
    with TemporaryDirectory() as scratch:
        figures["watch"] = watched(Path(scratch), options.frames)
    added = figures["measures"]["added_us"] + figures["watch"]["watch_us"]["median"]
    figures["added_ms_per_frame"] = round(added / 1e3, 4)
    print(figures)
    common.write_result(options.out, machine, {"side": _SIDE}, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
