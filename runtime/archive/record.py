"""An image that was kept, and why; the file ``ID.json`` of an archive."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dmdd_edge.data.preprocess import Roi
from dmdd_edge.fields import Count, FileName, LongText, Share, Text
from dmdd_edge.outside_files import read_bounded
from dmdd_edge.runtime.result import Status
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: The largest file of a record, in bytes.
LARGEST_RECORD = 1 << 20

#: Why an image was kept: for its verdict, for a score close to the threshold, or by the random sample.
Reason = Literal["anomalous", "unreliable", "suspect", "close", "sample"]

#: What names an image within its archive, and its files.
_ID = r"^[0-9A-Za-z][0-9A-Za-z_-]{7,63}$"
RecordId = Annotated[str, StringConstraints(pattern=_ID)]


def is_id(name: str) -> bool:
    """Whether a text can name an image; only then may it become part of a path."""
    return re.fullmatch(_ID, name) is not None


_Side = Annotated[int, Field(ge=1, le=1 << 30)]
#: x, y, width, height in pixels.
Area = tuple[Count, Count, _Side, _Side]


class Box(BaseModel):
    """A region of the result, in pixels of the image; see ``Region``."""

    model_config = ConfigDict(frozen=True)

    x: int = Field(ge=-(1 << 30), le=1 << 30)
    y: int = Field(ge=-(1 << 30), le=1 << 30)
    width: Count
    height: Count
    area: Count
    peak: Share


class Judged(BaseModel):
    """What the detector said of an image, and what it takes to reckon with it later.

    Attributes:
        time: when it was grabbed, ISO 8601 in UTC.
        category, version: the bundle that judged it.
        precision: that it was judged in: ``fp32``, ``fp16`` or ``int8``; empty where that was not recorded.
        inspection: of a station; empty for a run.
        status: as in the result.
        score: 0..1; None when there was no finite number.
        threshold: in force then, 0..1.
        stopped_early: whether the inspection ended early, so that the score is a lower bound.
        suspect_threshold: with a band the lower one, 0..1; None without a band.
        kept: why it was kept.
        sampled: whether the random sample chose it. Every passing part is chosen with the probability
            ``sample_rate``, whatever else it is kept for.
        sample_rate: of passing parts, 0..1.
    """

    model_config = ConfigDict(frozen=True)

    time: Text
    category: Text
    version: Text
    inspection: Text = ""
    status: Status
    score: Share | None
    threshold: Share
    stopped_early: bool = False
    suspect_threshold: Share | None = None
    kept: Reason
    sampled: bool = False
    sample_rate: Share = 0.0
    precision: Text = ""


class Record(Judged):
    """An image that was kept.

    Attributes:
        id: names it within its archive; begins with the time, so that ids are in the order of time.
        source, index: of the frame, as in the result.
        pixel_threshold: of the map, 0..1.
        regions: as in the result.
        reason: why the frame is unreliable; empty if it is not.
        roi, rotate: what of the image the map shows, as in ``Preprocess``.
        part: x, y, width, height of what the map shows, in pixels of the rotated region; None is all of it.
        content: where that is in the map; None is the whole map, without padding. See ``Geometry``.
        image: path of the image within the archive.
        map: path of the anomaly map, gray, 0..255 for 0..1, at most 2048 pixels a side; empty without one.
    """

    id: RecordId
    source: LongText = ""
    index: int = Field(default=0, ge=0)
    pixel_threshold: Share
    regions: tuple[Box, ...] = ()
    reason: LongText = ""
    roi: Roi | None = None
    rotate: Literal[0, 90, 180, 270] = 0
    part: Area | None = None
    content: Area | None = None
    image: FileName
    map: FileName | Literal[""] = ""


def read_record(file: Path) -> Record | None:
    """The record in a file; None if it was deleted meanwhile, or is damaged."""
    try:
        return validate(Record, parse_object(read_bounded(file, LARGEST_RECORD)))
    except (OSError, NotStrict):
        return None
