"""What an archive costs a run, whether its memory is flat, its sample random, its records whole after a kill.

1. Cost: a run of a tiny graph over 1280 x 1024 images from memory, at 30 and 200 frames/s. The archive is on
   for two seconds and off for two, in turn: the time that the run's thread of results spends in it, the
   latency from grab to result, and the time of the processor, most of which is the thread that encodes.
2. Memory: 50,000 frames of 320 x 256 at 400 frames/s into an archive of 20 MB, which deletes.
3. Sample: how far the number of drawn frames is from the stated rate, in standard deviations.
4. Kill: the writer is killed 20 times with SIGKILL; every record is read and compared with what was kept.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from dmdd_edge.runtime.archive.choice import Chooser
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.sink import ArchiveSink
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.options.archive import ArchiveOptions
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary
from upkeep.tiny_run import FromMemory, drawn, tiny_detector

_LIBRARIES = ("onnxruntime", "numpy", "opencv-python")
RATE, ANOMALOUS = 0.01, 0.005
WIDTH, HEIGHT = 1280, 1024


class Timed:
    """A sink that passes blocks of frames to an archive and measures them beside blocks without it.

    Args:
        archive: what is measured.
        block: frames of a block; the first quarter of each is not measured.

    Attributes:
        inside: seconds that a frame took here, without and with the archive.
        ages: seconds from the grab of a frame to its result, without and with the archive.
        processor: seconds of the process per frame of a block, without and with the archive.
    """

    def __init__(self, archive: ArchiveSink, block: int) -> None:
        self.archive, self._block = archive, block
        self.inside: tuple[list[float], list[float]] = ([], [])
        self.ages: tuple[list[float], list[float]] = ([], [])
        self.processor: tuple[list[float], list[float]] = ([], [])
        self._since = time.process_time()

    def result(self, frame: Frame, result: Result) -> None:
        """Measure a frame."""
        number, place = divmod(frame.index, self._block)
        if place == 0:
            now = time.process_time()
            if number:
                self.processor[(number - 1) % 2].append((now - self._since) / self._block)
            self._since = now
        start = time.perf_counter()
        if number % 2:
            self.archive.result(frame, result)
        if 4 * place >= self._block:
            self.inside[number % 2].append(time.perf_counter() - start)
            self.ages[number % 2].append(time.time() - frame.time)

    def broken(self, frame: BrokenFrame) -> None:
        """Nothing is broken here."""

    def summary(self, summary: Summary) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Close the archive."""
        self.archive.close()


def order_of(frames: int, images: int, seed: int) -> list[int]:
    """The image of each frame; the last one is anomalous, and rare."""
    rng = np.random.default_rng(seed)
    order = rng.integers(0, images - 1, frames)
    order[rng.random(frames) < ANOMALOUS] = images - 1
    return [int(number) for number in order]


def archive_in(folder: Path, size: int, seed: int) -> ArchiveSink:
    """An archive for a live run."""
    options = ArchiveOptions(archive=folder, archive_size=size, archive_sample=RATE)
    return ArchiveSink(options, generator=np.random.default_rng(seed))


def cost(detector: Detector, fps: float, seconds: float, scratch: Path) -> dict[str, Any]:
    """A run with an archive that is on and off in turn."""
    images = [drawn(WIDTH, HEIGHT, number) for number in range(6)] + [drawn(WIDTH, HEIGHT, 9, anomalous=True)]
    sink = Timed(archive_in(scratch / f"{fps:g}", 2_000_000_000, 1), int(2 * fps))
    run_frames(detector, FromMemory(images, order_of(int(fps * seconds), len(images), 1), fps), [sink])
    without, with_it = (np.asarray(values) for values in sink.inside)
    ages = {
        name: [round(1e3 * float(np.quantile(values, q)), 3) for values in sink.ages]
        for name, q in (("p50", 0.5), ("p99", 0.99))
    }
    processor = [1e3 * statistics.median(values) for values in sink.processor]
    return {
        "fps": fps,
        "frames_measured": len(with_it),
        "kept": sum(sink.archive.kept.values()),
        "lost": sink.archive.lost,
        "added_us_mean": round(1e6 * float(with_it.mean() - without.mean()), 2),
        "added_us_median": round(1e6 * float(np.median(with_it) - np.median(without)), 2),
        "added_us_p99": round(1e6 * float(np.quantile(with_it, 0.99)), 1),
        "latency_ms_without_and_with": ages,
        "latency_ratio": {name: round(pair[1] / pair[0], 3) for name, pair in ages.items()},
        "processor_ms_per_frame_without_and_with": [round(value, 3) for value in processor],
    }


