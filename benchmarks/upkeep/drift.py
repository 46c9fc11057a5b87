"""Simulated months: how soon the drift watch warns of a change, and how often of none.

    python benchmarks/upkeep/drift.py measure MODEL IMAGES CACHE.npz [COUNT]
    python benchmarks/upkeep/drift.py simulate RESULT.json CACHE.npz [CACHE.npz ...]

``measure`` passes good images through a bundle, at several degrees of each change, and keeps what the watch
gets: light, sharpness, position, score. IMAGES is a folder of good images that the bundle was not trained
on, or ``plates`` for freshly drawn ones. ``simulate`` draws sequences of frames from these: each frame is
taken at random from the two degrees next to where the change is, and every value gets normal noise of a
tenth of its standard deviation. Scoring 10,000 images for each seed would take days and change nothing: the
watch sees only these five numbers. Frames are independent; see the tests for those that are not.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.images import read_image
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.drift.observation import Notice, Observation, Place, Promise
from dmdd_edge.runtime.drift.watch import DriftWatch

Image = NDArray[np.uint8]
Values = NDArray[np.float64]

#: Images judged at each degree.
IMAGES = 60
SEEDS = 20
#: A change begins here, and the slow ones take that many frames.
BEGIN, COURSE = 5_000, 10_000
#: Frames of a sequence without a change, and the stated mean distance of false warnings in them.
QUIET, STATED = 100_000, 100_000
#: The stated distance in the sequences with a change: the default.
CHANGED_STATED = 1_000_000
CALIBRATIONS = (10, 32, 100)
LIGHT, BLUR = (0.95, 0.9, 0.85, 0.8), (0.4, 0.7, 1.0, 1.3)
CHANGES = {
    "light -20 % over 10,000 frames": ("none", *(f"light {factor}" for factor in LIGHT)),
    "lens going soft over 10,000 frames": ("none", *(f"blur {sigma}" for sigma in BLUR)),
    "shift of 8 px at once": ("none", "shift 8"),
    "new lot with another texture": ("none", "texture"),
}
#: The cause that a warning should name.
CAUSES = dict(zip(CHANGES, ("light", "focus", "position", "part"), strict=True))


def changed(image: Image, degree: str, rng: np.random.Generator) -> Image:
    """An image with a change."""
    kind, _, value = degree.partition(" ")
    if kind == "light":
        return np.asarray(np.clip(image * float(value), 0, 255), np.uint8)
    if kind == "blur":
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(value)), np.uint8)
    if kind == "shift":
        return moved(image, float(value), 0.0)
    if kind == "texture":
        grain = cv2.GaussianBlur(rng.standard_normal(image.shape[:2]), (0, 0), 1.5)
        background = np.median(image[:16].reshape(-1, image.shape[2]), axis=0)
        part = np.abs(image.astype(np.float64) - background).max(axis=2, keepdims=True) > 15
        return np.asarray(np.clip(image + part * (12 * grain / grain.std())[..., None], 0, 255), np.uint8)
    return image


def moved(image: Image, x: float, y: float) -> Image:
    """An image shifted by some pixels; its border is continued."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def good_images(source: str, count: int, rng: np.random.Generator) -> list[Image]:
    """Good images, each a little different in light, position and noise from the file that it comes from."""
    if source == "plates":
        from dmdd_edge.sample.plate import Plate

        plate = Plate(256)
        return [_drawn(plate, rng) for _ in range(count)]
    files = sorted(path for path in Path(source).iterdir() if path.suffix in (".png", ".jpg"))
    images = []
    for number in range(count):
        image = moved(read_image(files[number % len(files)]), *rng.normal(0, 1, 2))
        noisy = image * rng.normal(1, 0.01) + rng.normal(0, 1.5, image.shape)
        images.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return images


def _drawn(plate: Any, rng: np.random.Generator) -> Image:
    part = plate.blank(rng)
    plate.drill(part, rng)
    plate.fasten(part, rng)
    image, _ = plate.photograph(part, np.zeros(part.x.shape, bool), rng)
    return np.asarray(image, np.uint8)


def measure(model: str, source: str, cache: Path, count: int = IMAGES) -> None:
    """Score the images at every degree, and keep light, sharpness, x, y and score of each."""
    rng = np.random.default_rng(1)
    images = good_images(source, count, rng)
    degrees = list(dict.fromkeys(degree for course in CHANGES.values() for degree in course))
    kept = {}
    with Detector.load(model, backend="cpu") as detector:
        for degree in degrees:
            results = [detector(changed(image, degree, rng)) for image in images]
            looks = [result.look for result in results]
            kept[degree] = np.array(
                [
                    [look.light, look.sharpness, look.x, look.y, result.score]
                    for look, result in zip(looks, results, strict=True)
                    if look is not None
                ]
            )
            print(degree, kept[degree].mean(axis=0).round(4), flush=True)
        arrays: dict[str, Any] = {name.replace(" ", "_"): values for name, values in kept.items()}
        arrays["name"] = np.array(detector.bundle.category)
        with cache.open("wb") as stream:
            np.savez(stream, **arrays)


