"""Draws the image of a record as the live page draws a frame."""

from __future__ import annotations

import numpy as np

from dmdd_edge.data.geometry import Geometry
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.outside_files import inside
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import Record
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.page.images import draw, jpeg
from dmdd_edge.runtime.result import Region, Result


def drawn(archive: ArchiveFolder, record: Record, overlay: bool, closeups: bool = False) -> bytes:
    """The image of a record as JPEG, at the size of a screen.

    Args:
        archive: holds it.
        record: see above.
        overlay: lay its map over it, in colors fixed to its threshold, and frame its regions.
        closeups: show its regions at full resolution instead; without a region, the image.

    Raises:
        FileNotFoundError: the image was deleted.
        DmddError: it is damaged.
        ValueError: the record is damaged.
    """
    if not inside(archive.path, record.image).exists():
        raise FileNotFoundError(record.image)
    image = archive.image(record)
    anomaly_map = archive.map(record) if overlay else None
    scaled = np.zeros((1, 1), np.float32)
    if anomaly_map is not None:
        scaled = (anomaly_map / 255).astype(np.float32)
    result = Result(
        source=record.source,
        index=record.index,
        status=record.status,
        time=0.0,
        score=record.score if record.score is not None else float("nan"),
        normalized_score=0.0,
        threshold=record.threshold,
        is_anomalous=record.status == "anomalous",
        anomaly_map=scaled,
        regions=tuple(Region(**vars(box)) for box in record.regions),
        reason=record.reason,
        pixel_threshold=record.pixel_threshold,
        # Without a map there is nothing to place; the regions are in pixels of the image.
        preprocess=Preprocess() if anomaly_map is None else Preprocess(roi=record.roi, rotate=record.rotate),
        geometry=None if anomaly_map is None else _geometry(record, image.shape, scaled.shape),
    )
    return jpeg(draw(Frame(image, record.source), result, overlay=overlay, closeups=closeups))


def _geometry(record: Record, source: tuple[int, ...], shape: tuple[int, ...]) -> Geometry:
    """Between the image of a record and its map.

    Raises:
        ValueError: the record does not fit its files.
    """
    (rows, columns), (down, across) = source[:2], shape
    region = record.roi or (0, 0, columns, rows)
    wide, high = region[2:] if record.rotate in (0, 180) else (region[3], region[2])
    part, content = record.part or (0, 0, wide, high), record.content or (0, 0, across, down)
    if part[0] + part[2] > wide or part[1] + part[3] > high:
        raise ValueError("its map does not fit its image")
    if content[0] + content[2] > across or content[1] + content[3] > down:
        raise ValueError("its map has another size")
    return Geometry((rows, columns), region, record.rotate, part, content, (down, across), max(shape))
