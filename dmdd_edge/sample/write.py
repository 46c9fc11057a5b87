"""Draws the sample category in MVTec AD's layout, to try everything without a data set."""

from __future__ import annotations

import json
import numbers
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge._version import __version__
from dmdd_edge.arguments import check_instance, checked_path
from dmdd_edge.errors import OptionError
from dmdd_edge.failures import storage_errors
from dmdd_edge.messages.suggest import choose
from dmdd_edge.sample.options import DEFECT_SIZES, LARGEST_PLATE, SIZES, Part
from dmdd_edge.sample.panel import Panel
from dmdd_edge.sample.plate import HOLES, Plate
from dmdd_edge.sample.plate_defects import DEFECTS
from dmdd_edge.storage import make_folder, require_writable

#: File in every drawn category; only a folder with it is ever overwritten.
MARKER = "sample.json"


def draw(
    plate: Plate | Panel, seed: int, split: str, index: int, defect: str | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one image; the same arguments give the same bytes.

    Args:
        plate: the part; its size is the image's.
        seed: of the whole category.
        split: "train" or "test"; with the index it decides part, pose, light and noise.
        index: the image's number within its folder.
        defect: a key of `DEFECTS`, of a panel one of its `defects`, or None for a good part. The image
            differs from the good part's of the same arguments only by the defect.

    Returns:
        the image, uint8 H x W x 3 BGR, and the mask, bool H x W.
    """
    # Keyed by folder and index, so that more images do not change the earlier ones.
    key = [seed, zlib.crc32(f"{split}/{defect or 'good'}".encode()), index]
    rng, defect_rng = (np.random.default_rng([*key, stream]) for stream in (0, 1))
    return _draw(plate, rng, defect_rng, defect)


def _draw(
    plate: Plate | Panel, rng: np.random.Generator, defect_rng: np.random.Generator, defect: str | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    if isinstance(plate, Panel):
        return plate.draw(rng, defect_rng, defect)
    part = plate.blank(rng)
    if defect == "missing_hole":
        part.skipped_hole = int(defect_rng.integers(len(HOLES)))
    plate.drill(part, rng)
    plate.fasten(part, rng)
    marked = DEFECTS[defect](part, defect_rng) if defect else np.zeros(part.x.shape, np.bool_)
    return plate.photograph(part, marked, rng)


def write_sample(
    folder: str | Path,
    category: str = "plate",
    *,
    train: int = 60,
    test_good: int = 12,
    test_bad: int = 8,
    size: int = 256,
    part: Part | None = None,
    defect_sizes: Sequence[int] = (6, 12, 24),
    seed: int = 0,
    overwrite: bool = False,
    on_image: Callable[[int, int], None] | None = None,
) -> Path:
    """Draw a category into folder/category.

    Args:
        folder: the data set's folder; created if needed, its other contents are not changed.
        category: the category's name.
        train: good training images.
        test_good: good test images.
        test_bad: defective test images of each type: of a plate chip, dent, missing_hole, scratch and stain;
            of a panel or web one type for each of ``defect_sizes``, and bent, missing and stain.
        size: side of the images in pixels, 64 to 2048 of a plate, 512 to 8192 of a panel; of a web the
            height, 256 to 4096, and 8 times as much is the width.
        part: "plate"; "panel", which has detail of a few pixels whatever its size; or "web", a panel without
            ends. None is the plate up to 1024 px and the panel above.
        defect_sizes: longest side of the small defects of a panel or web in pixels, 3 to 64.
        seed: decides everything drawn.
        overwrite: replace a category that was drawn here before.
        on_image: called with the number of images drawn and their total.

    Returns:
        the category's folder.

    Raises:
        DmddError: a value is invalid; the category exists and must not be overwritten, or was not drawn
            here.
    """
    folder = checked_path("folder", folder)
    check_instance("category", category, str, "a name")
    counts = {"train": train, "test_good": test_good, "test_bad": test_bad, "size": size, "seed": seed}
    for name, value in counts.items():
        check_instance(name, value, numbers.Integral, "a whole number")
    target = folder / category
    _check(
        folder, category, target, overwrite, {"train": train, "test-good": test_good, "test-bad": test_bad}
    )
    if seed < 0:
        raise OptionError(f"A seed of {seed} is not supported.", fix="Choose a --seed of 0 or more.")
    part = part or ("plate" if size <= LARGEST_PLATE else "panel")
    plate = _part(part, size, defect_sizes)
    defects = list(DEFECTS) if isinstance(plate, Plate) else list(plate.defects)
    plan: list[tuple[str, str | None, int]] = [("train", None, k) for k in range(train)]
    plan += [("test", None, k) for k in range(test_good)]
    plan += [("test", defect, k) for defect in defects for k in range(test_bad)]
    require_writable(folder)
    make_folder(folder)
    # Drawn in a temporary folder and renamed when complete, so that an interrupt leaves no partial category.
    draft = Path(tempfile.mkdtemp(prefix=f".{category}-", dir=folder))
    try:
        for done, (split, defect, index) in enumerate(plan, start=1):
            image, mask = draw(plate, seed, split, index, defect)
            _write(draft / split / (defect or "good") / f"{index:03d}.png", image)
            if defect:
                truth = mask.astype(np.uint8) * 255
                _write(draft / "ground_truth" / defect / f"{index:03d}_mask.png", truth)
            if on_image:
                on_image(done, len(plan))
        about = {
            "drawn_by": f"dmdd-edge {__version__}",
            "content": "procedural images, no third-party material",
            "seed": seed,
            "part": part,
            "size": size,
            "train": train,
            "test_good": test_good,
            "test_bad": test_bad,
            "defects": defects,
        }
        with storage_errors(target):
            (draft / MARKER).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
            draft.chmod(0o777 & ~_umask())
            if target.exists():
                shutil.rmtree(target)
            draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _part(part: Part, size: int, defect_sizes: Sequence[int]) -> Plate | Panel:
    """What is drawn, or an error for a size that it does not have."""
    if part not in SIZES:
        raise OptionError(f"{part!r} cannot be drawn.", choose(part, list(SIZES)))
    low, high = SIZES[part]
    if not low <= size <= high:
        raise OptionError(
            f"A size of {size} pixels is not supported for a {part}.",
            fix=f"Choose --size between {low} and {high}.",
        )
    if part == "plate":
        return Plate(size)
    sizes = tuple(sorted(set(defect_sizes)))
    low, high = DEFECT_SIZES
    if not sizes or not low <= sizes[0] <= sizes[-1] <= high:
        raise OptionError(
            f"Defects of {', '.join(map(str, sizes)) or 'no'} pixels are not supported.",
            fix=f"Choose --defect-sizes between {low} and {high}.",
        )
    return Panel(size, 8 * size if part == "web" else size, sizes, endless=part == "web")


def _check(folder: Path, category: str, target: Path, overwrite: bool, counts: dict[str, int]) -> None:
    if not category or Path(category).name != category or category.startswith("."):
        raise OptionError(f"{category!r} cannot name a category.", fix="Choose a plain folder name.")
    for name, count in counts.items():
        least = 1 if name == "train" else 0
        if count < least:
            raise OptionError(
                f"--{name} {count} is too small; at least {least} is required.",
                fix=f"Choose --{name} {least} or more.",
            )
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is a file, not a folder.", fix="Choose another folder.")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / MARKER).is_file():
        raise OptionError(
            f"{target} exists and was not drawn by this command, so it is not changed.",
            fix="Choose another folder or another --category.",
        )
    if not overwrite:
        raise OptionError(
            f"{target} already exists.", fix="Redraw it with --overwrite, or choose another folder."
        )


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    make_folder(path.parent)
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1 if image.size > 4 << 20 else 3])
    if not done:
        raise RuntimeError(f"{path}: OpenCV could not encode the image")
    with storage_errors(path):
        path.write_bytes(data.tobytes())


def _umask() -> int:
    """The user's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
