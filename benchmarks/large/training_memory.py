"""Peak memory of a training on images of 20 megapixels, for sets of different sizes.

    python benchmarks/large/training_memory.py --work DIR [--images 300 1200]

The images are one drawn panel, moved and lit a little differently in each of 24 files; further images are
links to these, each of which the training reads. The steps are few: they do not change the
memory. The peak is the largest resident set of the process that trains, evaluation included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from common import PROGRAM, begin, measure_apart, parser, report_apart, write_result

from dmdd_edge.sample.panel import Panel

#: Rows and columns of the images: 20 megapixels.
SHAPE = (3648, 5472)
#: Held-out images of each set, so that their evaluation takes as long in each.
HELD_OUT = 8
#: Files that are drawn; the images beyond are links to them.
DRAWN = 24
_OPTIONS = ("--tile", "2048", "--coarse", "--score", "map", "--steps", "8", "--quiet")


def draw(folder: Path, count: int) -> None:
    """Write the images that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(count) if not (folder / f"{number:04d}.jpg").is_file()]
    if not missing:
        return
    image, _ = Panel(*SHAPE).draw(np.random.default_rng(0), np.random.default_rng(0), None)
    for number in missing:
        if number >= DRAWN:
            (folder / f"{number:04d}.jpg").hardlink_to(folder / f"{number % DRAWN:04d}.jpg")
            continue
        moved = np.roll(image, (number % 40, 3 * number % 70), (0, 1))
        lit = cv2.convertScaleAbs(moved, alpha=1 + 0.0002 * (number % 100))
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), lit, [cv2.IMWRITE_JPEG_QUALITY, 85])


def train(work: Path, count: int) -> dict[str, Any]:
    """Train on the first images of the folder in a separate process; its peak and its time."""
    folder = work / f"{count}"
    folder.mkdir(exist_ok=True)
    for path in sorted((work / "all").iterdir())[:count]:
        if not (folder / path.name).exists():
            (folder / path.name).hardlink_to(path)
    began = time.monotonic()
    subprocess.run(
        [*PROGRAM, "train", "--data", str(folder), "--run", f"memory-{count}", "--overwrite", *_OPTIONS,
         "--runs-dir", str(work / "runs"), "--holdout", f"{HELD_OUT / count:.6f}"],
        check=True,
    )  # fmt: skip
    facts = json.loads((work / "runs" / f"memory-{count}" / "run.json").read_text())
    return {
        "images": count,
        "held_out": len(facts["holdout"]),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "seconds": facts["seconds"],
    }


def main() -> None:
    """Measure each number of images in turn."""
    options = parser(__doc__, "large_training_memory")
    options.add_argument("--work", type=Path, required=True, help="folder for images and runs")
    options.add_argument("--images", type=int, nargs="+", default=[300, 1200], help="sizes of the sets")
    options.add_argument("--apart", action="store_true", help="measure one set, for the script itself")
    given = options.parse_args()
    if given.apart:
        report_apart(train(given.work, given.images[0]))
        return
    machine = begin()
    draw(given.work / "all", max(given.images))
    figures = []
    for count in given.images:
        arguments = ["--apart", "--work", str(given.work), "--images", str(count)]
        figures.append(measure_apart(__file__, arguments, f"{count} images"))
        print(figures[-1])
        settings = {"width": SHAPE[1], "height": SHAPE[0], "files": DRAWN, "options": " ".join(_OPTIONS)}
        write_result(given.out, machine, settings, {"sets": figures}, ["torch", "numpy", "opencv-python"])


if __name__ == "__main__":
    main()
