"""Writes one record into an archive: the image, the map, and last the file that makes it exist."""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.geometry import Geometry, scaled_box
from dmdd_edge.errors import DataError
from dmdd_edge.fields import LONGEST_TEXT
from dmdd_edge.messages.text import visible
from dmdd_edge.runtime.archive.names import MAP, PART, RECORD, day_of
from dmdd_edge.runtime.archive.record import Area, Box, Record
from dmdd_edge.runtime.archive.waiting import Waiting
from dmdd_edge.runtime.options.archive import ArchiveFormat
from dmdd_edge.runtime.result import utc_time
from dmdd_edge.storage import fsync_path

# Runs of equal bytes alone: of photographs the fastest strategy, and smaller than the lowest compression.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
_JPG = [cv2.IMWRITE_JPEG_QUALITY, 95]


def encoded(item: Waiting, name: str, image_format: ArchiveFormat) -> dict[str, bytes]:
    """The files of a record, by their paths within the archive; the record itself is the last.

    Args:
        item: what is kept.
        name: the id.
        image_format: of the image.

    Raises:
        DataError: OpenCV cannot encode the image.
    """
    result = item.result
    place = f"kept/{day_of(name)}/{name}"
    anomaly_map = np.asarray(255 * np.clip(result.anomaly_map, 0, 1) + 0.5, np.uint8)
    files = {
        f"{place}.{image_format}": _image(item.image, image_format),
        f"{place}{MAP}": _image(anomaly_map, "png"),
    }
    image, drawn = files
    record = Record(
        id=name,
        time=utc_time(result.time),
        **item.key._asdict(),
        status=result.status,
        score=min(max(result.score, 0.0), 1.0) if math.isfinite(result.score) else None,
        stopped_early=result.stopped_early,
        kept=item.choice.reason,
        sampled=item.choice.sampled,
        source=_text(result.source),
        index=item.index,
        suspect_threshold=result.suspect_threshold,
        pixel_threshold=result.pixel_threshold,
        roi=result.preprocess.roi,
        rotate=result.preprocess.rotate,
        **_places(result.geometry, anomaly_map.shape),
        regions=tuple(Box(**asdict(region)) for region in result.regions),
        reason=_text(result.reason),
        image=image,
        map=drawn,
    )
    files[f"{place}{RECORD}"] = record.model_dump_json().encode() + b"\n"
    return files


def _places(geometry: Geometry | None, shape: tuple[int, ...]) -> dict[str, Area]:
    """What of the region the map shows, and where in a map of this shape, where that is not all."""
    if geometry is None:
        return {}
    content = scaled_box(geometry.content, geometry.shape, (shape[0], shape[1]))
    return {"part": geometry.part, "content": content}


def write_files(archive: Path, files: dict[str, bytes], sync: bool) -> None:
    """Write the files of a record, each under a name for unfinished files that is then changed.

    Args:
        archive: its folder.
        files: from ``encoded``.
        sync: wait for the disk, so that a power cut loses none of it.

    Raises:
        OSError: the disk rejects them; none is left.
    """
    written: list[Path] = []
    try:
        for name, data in files.items():
            path = archive / name
            part = path.with_name(f".{path.name}{PART}")
            written.append(part)
            _write(part, data, sync)
            os.replace(part, path)  # noqa: PTH105 - the one call that replaces atomically, by its name
            written[-1] = path
        if sync:
            fsync_path(path.parent)
    except OSError:
        for path in reversed(written):  # the record first
            with contextlib.suppress(OSError):
                path.unlink()
        raise


def _write(path: Path, data: bytes, sync: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _image(image: NDArray[np.uint8], image_format: ArchiveFormat) -> bytes:
    try:
        done, data = cv2.imencode(f".{image_format}", image, _PNG if image_format == "png" else _JPG)
    except cv2.error as error:
        raise DataError(f"OpenCV cannot encode a {image_format} file: {error.err}.") from error
    if not done:
        raise DataError(f"OpenCV cannot encode a {image_format} file.")
    return data.tobytes()


def _text(text: str) -> str:
    """As a record takes it: a name on the disk may have any characters."""
    return visible(text)[:LONGEST_TEXT]
