"""Drawn data sets with the mistakes that people make, and what is true of each file in them.

A tree is made from a seed. It knows which of its images show good parts, which are defective and what each
defect's mask marks, so that whatever a loader makes of it can be held against the truth.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

SIDE = 48
_GOOD = ("good", "Good", "GOOD", "ok", "OK", "normal", "Normal")
_BAD = ("scratch", "bad", "NG", "ng", "defect", "broken_large", "Anomaly", "abnormal", "ko", "Kratzer groß")
_TRAIN, _TEST = ("train", "Train", "TRAIN"), ("test", "Test", "TEST")
_TRUTH = ("ground_truth", "Ground_Truth", "masks", "ground_truth_masks", "mask", "labels")
_MASK_NAMES = (
    "{}_mask.png",
    "{}_mask.png",
    "{}.png",
    "{}_GT.png",
    "{}-mask.png",
    "mask_{}.png",
    "{}_mask.PNG",
)
_JUNK_FOLDERS = (".ipynb_checkpoints", "__MACOSX", "@eaDir", "thumbs", ".thumbnails")
_JUNK_FILES = ("Thumbs.db", ".DS_Store", "desktop.ini", "readme.txt", "._000.png", "labels.csv")


@dataclass
class Tree:
    """A data set on the disk.

    Attributes:
        root: what ``--data`` names.
        good: whole images of good parts.
        bad: whole images of defective parts, and the box that each one's mask marks: x0, y0, x1, y1.
        made_of: what was drawn, for the report of a failure.
    """

    root: Path
    good: set[Path] = field(default_factory=set)
    bad: dict[Path, tuple[int, int, int, int]] = field(default_factory=dict)
    made_of: list[str] = field(default_factory=list)


def make_tree(seed: int, folder: Path) -> Tree:
    """Draw the tree of a seed into ``folder``, which is emptied first."""
    draw = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    name = draw.choice(("part", "part", "Schraube groß 100% #1", "good", "test", "bottle", "[1]", "día 1"))
    tree = Tree(folder / name)
    layout = draw.choice((_structured, _structured, _structured, _flat, _beside, _by_day, _joined))
    layout(draw, tree)
    for mistake in draw.sample(_MISTAKES, draw.choice((0, 1, 1, 2, 3))):
        tree.made_of.append(mistake.__name__)
        mistake(draw, tree)
    return tree


def _part(draw: random.Random, box: tuple[int, int, int, int] | None) -> np.ndarray:
    noise = np.random.default_rng(draw.randrange(1 << 30)).normal(0, 4, (SIDE, SIDE, 3))
    image = np.clip(noise + np.array((175, 190, 200)), 0, 255).astype(np.uint8)
    cv2.circle(image, (SIDE // 2, SIDE // 2), SIDE // 3, (40, 60, 150), -1)
    if box is not None:
        image[box[1] : box[3], box[0] : box[2]] = 20
    return image


def _write(path: Path, image: np.ndarray, suffix: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(suffix or path.suffix.lower(), image)[1].tobytes())


def _add_good(draw: random.Random, tree: Tree, folder: Path, count: int, suffix: str) -> None:
    for i in range(count):
        path = folder / f"{i:03d}{suffix}"
        _write(path, _part(draw, None))
        tree.good.add(path)


def _add_bad(draw: random.Random, tree: Tree, folder: Path, count: int, suffix: str) -> list[Path]:
    for i in range(count):
        x, y = draw.randrange(8, 20), draw.randrange(8, 30)
        box = (x, y, x + draw.randrange(6, 16), y + draw.randrange(5, 9))
        path = folder / f"{i:03d}{suffix}"
        _write(path, _part(draw, box))
        tree.bad[path] = box
    return sorted(tree.bad)


def _suffix(draw: random.Random) -> str:
    return draw.choice((".png", ".png", ".png", ".jpg", ".JPG", ".bmp", ".tif", ".webp"))


def _structured(draw: random.Random, tree: Tree) -> None:
    """Train and test folders, with or without the level of good and of the category, with masks."""
    root = tree.root / draw.choice(("", "", "screw"))
    good, bad, suffix = draw.choice(_GOOD), draw.choice(_BAD), _suffix(draw)
    deeper = draw.choice(("", "", "", "day1", "{}"))
    train = root / draw.choice(_TRAIN)
    if draw.random() < 0.8:
        train /= good
    _add_good(draw, tree, train / deeper.format(train.name), 6, suffix)
    test = root / draw.choice(_TEST)
    if draw.random() < 0.9:
        _add_good(draw, tree, test / good / deeper.format(good), 3, suffix)
    images = _add_bad(draw, tree, test / bad / deeper.format(bad), 3, suffix)
    if draw.random() < 0.9:
        _masks(draw, tree, images, root / draw.choice(_TRUTH), bad, deeper.format(bad))
    tree.made_of.append(f"{train} {test} {bad} {deeper!r} {suffix}")


def _flat(draw: random.Random, tree: Tree) -> None:
    """Images of good parts in one folder."""
    _add_good(draw, tree, tree.root, 6, _suffix(draw))


def _beside(draw: random.Random, tree: Tree) -> None:
    """A folder of good images beside one of defective ones, with or without masks."""
    bad, suffix = draw.choice(_BAD), _suffix(draw)
    _add_good(draw, tree, tree.root / draw.choice(_GOOD), 6, suffix)
    images = _add_bad(draw, tree, tree.root / bad, 3, suffix)
    if draw.random() < 0.4:
        _masks(draw, tree, images, tree.root / draw.choice(_TRUTH), bad, "")


def _joined(draw: random.Random, tree: Tree) -> None:
    """Split and label in one name: train_good, test_bad."""
    form, suffix = draw.choice(("{}_{}", "{}-{}", "{1}_{0}")), _suffix(draw)
    good, bad = draw.choice(_GOOD), draw.choice(("bad", "NG", "Defect"))
    _add_good(draw, tree, tree.root / form.format("train", good), 6, suffix)
    _add_good(draw, tree, tree.root / form.format("test", good), 3, suffix)
    images = _add_bad(draw, tree, tree.root / form.format("test", bad), 3, suffix)
    if draw.random() < 0.5:
        _masks(draw, tree, images, tree.root / draw.choice(_TRUTH), bad, "")


def _by_day(draw: random.Random, tree: Tree) -> None:
    """Good images by day; now and then the day's defective ones beside them."""
    suffix, mixed = _suffix(draw), draw.random() < 0.5
    for day in range(3):
        folder = tree.root / f"2026-11-{day + 1:02d}"
        _add_good(draw, tree, folder / draw.choice(_GOOD) if mixed else folder, 3, suffix)
        if mixed:
            _add_bad(draw, tree, folder / "NG", 2, suffix)


