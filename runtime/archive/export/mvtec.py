"""Plain folders in MVTec AD's layout, which ``train --data`` and ``evaluate --data`` take.

Of the good parts of a category the second, seventh, twelfth ... by time go into ``test/good``, so that tests
are spread over the whole time, and all others into ``train/good``. Bad parts go into ``test/bad``. No masks
are written: the regions of the detector are no ground truth.
"""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.runtime.archive.export.reviewed import ReviewedParts

#: One of this many good parts is for tests, and which one of them.
_EVERY, _WHICH = 5, 1


def write_mvtec(found: ReviewedParts, folder: Path) -> dict[str, int]:
    """Write the images into ``folder/CATEGORY/train/good``, ``test/good`` and ``test/bad``.

    Returns:
        How many images each of these folders has, by its path within ``folder``.

    Raises:
        DmddError: a category cannot name a folder, or an image cannot be written.
    """
    written: dict[str, int] = {}
    for category, parts in found.by_category().items():
        good = 0
        for part in parts:
            if part.verdict == "unsure":
                continue
            place = "test/bad"
            if part.verdict == "good":
                place = "test/good" if good % _EVERY == _WHICH else "train/good"
                good += 1
            part.copy(folder / category / place)
            written[f"{category}/{place}"] = written.get(f"{category}/{place}", 0) + 1
    return written
