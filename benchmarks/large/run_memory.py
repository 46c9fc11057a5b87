"""Peak memory of `dmdd-edge run` on images of 100 megapixels, by the kind of file and the size of a tile.

    python benchmarks/large/run_memory.py --work DIR [--rows 10000 --columns 10000]

The graph has four operations, so that the figures are of what surrounds it: file, image, view, tiles, joined
map, regions. The images are files of soft noise. Each case is one run of the command; its peak is the largest
resident set of that process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from blue_bundle import write_blue_bundle
from common import PROGRAM, begin, parser, write_result

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling

#: Side of the network's input.
SIZE = 256
#: Sides of a tile: the view has half of the image's sides, or all of them.
TILES = (512, 256)
KINDS = ("JPEG", "PNG of 16 bits")
_LIBRARIES = ["onnxruntime", "numpy", "opencv-python"]


def write_bundle(models: Path, tile: int) -> None:
    """A bundle of tiles of this side."""
    tiling = Tiling(tile=tile, overlap=tile // 4, margin=tile // 16, coarse=True)
    write_blue_bundle(models, f"tiles{tile}", SIZE, [0.85, 0.9], preprocess=Preprocess(tiling=tiling))


def write_images(folder: Path, rows: int, columns: int, kind: str) -> Path:
    """Two files of one image; its folder."""
    place = folder / kind.split()[0].lower()
    place.mkdir(exist_ok=True)
    suffix = ".jpg" if kind == "JPEG" else ".png"
    first, second = place / f"0{suffix}", place / f"1{suffix}"
    if not second.exists():
        coarse = np.random.default_rng(0).integers(90, 170, (rows // 16 + 1, columns // 16 + 1, 3), np.uint8)
        image: Any = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR)
        if suffix == ".png":
            image = image.astype(np.uint16) << 8
        cv2.imwrite(str(first), image, [cv2.IMWRITE_PNG_COMPRESSION, 1] if suffix == ".png" else [])
        second.hardlink_to(first)
    return place


def peak_mib(work: Path, source: Path, tile: int) -> float:
    """The largest resident set of one run of the command, in MiB."""
    running = subprocess.Popen(
        [*PROGRAM, "run", "--category", f"tiles{tile}", "--models-dir", str(work / "models"), "--source",
         str(source), "--jsonl", str(work / "results.jsonl")],
    )  # fmt: skip
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode != 0:
        raise SystemExit(f"The run on {source} ended with {running.returncode}.")
    return used.ru_maxrss / 1024


def main() -> None:
    """Measure each case."""
    made = parser(__doc__, "large_run_memory")
    made.add_argument("--work", type=Path, required=True, help="folder for images and bundles")
    made.add_argument("--rows", type=int, default=10000)
    made.add_argument("--columns", type=int, default=10000)
    options = made.parse_args()
    machine = begin()
    options.work.mkdir(exist_ok=True)
    figures = []
    for kind in KINDS:
        source = write_images(options.work, options.rows, options.columns, kind)
        for tile in TILES:
            if not (options.work / "models" / f"tiles{tile}").exists():
                write_bundle(options.work / "models", tile)
            (options.work / "results.jsonl").unlink(missing_ok=True)
            figures.append(
                {"kind": kind, "tile": tile, "peak_mib": round(peak_mib(options.work, source, tile))}
            )
            print(figures[-1], flush=True)
            settings = {"rows": options.rows, "columns": options.columns, "image_size": SIZE}
            write_result(options.out, machine, settings, {"cases": figures}, _LIBRARIES)


if __name__ == "__main__":
    main()
