"""The rows about images, and the Parquet file of one shard: the fields of a result line as columns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.errors import DataError
from dmdd_edge.extras import need
from dmdd_edge.failures import storage_errors
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.result import Result

Row = dict[str, Any]

#: The key of the metadata of a Parquet file that says what decided.
METADATA_KEY = b"dmdd_edge"
#: The values of ``status``, as they are counted.
STATUSES = ("good", "suspect", "anomalous", "unreliable", "error")


def result_row(result: Result) -> Row:
    """The fields of a result line; times are in milliseconds since 1970."""
    line = {"gated": False, "stopped_early": False, **result.to_json(), "time": round(1000 * result.time)}
    line["source"] = _text(result.source)
    return line


def error_row(source: str, index: int, message: str) -> Row:
    """The row of an image without a result."""
    row: Row = {"type": "error", "source": _text(source), "index": index, "status": "error"}
    return {**row, "error": _text(message)}


def broken_row(frame: BrokenFrame) -> Row:
    """The row of an image that cannot be read."""
    return error_row(frame.source, frame.index, frame.error.message)


def require_pyarrow() -> None:
    """Raise a ``BackendError`` without pyarrow."""
    with need("judge"):
        import pyarrow.parquet  # noqa: F401


def count_statuses(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows there are of each status."""
    counts = Counter(row["status"] for row in rows)
    return {status: counts[status] for status in STATUSES}


def parquet_bytes(rows: Sequence[Row], decided_by: Mapping[str, Any]) -> bytes:
    """A Parquet file.

    Args:
        rows: its rows.
        decided_by: what is recorded in its metadata, with the counts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    record = json.dumps({**decided_by, "counts": count_statuses(rows)}).encode()
    table = pa.Table.from_pylist(list(rows), schema=_schema().with_metadata({METADATA_KEY: record}))
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream, compression="zstd")
    data: bytes = stream.getvalue().to_pybytes()
    return data


@dataclass(frozen=True)
class Part:
    """What a Parquet file says about itself.

    Attributes:
        rows: how many it has.
        counts: of each status.
    """

    rows: int
    counts: Mapping[str, int]


def read_part(path: Path) -> Part:
    """Read the metadata of a file that ``parquet_bytes`` made.

    Raises:
        DmddError: it cannot be read, or is another one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with storage_errors(path, "read"):
            found = pq.read_metadata(path)
        counts = json.loads(found.metadata[METADATA_KEY])["counts"]
        return Part(found.num_rows, {status: int(counts[status]) for status in STATUSES})
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged, or not of this command.", "Remove it and continue with --resume."
        ) from error


def _schema() -> Any:
    import pyarrow as pa

    text, number, whole, flag = pa.string(), pa.float64(), pa.int64(), pa.bool_()
    region = dict.fromkeys(("x", "y", "width", "height", "area"), whole)
    sizes = {"peak": number, "area_mm2": number}
    times = ("capture", "prepare", "infer", "finish")
    look = ("light", "sharpness", "x", "y")
    return pa.schema(
        {
            "type": text,
            "source": text,
            "index": whole,
            "status": text,
            "time": pa.timestamp("ms", tz="UTC"),
            "score": number,
            "normalized_score": number,
            "threshold": number,
            "is_anomalous": flag,
            "regions": pa.list_(pa.struct({**region, **sizes})),
            "timings_ms": pa.struct(dict.fromkeys(times, number)),
            "dropped": whole,
            "suspect_threshold": number,
            "gated": flag,
            "stopped_early": flag,
            "inspected": number,
            "reason": text,
            "look": pa.struct(dict.fromkeys(look, number)),
            "error": text,
        }
    )


def _text(text: str) -> str:
    """A text as Parquet takes it: what is not UTF-8 in a file name becomes an escape."""
    return text.encode("utf-8", "backslashreplace").decode()
