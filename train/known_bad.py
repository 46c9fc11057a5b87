"""Images of known-bad parts: never trained on; a finished run says which of them its threshold finds."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.data.datasets import Category, grouped
from dmdd_edge.data.datasets.folders import from_folders
from dmdd_edge.data.datasets.repeats import digest_of
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DataError
from dmdd_edge.evaluation.test_set import Predictor, load_test_set, scores_of
from dmdd_edge.evaluation.views import Images, Views

#: Known-bad parts that are named in a report at most.
_NAMED = 5


@dataclass(frozen=True)
class KnownBad:
    """Readable images of known-bad parts.

    Attributes:
        names: paths below the folder that was given.
        images: uint8 n x S x S x 3 BGR, prepared; of a tiled category their views.
        digests: of their files, see ``digest_of``.
    """

    names: tuple[str, ...]
    images: Images
    digests: tuple[str, ...]

    def prepared_by(self, preprocess: Preprocess) -> KnownBad:
        """The same parts under another tiling; without tiles, as they are."""
        images = self.images
        return replace(self, images=images.prepared_by(preprocess)) if isinstance(images, Views) else self


def load_known_bad(
    folder: Path, name: str, good: Iterable[Path], preprocess: Preprocess, size: int
) -> tuple[KnownBad, list[str]]:
    """Read the known-bad parts.

    Args:
        folder: with its subfolders.
        name: of the category.
        good: images to learn from and held-out ones; a known-bad part must not be among them.
        preprocess: of the training.
        size: side S of the network's input.

    Returns:
        the images, and what a user should know about them, a line each.

    Raises:
        DmddError: the folder is missing, has no readable image, or one of them is also a training image.
    """
    bad = from_folders(name, None, folder)
    digests = {item.path: digest_of(item.path) for item in bad.test}
    known = {digest: path for path, digest in digests.items()}
    for path in good:
        if (twin := known.get(digest_of(path))) is not None:
            raise DataError(
                f"{twin} is named as a known-bad part and is also the training image {path}.",
                "Remove it from one of the two: training would learn the defect as good.",
            )
    test = load_test_set(bad, preprocess, size)
    root = folder.absolute()
    names = tuple(item.path.absolute().relative_to(root).as_posix() for item in test.items)
    used = tuple(digests[item.path] for item in test.items)
    return KnownBad(names, test.images, used), [f"not used: {line}" for line in grouped(bad.skipped)]


def leave_out(category: Category, digests: Collection[str]) -> int:
    """Take the known-bad parts out of a category's test images: after a choice by them, the figures would be
    better than on new parts.

    Args:
        category: it is changed.
        digests: of the known-bad parts.

    Returns:
        how many were taken out.
    """
    known = frozenset(digests)
    left = [item for item in category.test if not known or digest_of(item.path) not in known]
    count = len(category.test) - len(left)
    category.test[:] = left
    return count


def judge_known_bad(known_bad: KnownBad, predict: Predictor, threshold: Threshold | None) -> dict[str, Any]:
    """What a finished run says of the known-bad parts; kept in run.json.

    Args:
        known_bad: the parts.
        predict: the run's predictor.
        threshold: from held-out good parts; None without them.
    """
    scores = [round(float(score), 6) for score in scores_of(predict, known_bad.images)]
    found = None if threshold is None else [score > threshold.image for score in scores]
    return {
        "images": len(scores),
        "found": None if found is None else sum(found),
        "threshold": None if threshold is None else threshold.image,
        "scores": dict(zip(known_bad.names, scores, strict=True)),
        "digests": list(known_bad.digests),
    }


def describe_known_bad(facts: dict[str, Any]) -> str:
    """One line for a person, from the facts of ``judge_known_bad``."""
    images, found, threshold = facts["images"], facts["found"], facts["threshold"]
    parts = f"{images} known-bad part{'s' * (images != 1)}"
    if found is None:
        return f"{parts}: without held-out good images there is no threshold to find them by"
    head = f"the threshold {threshold:.4f} finds {found} of {parts}"
    missed = sorted((score, name) for name, score in facts["scores"].items() if not score > threshold)
    if not missed:
        return head
    named = ", ".join(f"{name} ({score:.4f})" for score, name in missed[:_NAMED])
    more = f" and {len(missed) - _NAMED} more" if len(missed) > _NAMED else ""
    return f"{head}; not found: {named}{more}"
