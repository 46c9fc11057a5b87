"""The record of a collected image: the JSON file beside it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dmdd_edge.fields import Count, LongText, Text
from dmdd_edge.runtime.collect.faults import Kind
from dmdd_edge.runtime.collect.measures import Measures

#: What the record is of; a file without it is not one.
COLLECTED: Literal["collected"] = "collected"
Value = int | float | bool | Text


def moment(time: str) -> datetime:
    """The moment of a record's time, in UTC unless it says otherwise.

    Raises:
        ValueError: it is none, or cannot be counted in seconds.
    """
    found = datetime.fromisoformat(time.replace("Z", "+00:00"))
    found = found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)
    try:
        found.timestamp()
    except OverflowError as error:
        raise ValueError(str(error)) from None
    return found


def _time(time: str) -> str:
    try:
        moment(time)
    except ValueError:
        raise ValueError("is not a time such as 2026-11-29T06:00:00Z") from None
    return time


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class FrameFacts(_Part):
    """Where the image came from.

    Attributes:
        source: for a person, without user names and passwords.
        name: of the frame within the source.
        index: number within the source, from 0.
        frame_id: the number that the camera gave it; None for others.
        device_time_ns: the camera's own clock at the exposure, in nanoseconds; None for others.
        bits: how many bits a 16-bit file was read as using; None for other images.
        peak: the largest value of that file; None for other images.
        live: whether it is from a camera or a stream, so that its time is when it was taken.
    """

    source: LongText
    name: LongText
    index: Count
    frame_id: int | None = None
    device_time_ns: int | None = None
    bits: int | None = None
    peak: int | None = None
    live: bool = False


class CameraFacts(_Part):
    """The camera's settings, as it reported them when the image was taken.

    Attributes:
        detail: model, format, size, rate and what was set, in words.
        values: by name, as the camera spells them; empty where it reports none.
        automatic: what the camera changes by itself; None where it does not say.
    """

    detail: LongText = ""
    values: dict[Text, Value] = Field(default_factory=dict)
    automatic: tuple[Text, ...] | None = None


class PlaceFacts(_Part):
    """The part's place against the set's reference image.

    Attributes:
        reference: number of that image.
        x: shift to the right, in pixels.
        y: shift downwards, likewise.
        turn: clockwise, in degrees.
        match: correlation in that place, -1..1.
    """

    reference: Count
    x: float
    y: float
    turn: float
    match: float


class Mark(_Part):
    """Something noticed about an image that was kept.

    Attributes:
        kind: what.
        text: in words; continues "The image is".
        weight: how far beyond what the set shows; 1 refuses an image unless ``--accept`` names its kind.
    """

    kind: Kind
    text: Text
    weight: float


class Nearest(_Part):
    """The most similar image of the set.

    Attributes:
        number: of that image.
        difference: from it, as a multiple of what the noise of two shots explains.
    """

    number: Count
    difference: float


class Record(_Part):
    """The record of one image.

    Attributes:
        type: ``collected``.
        schema_version: 1.
        number: of the image, which names it: 12 is ``000012.png``.
        time: when it was taken, ISO 8601 in UTC; of a file when it was read.
        measures: of the image alone.
        frame: where it came from.
        camera: the settings; None for files.
        place: of the part; None where it is not compared.
        nearest: the most similar image; None for the first.
        marks: what was noticed about it.
        created_with: the program and its version.
    """

    type: Literal["collected"] = COLLECTED
    schema_version: Literal[1] = 1
    number: int = Field(ge=1, le=999_999)
    time: Annotated[Text, AfterValidator(_time)]
    measures: Measures
    frame: FrameFacts
    camera: CameraFacts | None = None
    place: PlaceFacts | None = None
    nearest: Nearest | None = None
    marks: tuple[Mark, ...] = ()
    created_with: Text = ""
