"""Reads results files for the drift watch: rotated, compressed, of several runs, cut off at the end."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from dmdd_edge.data.images import IMAGE_SUFFIXES
from dmdd_edge.errors import DataError
from dmdd_edge.failures import unreadable
from dmdd_edge.runtime.drift.observation import Observation, Place, Promise
from dmdd_edge.runtime.sinks.recovery import find_parts

_NAME = "Name a file that run --jsonl or a station wrote."
#: The longest line in bytes, the largest measure of an image, and the last moment, in seconds since 1970.
_LONGEST, _LARGEST, _LATEST = 16 << 20, 1e12, 1e11
#: Name of what was judged from image files.
FILES = "files"


class Row(NamedTuple):
    """What a line tells of one inspection.

    Attributes:
        name: of the inspection; of a run its camera or ``files``.
        camera: its camera; empty where the line does not say.
        threshold: of the score.
        seen: the frame; its number counts on over runs.
    """

    name: str
    camera: str
    threshold: float
    seen: Observation


@dataclass
class Reading:
    """What was read.

    Attributes:
        lines: number of lines.
        unreadable: lines that are no JSON objects, such as the last one of a killed run.
        errors: frames that had no result.
        promises: of a threshold, by inspection (empty for a run) and threshold.
        versions: of the bundle, likewise.
    """

    lines: int = 0
    unreadable: int = 0
    errors: int = 0
    promises: dict[tuple[str, float], Promise | None] = field(default_factory=dict)
    versions: dict[tuple[str, float], str] = field(default_factory=dict)


def with_parts(paths: Iterable[Path]) -> list[Path]:
    """The files and their rotated parts, the oldest first; each once.

    Raises:
        DataError: a file is missing.
    """
    found: dict[Path, None] = {}
    for path in paths:
        parts = [part for _, part in find_parts(path)] if path.parent.is_dir() else []
        if not path.is_file() and not parts:
            wrong = "is not a results file" if path.exists() else "does not exist"
            raise DataError(f"{path} {wrong}.", _NAME)
        for each in (*parts, *([path] if path.is_file() else [])):
            found.setdefault(each)
    return list(found)


def read_promises(files: Sequence[Path], reading: Reading) -> None:
    """Note what the drift watch of each run wrote about its threshold."""
    for line in _lines(files):
        if b'"baseline"' not in line:
            continue
        fields = _object(line)
        if fields is None or fields.get("type") != "drift" or fields.get("event") != "baseline":
            continue
        try:
            key = str(fields.get("inspection", "")), float(fields["threshold"])
            reading.versions[key] = str(fields["version"])
            promise = fields["promise"]
            reading.promises[key] = None if promise is None else _promise(promise)
        except (KeyError, TypeError, ValueError, OverflowError):
            reading.unreadable += 1


def read_rows(files: Sequence[Path], reading: Reading) -> Iterator[Row]:
    """The frames of all inspections, in the order of the lines."""
    places: dict[str, _Numbers] = {}
    for line in _lines(files):
        reading.lines += 1
        fields = _object(line)
        if fields is None:
            reading.unreadable += 1
            continue
        kind = fields.get("type")
        if kind == "error":
            reading.errors += 1
        try:
            if kind == "result":
                name = _name(str(fields.get("source", "")))
                number = places.setdefault(name, _Numbers()).next(int(fields["index"]))
                yield _row(name, "", fields, number, fields["time"])
            elif kind == "part":
                for name, found in fields["inspections"].items():
                    if "error" in found:
                        reading.errors += 1
                        continue
                    number = places.setdefault(name, _Numbers()).next(int(fields["acquisition_id"]))
                    yield _row(name, str(found.get("camera", "")), found, number, fields["time"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            reading.unreadable += 1


class _Numbers:
    """Numbers of frames that count on when a later run begins at 0 again."""

    def __init__(self) -> None:
        self._offset, self._last = 0, -1

    def next(self, index: int) -> int:
        if index <= self._last:
            self._offset += self._last + 1
        self._last = index
        return self._offset + index


def _row(name: str, camera: str, fields: dict[str, Any], number: int, time: Any) -> Row:
    moment = _number(datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp(), 0, _LATEST)
    score, look = fields["score"], fields.get("look")
    seen = None
    if look is not None:
        seen = tuple(_number(look[key], -_LARGEST, _LARGEST) for key in ("light", "sharpness", "x", "y"))
    status = str(fields["status"])
    if fields.get("gated") and status == "good":
        status = "gated"
    value = float("nan") if score is None or score != score else _number(score, -0.01, 1.01)
    observation = Observation(Place(number, moment), status, value, seen)  # type: ignore[arg-type]
    return Row(name, camera, _number(fields["threshold"], 0, 1), observation)


def _number(value: Any, low: float, high: float) -> float:
    """A number that sums and dates can be made of; a damaged file may hold any."""
    number = float(value)
    if not low <= number <= high:
        raise ValueError(f"{number} is not in {low}..{high}")
    return number


def _promise(fields: dict[str, Any]) -> Promise:
    scores = tuple(sorted(_number(score, 0, 1) for score in fields["scores"]))
    return Promise(int(fields["normals"]), int(fields["above"]), scores)


def _name(source: str) -> str:
    """Image files are one inspection; a camera, a stream or a video is one by itself."""
    return FILES if Path(source).suffix.lower() in IMAGE_SUFFIXES or not source else source


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _lines(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        opener = gzip.open if path.suffix == ".gz" else open
        try:
            with opener(path, "rb") as stream:
                while line := stream.readline(_LONGEST):
                    if line.strip(b"\0 \r\n"):
                        yield line
        except (EOFError, zlib.error, gzip.BadGzipFile):  # cut off, or not compressed at all
            continue
        except OSError as error:
            raise unreadable(error, path, "Name a file that can be read.") from error
