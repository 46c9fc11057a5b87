"""Archives made by hand, for tests of their review."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import Box, Record

#: When the first image was grabbed.
START = datetime(2026, 11, 29, 8, 0, tzinfo=timezone.utc)
#: What is kept, again and again: one part that is anomalous, one close to the threshold, one of the sample.
TURNS: tuple[dict[str, Any], ...] = (
    {"status": "anomalous", "score": 0.75, "kept": "anomalous"},
    {"status": "good", "score": 0.48, "kept": "close"},
    {"status": "good", "score": 0.1, "kept": "sample", "sampled": True},
)


def name_of(number: int) -> str:
    """The id of an image; each is a second later than the one before."""
    return f"{START + timedelta(seconds=number):%Y%m%dT%H%M%S}000Z-{number:04}"


def record_of(number: int, **fields: Any) -> Record:
    """A record; its image has 32 x 24 pixels."""
    moment = START + timedelta(seconds=number)
    place = f"kept/{moment:%Y-%m-%d}/{name_of(number)}"
    turn = TURNS[number % len(TURNS)]
    known: dict[str, Any] = {
        "id": name_of(number),
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.000Z",
        "category": "plate",
        "version": "1",
        "threshold": 0.5,
        "sample_rate": 0.01,
        "source": "/dev/video0",
        "index": number,
        "pixel_threshold": 0.5,
        "image": f"{place}.png",
        "map": f"{place}.map.png",
        **turn,
    }
    if turn["status"] == "anomalous":
        known["regions"] = (Box(x=8, y=6, width=10, height=4, area=30, peak=0.75),)
    return Record(**{**known, **fields})


def gray(level: int) -> NDArray[np.uint8]:
    """An image of one color."""
    return np.full((24, 32, 3), level, np.uint8)


def keep(archive: ArchiveFolder, record: Record, image: NDArray[np.uint8] | None = None) -> Record:
    """Write a record as a run does: the record last."""
    path = archive.path / record.image
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), gray(record.index % 200) if image is None else image)
    if record.map:
        cv2.imwrite(
            str(archive.path / record.map), np.full((16, 16), round(255 * (record.score or 0)), np.uint8)
        )
    path.with_name(f"{record.id}.json").write_text(record.model_dump_json(), encoding="utf-8")
    return record


def drop(archive: ArchiveFolder, record: Record) -> None:
    """Delete a record as the bound of an archive does."""
    path = archive.path / record.image
    path.with_name(f"{record.id}.json").unlink()
    path.unlink()
    if record.map:
        (archive.path / record.map).unlink()


def stocked(folder: Path, images: int) -> ArchiveFolder:
    """An archive with this number of images."""
    archive = ArchiveFolder.make(folder)
    for number in range(images):
        keep(archive, record_of(number))
    return archive
