"""Results and frames for tests of an archive."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.threshold import normalized_score
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.sink import ArchiveSink
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.options.archive import ArchiveOptions
from dmdd_edge.runtime.result import Region, Result, Status

THRESHOLD = 0.5


def image_of(level: int, shape: tuple[int, int] = (24, 32)) -> NDArray[np.uint8]:
    """A picture of noise, which hardly shrinks in a file."""
    return np.random.default_rng(level).integers(0, 256, (*shape, 3)).astype(np.uint8)


def judged(
    score: float = 0.1,
    status: Status | None = None,
    index: int = 0,
    threshold: float = THRESHOLD,
    image: NDArray[np.uint8] | None = None,
    **fields: Any,
) -> tuple[Frame, Result]:
    """A frame and what was found on it."""
    status = status or ("anomalous" if score > threshold else "good")
    now = fields.pop("time", time.time())
    frame = Frame(image_of(index) if image is None else image, f"{index}.png", f"{index}.png", index, now)
    anomaly_map = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    known: dict[str, Any] = {
        "source": frame.source,
        "index": index,
        "status": status,
        "time": now,
        "score": score,
        "normalized_score": normalized_score(score, threshold),
        "threshold": threshold,
        "is_anomalous": score > threshold,
        "anomaly_map": anomaly_map,
        "category": "plate",
        "version": "1",
    }
    if status == "anomalous":
        known["regions"] = (Region(1, 2, 3, 4, 10, 0.9),)
    return frame, Result(**{**known, **fields})


def opened(folder: Path, said: list[str] | None = None, **options: Any) -> ArchiveSink:
    """An archive that draws with a fixed seed; ``options`` are its own or those of the sink."""
    own = {name: options.pop(name) for name in list(options) if name.startswith("archive_")}
    return ArchiveSink(
        ArchiveOptions(archive=folder, **own),
        note=(lambda line: None) if said is None else said.append,
        generator=np.random.default_rng(3),
        **options,
    )


def files_in(folder: Path) -> set[str]:
    """Every file of the kept images, without its folder."""
    return {path.name for path in (folder / "kept").rglob("*") if path.is_file()}


def ids(folder: Path) -> list[str]:
    """The ids of an archive, the oldest first."""
    return [record.id for record in ArchiveFolder(folder).records()][::-1]
