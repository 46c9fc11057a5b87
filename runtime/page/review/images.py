"""Draws the image of a record as the live page draws a frame."""

from __future__ import annotations

import numpy as np

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.outside_files import inside
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import Record
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.page.images import draw, jpeg
from dmdd_edge.runtime.result import Region, Result


def drawn(archive: ArchiveFolder, record: Record, overlay: bool) -> bytes:
    """The image of a record as JPEG, at the size of a screen.

    Args:
        archive: holds it.
        record: see above.
        overlay: lay its map over it, in colors fixed to its threshold, and frame its regions.

    Raises:
        FileNotFoundError: the image was deleted.
        DmddError: it is damaged.
        ValueError: the record is damaged.
    """
    if not inside(archive.path, record.image).exists():
        raise FileNotFoundError(record.image)
    image = archive.image(record)
    anomaly_map = archive.map(record) if overlay else None
    scaled = np.zeros((1, 1)) if anomaly_map is None else anomaly_map / 255
    result = Result(
        source=record.source,
        index=record.index,
        status=record.status,
        time=0.0,
        score=record.score if record.score is not None else float("nan"),
        normalized_score=0.0,
        threshold=record.threshold,
        is_anomalous=record.status == "anomalous",
        anomaly_map=scaled.astype(np.float32),
        regions=tuple(Region(**vars(box)) for box in record.regions),
        reason=record.reason,
        pixel_threshold=record.pixel_threshold,
        # Without a map there is nothing to place; the regions are in pixels of the image.
        preprocess=Preprocess() if anomaly_map is None else Preprocess(roi=record.roi, rotate=record.rotate),
    )
    return jpeg(draw(Frame(image, record.source), result, overlay=overlay))
