"""A measurement's rows at the end of a CSV file, so that a machine's figures can be followed over time."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.evaluation.metrics import PAPER_FIELDS
from dmdd_edge.failures import storage_errors
from dmdd_edge.runtime.bench.percentiles import SHARES

COLUMNS = (
    "date", "commit", "dmdd_edge", "category", "version", "bundle_sha256", "backend", "precision",
    "file_sha256", "like", "scenario", "batch", "boundary", "queries", *SHARES, "throughput", "dropped",
    *PAPER_FIELDS,  # of the very file that is measured; empty where accuracy was not
    "reliable", "unreliable_because", "cpu", "cores", "gpu", "driver", "load_average",
)  # fmt: skip


def append_history(path: Path, document: dict[str, Any]) -> int:
    """Append a row for each scenario, boundary and batch size; a file that is not there is made, with a head.

    Args:
        path: the CSV file.
        document: as ``make_document`` made it.

    Returns:
        How many rows were written.

    Raises:
        DmddError: the file cannot be written, or has other columns.
    """
    rows = list(_rows(document))
    new = check_history(path)
    with storage_errors(f"--history {path}", "written", "Name another file."):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            if new:
                writer.writeheader()
            writer.writerows(rows)
    return len(rows)


def check_history(path: Path) -> bool:
    """Whether the file is still to be begun.

    Raises:
        DmddError: it is there with other columns, or cannot be read.
    """
    try:
        if not path.exists() or path.stat().st_size == 0:
            return True
        with path.open(encoding="utf-8", newline="") as file:
            head = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--history {path} cannot be written: {error}.", "Name another file.") from error
    if head != list(COLUMNS):
        raise OptionError(
            f"--history {path}: its columns are not those of this dmdd-edge.", "Name another file."
        )
    return False


def _rows(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    around, bundle, backend = document["circumstances"], document["bundle"], document["backend"]
    common = {
        "date": around["date"],
        "commit": around["commit"] or "",
        "dmdd_edge": around["versions"]["dmdd-edge"],
        "category": bundle["category"],
        "version": bundle["version"],
        "bundle_sha256": bundle["sha256"],
        "backend": backend["name"],
        "precision": backend["precision"],
        "file_sha256": backend["file_sha256"],
        "like": document["like"] or "",
        **{name: _filled(document["accuracy"].get(name)) for name in PAPER_FIELDS},
        "cpu": around["machine"]["cpu"],
        "cores": around["machine"]["cores_allowed"],
        "gpu": around["gpu"].get("name", ""),
        "driver": around["gpu"].get("driver", ""),
        "load_average": around["load_average_before"],
    }
    for name, row in document["scenarios"].items():
        for boundary, spread in row["latency_ms"].items():
            if spread is not None:
                yield {
                    **common,
                    **_judged(row),
                    **_percentiles(spread),
                    "scenario": name,
                    "batch": row["batch"],
                    "boundary": boundary,
                    "queries": row["queries"],
                    "throughput": row["throughput"],
                }
    for row in (document["offline"] or {}).get("sweep", []):
        if row["throughput"] is not None:
            found = {name: row[name] for name in ("batch", "queries", "throughput")}
            yield {**common, **_judged(row), **found, "scenario": "offline"}
    if document["stream"] is not None:
        row = document["stream"]
        for boundary, spread in row["latency_ms"].items():
            yield {
                **common,
                **_judged(row),
                **_percentiles(spread or {}),
                "scenario": "stream",
                "batch": 1,
                "boundary": boundary,
                "queries": row["judged"],
                "throughput": "" if row["held_rate"] is None else row["held_rate"],
                "dropped": row["dropped"],
            }


def _judged(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "reliable": "yes" if row["reliable"] else "no",
        "unreliable_because": "; ".join(row["unreliable_because"]),
    }


def _percentiles(spread: dict[str, Any]) -> dict[str, Any]:
    return {name: _filled(spread.get(name)) for name in SHARES}


def _filled(value: float | None) -> float | str:
    return "" if value is None else value