def _masks(
    draw: random.Random, tree: Tree, images: list[Path], folder: Path, defect: str, deeper: str
) -> None:
    style, name = draw.choice(_STYLES), draw.choice(_MASK_NAMES)
    folder = draw.choice((folder / defect, folder / defect, folder))
    if deeper and draw.random() < 0.5:
        folder /= deeper
    tree.made_of.append(f"masks {style.__name__} {name} in {folder}")
    for i, path in enumerate(images):
        if draw.random() < 0.15:
            continue
        x0, y0, x1, y1 = tree.bad[path]
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[y0:y1, x0:x1] = 255
        target = folder / name.format(path.stem)
        _write(target, mask)
        target.write_bytes(style(mask, cv2.imread(os.fspath(path)), i))


def _png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def plain(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """0 and 255."""
    return _png(mask)


def ones(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """0 and 1."""
    return _png(mask // 255)


def classes(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """The marked box is labeled 1 on one side and 3 on the other."""
    labels = (mask > 0).astype(np.uint8)
    labels[:, : int(np.flatnonzero(labels.any(0)).mean()) + 1] *= 3
    return _png(labels)


def alpha(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """White everywhere; alpha says where."""
    return _png(np.dstack([np.full_like(mask, 255)] * 3 + [mask]))


def on_image(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """The marking painted in red on the image."""
    painted = image.copy() if image is not None else np.zeros((*mask.shape, 3), np.uint8)
    painted[mask > 0] = (0, 0, 255)
    return _png(painted)


def outline(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """A frame drawn around the defect on the image."""
    painted = image.copy() if image is not None else np.zeros((*mask.shape, 3), np.uint8)
    ys, xs = np.nonzero(mask)
    cv2.rectangle(painted, (int(xs.min()), int(ys.min())), (int(xs.max()), int(ys.max())), (0, 255, 0), 1)
    return _png(painted)


def deep(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """16 bits, 0 and 65535."""
    return _png((mask > 0).astype(np.uint16) * 65535)


def inverted(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """Black where the defect is, white elsewhere."""
    return _png(255 - mask)


def empty(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """Nothing marked."""
    return _png(np.zeros_like(mask))


def half_size(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """At half the image's size."""
    return _png(cv2.resize(mask, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA))


def other_shape(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """Of another aspect: made for a picture that was cropped."""
    return _png(mask[: SIDE // 2])


def jpeg(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """JPEG's noise around the edges, under a name that says PNG."""
    return bytes(cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes())


def smooth(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """Edges smoothed by a drawing program."""
    return _png(cv2.GaussianBlur(mask, (0, 0), 0.7))


def pointer(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """Git LFS left its pointer there."""
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1234\n"


def some_broken(mask: np.ndarray, image: np.ndarray, i: int) -> bytes:
    """The first is cut off, the second is empty."""
    whole = _png(mask)
    return (whole[: len(whole) // 2], b"", whole)[i % 3]


_STYLES: tuple[Callable[[np.ndarray, np.ndarray, int], bytes], ...] = (
    plain,
    plain,
    ones,
    classes,
    alpha,
    on_image,
    outline,
    deep,
    inverted,
    empty,
    half_size,
    other_shape,
    jpeg,
    smooth,
    pointer,
    some_broken,
)


def junk(draw: random.Random, tree: Tree) -> None:
    """What file managers, notebooks and archives leave behind."""
    folders = sorted({path.parent for path in (*tree.good, *tree.bad)})
    for folder in folders:
        (folder / draw.choice(_JUNK_FILES)).write_bytes(b"x")
    source = draw.choice(sorted((*tree.good, *tree.bad)))
    target = draw.choice((*folders, tree.root, folders[0].parent)) / draw.choice(_JUNK_FOLDERS)
    target.mkdir(exist_ok=True)
    shutil.copy(source, target / f"{source.stem}-checkpoint{source.suffix}")


def dangling(draw: random.Random, tree: Tree) -> None:
    """A link to nowhere, and one to itself."""
    folder = draw.choice(sorted((*tree.good, *tree.bad))).parent
    (folder / "900.png").symlink_to("/nowhere/900.png")
    (folder / "901.png").symlink_to("901.png")


def loop(draw: random.Random, tree: Tree) -> None:
    """A folder that holds a link to its parent."""
    (draw.choice(sorted(tree.good)).parent / "again").symlink_to("..")


def broken_images(draw: random.Random, tree: Tree) -> None:
    """Files that are empty, cut off, a pointer, or no image at all; they are good or bad no more."""
    files = sorted((*tree.good, *tree.bad))
    for path in draw.sample(files, min(2, len(files))):
        whole = path.read_bytes()
        path.write_bytes(
            draw.choice((b"", whole[: len(whole) // 2], pointer(None, None, 0), b"GIF89a", os.urandom(99)))
        )
        tree.good.discard(path)
        tree.bad.pop(path, None)


def folder_as_image(draw: random.Random, tree: Tree) -> None:
    """A folder with an image's name, and a pipe with another's."""
    folder = draw.choice(sorted(tree.good)).parent
    (folder / "950.png").mkdir()
    os.mkfifo(folder / "951.png")


def odd_names(draw: random.Random, tree: Tree) -> None:
    """Names that are long, not UTF-8, or hold what shells and URLs take for their own."""
    for name in ("a" * 240 + ".png", "größe ☃.png", "50% #1 [x].png", " .png", "-rf.png"):
        path = draw.choice(sorted(tree.good)).parent / name
        _write(path, _part(draw, None))
        tree.good.add(path)
    path = Path(os.fsdecode(os.fsencode(path.parent) + b"/\xff\xfe.png"))
    _write(path, _part(draw, None))
    tree.good.add(path)


def linked_folder(draw: random.Random, tree: Tree) -> None:
    """The folder of good images is a link to where they are kept."""
    folder = draw.choice(sorted(tree.good)).parent
    if folder == tree.root:
        return
    store = tree.root.parent / "store"
    shutil.move(folder, store)
    folder.symlink_to(store)


def mixed_sizes(draw: random.Random, tree: Tree) -> None:
    """A picture of another aspect, and one that is too small to be one."""
    folder = draw.choice(sorted(tree.good)).parent
    _write(folder / "060.png", cv2.resize(_part(draw, None), (300, 40)))
    tree.good.add(folder / "060.png")
    _write(folder / "061.png", np.zeros((4, 4, 3), np.uint8))


def no_test_good(draw: random.Random, tree: Tree) -> None:
    """Nobody kept good images for the test.

    Not where defective ones lie among them: alone in a folder named good, a word that all their names share
    is taken for the part's.
    """
    if "bad_among_good" in tree.made_of:
        return
    for path in [p for p in tree.good if "test" in str(p.relative_to(tree.root)).lower()]:
        path.unlink()
        tree.good.discard(path)


def bad_among_good(draw: random.Random, tree: Tree) -> None:
    """Defective parts among the good ones, by their names or by a mask beside them."""
    folder = draw.choice(sorted(tree.good)).parent
    box = (10, 10, 20, 16)
    name, mask = draw.choice(
        (("NG_{}", ""), ("{}_bad", ""), ("{}-n.i.O.", ""), ("{}", "{}_mask"), ("{}", "{}_GT"))
    )
    for i in range(700, 702):
        path = folder / f"{name.format(i)}.png"
        _write(path, _part(draw, box))
        tree.bad[path] = box
        if mask:
            marked = np.zeros((SIDE, SIDE), np.uint8)
            marked[box[1] : box[3], box[0] : box[2]] = 255
            _write(folder / f"{mask.format(i)}.png", marked)


_MISTAKES = [
    bad_among_good,
    junk,
    dangling,
    loop,
    broken_images,
    folder_as_image,
    odd_names,
    linked_folder,
    mixed_sizes,
    no_test_good,
]
