"""Run a detector on a list of image files: one entry for each, in order, readable or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sources.files import ImageFiles


@dataclass(frozen=True)
class Judged:
    """An image file, and what a detector says about it.

    Attributes:
        path: the file.
        result: its result without the map (float32 0 x 0), so that a long list stays small; None when the
            file cannot be judged.
        error: why not; None when it can.
    """

    path: Path
    result: Result | None = None
    error: DmddError | None = None


def judge_images(
    detector: Detector,
    paths: Sequence[Path],
    on_image: Callable[[Judged, Result | None], None] = lambda judged, result: None,
) -> list[Judged]:
    """Decide about image files as ``run`` does; one that cannot be read is an entry with its error.

    Args:
        detector: decides.
        paths: the files; one that is named twice is judged twice.
        on_image: called as soon as an image is judged, with its entry and the result with its map, which is
            not kept. Where the backend works on several images at once, a file that cannot be read comes
            before the images ahead of it.

    Returns:
        One entry a path, in the order of the paths.

    Raises:
        BackendError: the backend failed, or the detector is closed.
    """
    found: dict[int, Judged] = {}

    def keep(index: int, judged: Judged, result: Result | None = None) -> None:
        found[index] = judged
        on_image(judged, result)

    def broken(frame: BrokenFrame) -> None:
        keep(frame.index, Judged(paths[frame.index], error=frame.error))

    source = ImageFiles(list(paths), Path(), names=[str(path) for path in paths])
    for result in detector.stream(source, on_error=broken):
        small = replace(result, anomaly_map=np.empty((0, 0), np.float32))
        keep(result.index, Judged(paths[result.index], small), result)
    return [found[index] for index in range(len(paths))]
