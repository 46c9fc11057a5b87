"""What must be true of whatever the product makes of a fuzzed input; checks return what is wrong, or ""."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from addresses import shows_secret
from pictures import Picture
from trees import Tree

from dmdd_edge.data.datasets import Category, load_category
from dmdd_edge.data.images import read_image
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.test_set import TestSet, load_test_set

#: A mask counts as read right from this overlap (intersection over union) with what was marked.
_OVERLAP = 0.6
_SIZE = 48
_EXIT_CODES = (0, 1, 2, 3, 130)
#: How the program names an error that nobody foresaw.
_UNFORESEEN = ("Traceback (most recent call last)", "please report")


def check_tree(tree: Tree) -> str:
    """Nothing defective is trained on, no mask is misread, and whatever is left out is named."""
    try:
        category = load_category(tree.root)
        return _of_category(tree, category)
    except DmddError as error:
        return "" if error.message.strip() else "an error without a message"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _of_category(tree: Tree, category: Category) -> str:
    good = {_key(path) for path in tree.good}
    known = {_key(path): box for path, box in tree.bad.items()}
    for path in category.train:
        if _key(path) in known:
            return f"trains on {path}"
    for item in category.test:
        if item.is_good and _key(item.path) in known:
            return f"{item.path} is defective and counts as good"
        if not item.is_good and _key(item.path) in good:
            return f"{item.path} is good and counts as {item.defect}"
    wrong = ""
    if category.test:
        wrong = _of_masks(known, category, load_test_set(category, Preprocess(), _SIZE))
    return wrong or _left_out(tree, category)


def _of_masks(known: dict[Path, tuple[int, int, int, int]], category: Category, test: TestSet) -> str:
    said = _said(category)
    for item, mask, has_mask in zip(test.items, test.masks, test.has_mask, strict=True):
        box = known.get(_key(item.path))
        if item.is_good or not has_mask or box is None:
            continue
        truth = np.zeros_like(mask)
        truth[box[1] : box[3], box[0] : box[2]] = True
        overlap = (truth & mask).sum() / (truth | mask).sum()
        if overlap < _OVERLAP and item.path.name not in said and str(item.mask) not in said:
            return f"{item.mask} marks something else (overlap {overlap:.2f}), and nothing was said"
    return ""


def _left_out(tree: Tree, category: Category) -> str:
    used = {_key(path) for path in category.train} | {_key(item.path) for item in category.test}
    left = sorted(path for path in (*tree.good, *tree.bad) if _key(path) not in used)
    said = _said(category)
    unsaid = [path for path in left if path.name not in said and path.parent.name not in said]
    return f"{len(unsaid)} images were left out without a word, first {unsaid[0]}" if unsaid else ""


def _said(category: Category) -> str:
    """Everything that a user is told of a data set, unabridged."""
    return f"{category.describe()} {category.folders} {category.notes} {category.skipped}"


def _key(path: Path) -> Path:
    return path.parent.resolve() / path.name


def check_picture(picture: Picture, folder: Path) -> str:
    """A whole file gives its image, a broken one an error; neither takes long."""
    path = folder / f"picture{picture.suffix}"
    path.write_bytes(picture.data)
    start = time.perf_counter()
    try:
        image = read_image(path)
    except DmddError as error:
        wrong = "" if picture.damage not in ("", "trailing") else f"a whole file is refused: {error.message}"
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    else:
        wrong = _of_image(picture, image)
    took = time.perf_counter() - start
    return wrong or (f"took {took:.1f} s" if took > 5 else "")


def _of_image(picture: Picture, image: np.ndarray) -> str:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        return f"gave {image.dtype} {image.shape}"
    same = image.shape == picture.image.shape
    loss = float(np.abs(image.astype(int) - picture.image).mean()) if same else 255.0
    if picture.must_fail and loss > picture.loss + 1:
        return f"a broken file ({picture.damage}) is taken for whole, {loss:.1f} levels off"
    if picture.damage in ("", "trailing") and loss > picture.loss:
        return f"a whole file comes out {loss:.1f} levels off"
    return ""


def check_answer(argv: list[str], answer: dict[str, Any]) -> str:
    """A command line ends by itself, with a code that is documented and words where it failed."""
    text = answer["err"] + answer["out"]
    if answer["code"] is None:
        return f"still running after {answer['seconds']:.0f} s"
    if answer["code"] not in _EXIT_CODES:
        return f"exit code {answer['code']}"
    unforeseen = next((words for words in _UNFORESEEN if words in text), None)
    if unforeseen is not None:
        return f"an error that nobody foresaw ({unforeseen})"
    if answer["code"] == 1 and "error:" not in answer["err"] and argv[0] not in ("doctor", "models"):
        return "exit code 1 without a word"
    if shows_secret(text):
        return "shows a part of the password"
    return _of_json(argv, answer)


def _of_json(argv: list[str], answer: dict[str, Any]) -> str:
    if answer["code"] not in (0, 3) or "--help" in argv:
        return ""
    if "--print-config" in argv:
        if sys.version_info < (3, 11):
            return ""
        import tomllib

        try:
            tomllib.loads(answer["out"])
        except ValueError as error:
            return f"--print-config is not TOML: {error}"
        return ""
    if "--json" not in argv:
        return ""
    try:
        if argv[0] == "run":
            lines = [json.loads(line) for line in answer["out"].splitlines()]
            return "" if lines and lines[-1]["type"] == "summary" else "JSON lines without a summary"
        json.loads(answer["out"])
    except ValueError as error:
        return f"--json is no JSON: {error}"
    return ""