def memory(detector: Detector, frames: int, scratch: Path) -> dict[str, Any]:
    """Resident memory over many frames into an archive that is full from early on."""
    images = [drawn(320, 256, number) for number in range(6)] + [drawn(320, 256, 9, anomalous=True)]
    archive = archive_in(scratch / "memory", 20_000_000, 1)
    taken: list[float] = []

    class Watch:
        def result(self, frame: Frame, result: Result) -> None:
            if frame.index % (frames // 50) == 0:
                taken.append(common.resident_mib())

        def broken(self, frame: BrokenFrame) -> None:
            """Nothing is broken here."""

        def summary(self, summary: Summary) -> None:
            """Nothing to do."""

        def close(self) -> None:
            """Nothing to release."""

    run_frames(detector, FromMemory(images, order_of(frames, len(images), 1), 400), [archive, Watch()])
    counts = list(ArchiveFolder(archive.path).counts())
    sums = {
        name: sum(getattr(line, name) for line in counts)
        for name in ("good", "anomalous", "sampled", "lost", "sampled_lost", "deleted", "sampled_deleted")
    }
    left = len(list(ArchiveFolder(archive.path).records()))
    size = sum(path.stat().st_size for path in (archive.path / "kept").rglob("*") if path.is_file())
    start = statistics.median(taken[10:15])
    return {
        "frames": frames,
        **sums,
        "records_left": left,
        "kept_and_accounted": sum(archive.kept.values()) == left + sums["deleted"],
        "size_mb": round(size / 1e6, 2),
        "limit_mb": 20.0,
        "resident_mib_after_a_fifth": round(start, 1),
        "resident_mib_at_the_end": round(statistics.median(taken[-5:]), 1),
        "growth_mib": round(statistics.median(taken[-5:]) - start, 2),
    }


def sample(seeds: int, draws: int) -> dict[str, Any]:
    """How far the drawn numbers are from the rate, for several seeds."""
    result = Result("", 0, "good", 0.0, 0.1, 0.1, 0.5, False, np.zeros((1, 1), np.float32))
    spread = math.sqrt(draws * RATE * (1 - RATE))
    distances = []
    for seed in range(seeds):
        chooser = Chooser(RATE, 0.05, np.random.default_rng(seed))
        drawn_frames = sum(chooser.choose(result) is not None for _ in range(draws))
        distances.append((drawn_frames - draws * RATE) / spread)
    return {
        "rate": RATE,
        "seeds": seeds,
        "draws": draws,
        "deviations_mean": round(statistics.mean(distances), 3),
        "deviations_spread": round(statistics.pstdev(distances), 3),
        "deviations_largest": round(max(map(abs, distances)), 3),
        "within_two": sum(abs(distance) <= 2 for distance in distances),
    }


def killed(kills: int, scratch: Path) -> dict[str, Any]:
    """Kill a writer again and again, and read everything that it left."""
    folder = scratch / "killed"
    rng = np.random.default_rng(5)
    images = [drawn(640, 512, number) for number in range(7)]
    records = strays = damaged = 0
    for _ in range(kills):
        with subprocess.Popen(
            [sys.executable, __file__, "--victim", str(folder)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(float(rng.uniform(0.05, 0.6)))
            writer.kill()
        archive = ArchiveFolder(folder)
        files = [path for path in (folder / "kept").rglob("*") if path.is_file()]
        named = [path for path in files if path.suffix == ".json" and not path.name.startswith(".")]
        found = list(archive.records())
        whole = 0
        for record in found:
            same = np.array_equal(archive.image(record), images[record.index % len(images)])
            whole += same and archive.map(record) is not None
        damaged += len(named) - whole
        records += whole
        archive_in(folder, 30_000_000, 0).close()
        strays += len(files) - sum(path.is_file() for path in files)
        left = sum(path.is_file() for path in (folder / "kept").rglob("*"))
        damaged += left != 3 * len(found)
    return {"kills": kills, "records_read": records, "damaged": damaged, "strays_removed": strays}


def victim(folder: Path) -> None:
    """Keep images until killed."""
    images = [drawn(640, 512, number) for number in range(7)]
    options = ArchiveOptions(archive=folder, archive_size=30_000_000, archive_sample=0.5)
    sink = ArchiveSink(options, live=False)
    anomaly_map = np.zeros((64, 64), np.float32)
    index = 0
    while True:
        score, status = (0.9, "anomalous") if index % 2 else (0.1, "good")
        result = Result("", index, status, time.time(), score, score, 0.5, score > 0.5, anomaly_map)  # type: ignore[arg-type]
        sink.result(Frame(images[index % len(images)], "", "", index, time.time()), result)
        index += 1
        if index == 10:
            print("started", flush=True)


def main() -> None:
    """Measure and write the result file."""
    parser = common.parser(__doc__, "archive_cost")
    parser.add_argument("--seconds", type=float, default=48, help="of each rate (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=50_000, help="of the memory (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--victim", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.victim is not None:
        victim(options.victim)
    machine = common.begin()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        with tiny_detector(scratch / "models") as detector:
            costs = [cost(detector, fps, options.seconds, scratch) for fps in (30, 200)]
            print(*costs, sep="\n")
            figures = {"cost": costs, "memory": memory(detector, options.frames, scratch)}
        print(figures["memory"])
        figures |= {"sample": sample(40, 50_000), "killed": killed(options.kills, scratch)}
        print(figures["sample"], figures["killed"], sep="\n")
    settings = {
        "image": [WIDTH, HEIGHT],
        "sample_rate": RATE,
        "anomalous_share": ANOMALOUS,
        "seconds": options.seconds,
    }
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