def drawn(pools: list[Values], course: Values, rng: np.random.Generator) -> Values:
    """A sequence of frames.

    Args:
        pools: values at each degree.
        course: of each frame, where the change is, 0..1.
        rng: draws the frames.
    """
    place = course * (len(pools) - 1)
    degree = np.floor(place + rng.random(len(place))).astype(int).clip(0, len(pools) - 1)
    image = rng.integers(0, len(pools[0]), len(place))
    values = np.stack(pools)[degree, image]
    return np.asarray(values + rng.standard_normal(values.shape) * (0.1 * pools[0].std(axis=0)), np.float64)


def watched(
    values: Values, known: Values, frames: int, settle: int | None = None
) -> tuple[Any, list[Notice]]:
    """Pass a sequence to a watch whose threshold comes from some calibration scores.

    Args:
        values: of the frames.
        known: scores of the calibration.
        frames: stated mean distance of false warnings.
        settle: end this many frames after the first warning of the change; None goes to the end.

    Returns:
        the cause at the end, and the warnings.
    """
    set_by = threshold_from_normals(np.clip(known, 0, 1).tolist())
    watch, begun, end = DriftWatch(Promise.of(set_by, set_by.image), frames), list[Notice](), len(values)
    for number, (light, sharpness, x, y, score) in enumerate(values.tolist()):
        if number > end:
            break
        status = "anomalous" if score > set_by.image else "good"
        seen = Observation(Place(number, 0.0), status, score, (light, sharpness, x, y))
        for notice in watch.add(seen):
            if notice.begins:
                begun.append(notice)
                if settle is not None and number >= BEGIN:
                    end = min(end, number + settle)
    return watch.cause(), begun


def soon(pools: dict[str, Values], change: str, seed: int) -> dict[str, Any]:
    """Time to the first warning of a change, and the cause it names 400 frames later."""
    rng = np.random.default_rng(seed)
    frames = np.arange(BEGIN + COURSE + 5_000)
    step = len(CHANGES[change]) == 2
    course = np.clip((frames - BEGIN) / (1 if step else COURSE), 0, 1)
    values = drawn([pools[degree] for degree in CHANGES[change]], course, rng)
    known = drawn([pools["none"]], np.zeros(100), rng)[:, 4]
    cause, begun = watched(values, known, CHANGED_STATED, 400)
    false = sum(notice.place.frame < BEGIN for notice in begun)
    true = [notice for notice in begun if notice.place.frame >= BEGIN]
    if not true:
        return {"frames": None, "false": false}
    first = true[0].drift
    return {
        "frames": first.warned.frame - BEGIN,
        "measure": first.measure,
        "cause": cause,
        "false": false,
    }


def quiet(pools: dict[str, Values], calibration: int, seeds: int) -> dict[str, Any]:
    """False warnings of sequences without a change."""
    counts: Counter[str] = Counter()
    for seed in range(seeds):
        rng = np.random.default_rng(10_000 + seed)
        values = drawn([pools["none"]], np.zeros(QUIET), rng)
        known = drawn([pools["none"]], np.zeros(calibration), rng)[:, 4]
        _, begun = watched(values, known, STATED)
        counts.update(notice.drift.measure for notice in begun)
    total = seeds * QUIET
    return {
        "frames": total,
        "false": sum(counts.values()),
        "per_100000": round(100_000 * sum(counts.values()) / total, 3),
        "stated_per_100000": 100_000 / STATED,
        "by_measure": dict(counts),
    }


def task(job: tuple[Path, str | int]) -> tuple[str, str, str, dict[str, Any]]:
    """A row of a table: a change, or none with a calibration of a size."""
    cache, what = job
    content = np.load(cache)
    pools = {key.replace("_", " "): content[key] for key in content.files if key != "name"}
    name = str(content["name"])
    if isinstance(what, int):
        return name, "none", str(what), quiet(pools, what, SEEDS)
    runs = [soon(pools, what, seed) for seed in range(SEEDS)]
    delays = [run["frames"] for run in runs if run["frames"] is not None]
    row = {
        "seeds": SEEDS,
        "warned": len(delays),
        "frames": [int(np.percentile(delays, p)) for p in (0, 50, 100)] if delays else None,
        "cause_right": sum(run.get("cause") == CAUSES[what] for run in runs),
        "causes": dict(Counter(run.get("cause") for run in runs)),
        "first": dict(Counter(run.get("measure") for run in runs)),
        "false_before": sum(run["false"] for run in runs),
    }
    return name, "changes", what, row


def main() -> None:
    """Measure or simulate."""
    if sys.argv[1] == "measure":
        measure(sys.argv[2], sys.argv[3], Path(sys.argv[4]), *(int(count) for count in sys.argv[5:6]))
        return
    machine = common.begin()
    out = Path(sys.argv[2])
    settings = {
        "seeds": SEEDS,
        "begin": BEGIN,
        "course": COURSE,
        "stated_for_changes": CHANGED_STATED,
        "stated_for_none": STATED,
    }
    found: dict[str, Any] = {}
    whats: list[str | int] = [*CHANGES, *CALIBRATIONS]
    jobs = [(Path(cache), what) for cache in sys.argv[3:] for what in whats]
    with ProcessPoolExecutor(int(os.environ.get("DRIFT_PROCESSES", os.cpu_count() or 1))) as pool:
        for name, kind, what, row in pool.map(task, jobs):
            print(name, what, row, flush=True)
            found.setdefault(name, {}).setdefault(kind, {})[what] = row
            common.write_result(out, machine, settings, found, ("numpy", "opencv-python"))


if __name__ == "__main__":
    main()
