"""What ``collect`` finds of repeated, blurred, dark and moved shots, and how many good parts it refuses.

    python benchmarks/upkeep/collect.py --data mvtec --category screw bottle

Each stream is a folder of good images of different parts, among which faults are placed at random, also
among the first ones: made from good images that are not in the stream, repeated shots from one before them.
All images, good ones too, get sensor noise. ``collect_images`` then takes the folder as it is.
"""

from __future__ import annotations

import random
import sys
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge import CollectOptions, collect_images
from dmdd_edge.data.images import list_images, read_image
from dmdd_edge.sample.plate import Plate
from dmdd_edge.sample.write import draw

Image = NDArray[np.uint8]
#: Drawn plates: their name here, and their side in pixels.
PLATES, SIDE = "plate", 256
#: Gray levels of the noise of every image, and of a repeated shot.
NOISE, AGAIN = 1.0, 1.5
#: Pixels of blur; factor of a dark shot; share of the side of a shift; degrees of a turn.
BLUR, DARK, SHIFT, TURN = 1.5, 0.6, 0.06, 15.0


def noisy(image: NDArray[Any], own: np.random.Generator, sigma: float = NOISE) -> Image:
    """The image with the noise of another shot."""
    levels = image.astype(np.float32) + own.normal(0, sigma, image.shape).astype(np.float32)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def placed(image: Image, shift: float, turn: float, own: np.random.Generator) -> Image:
    """The image with its part shifted in some direction, or turned about the middle."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, 1)
    angle = own.uniform(0, 2 * np.pi)
    matrix[:, 2] += shift * np.cos(angle), shift * np.sin(angle)
    return np.asarray(
        cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


#: Each kind of fault: makes one of a good image of another part, or, ``repeated``, of one of the stream.
FAULTS: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "repeated": lambda image, own: noisy(image, own, AGAIN),
    "blurred": lambda image, own: noisy(cv2.GaussianBlur(image, (0, 0), BLUR), own),
    "dark": lambda image, own: noisy(DARK * image, own),
    "shifted": lambda image, own: noisy(placed(image, SHIFT * max(image.shape), 0, own), own),
    "turned": lambda image, own: noisy(placed(image, 0, float(own.choice([-TURN, TURN])), own), own),
}


def parts(category: str, data: Path, count: int, seed: int) -> list[Image]:
    """Good images of different parts, in random order."""
    if category == PLATES:
        plate = Plate(SIDE)
        return [draw(plate, 1000 * seed + index, "train", index, None)[0] for index in range(count)]
    found = list_images(data / category / "train" / "good")
    if len(found) < count:
        sys.exit(f"{category} has {len(found)} good images; {count} are needed.")
    return [read_image(path) for path in random.Random(seed).sample(found, count)]


def stream(category: str, options: Namespace, seed: int) -> list[tuple[str, Image]]:
    """The images of a stream with their kinds, ``good`` or one of ``FAULTS``, in order."""
    own = np.random.default_rng(seed)
    others = len(FAULTS) - 1
    listed = parts(category, options.data, options.good + others * options.faults, seed)
    good, spare = listed[: options.good], listed[options.good :]
    images = [("good", noisy(image, own)) for image in good]
    for kind, make in FAULTS.items():
        for _ in range(options.faults):
            if kind == "repeated":
                before = int(own.integers(len(images) - 1))
                while images[before][0] != "good":
                    before = int(own.integers(len(images) - 1))
                place = int(own.integers(before + 1, len(images) + 1))
                images.insert(place, (kind, make(images[before][1], own)))
            else:
                images.insert(int(own.integers(len(images) + 1)), (kind, make(spare.pop(), own)))
    return images


def outcome(images: list[tuple[str, Image]]) -> dict[str, Counter[str]]:
    """What became of the images of each kind: refused, named (kept, but marked or named at the end), kept."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in ("good", *FAULTS)}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        for index, (_, image) in enumerate(images):
            cv2.imwrite(str(source / f"{index:04d}.png"), image)
        seen: list[tuple[int | None, bool]] = []
        collected = collect_images(
            CollectOptions(source=str(source), into=Path(folder) / "set", target=len(images)),
            on_image=lambda taken: seen.append((taken.number, bool(taken.faults))),
        )
    doubtful = {number for number, _ in collected.doubtful}
    for (kind, _), (number, marked) in zip(images, seen, strict=True):
        word = "refused" if number is None else "named" if marked or number in doubtful else "kept"
        counts[kind][word] += 1
    return counts


def main() -> None:
    """Collect every stream, and write the counts."""
    parser = common.parser(__doc__, "upkeep_collect")
    parser.add_argument("--data", type=Path, required=True, help="data set with the categories")
    parser.add_argument("--category", nargs="*", default=["screw", "bottle"], help="besides drawn plates")
    parser.add_argument("--good", type=int, default=50, help="good images in a stream")
    parser.add_argument("--faults", type=int, default=6, help="of each kind in a stream")
    parser.add_argument("--seeds", type=int, default=4, help="streams of each category")
    options = parser.parse_args()
    machine = common.begin()
    figures: dict[str, Any] = {}
    for category in (PLATES, *options.category):
        sums: dict[str, Counter[str]] = {kind: Counter() for kind in ("good", *FAULTS)}
        for seed in range(options.seeds):
            for kind, counts in outcome(stream(category, options, seed)).items():
                sums[kind] += counts
            print(category, seed, {kind: dict(counts) for kind, counts in sums.items()}, flush=True)
        figures[category] = {
            kind: {word: counts[word] for word in ("refused", "named", "kept")}
            for kind, counts in sums.items()
        }
    settings = {
        "good": options.good,
        "faults": options.faults,
        "seeds": options.seeds,
        "noise": NOISE,
        "noise_of_a_repeated_shot": AGAIN,
        "blur_px": BLUR,
        "dark": DARK,
        "shift": SHIFT,
        "turn_degrees": TURN,
    }
    common.write_result(options.out, machine, settings, figures, ["numpy", "opencv-python-headless"])


if __name__ == "__main__":
    main()
