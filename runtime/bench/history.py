"""Append measurements to a CSV file, to follow a machine's figures over time."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.evaluation.metrics import PAPER_FIELDS
from dmdd_edge.failures import storage_errors
from dmdd_edge.runtime.bench.statistics import SHARES

COLUMNS = (
    "date", "commit", "dmdd_edge", "category", "version", "bundle_sha256", "backend", "precision",
    "file_sha256", "like", "scenario", "batch", "boundary", "queries", *SHARES, "throughput", "dropped",
    *PAPER_FIELDS,  # of the measured file; empty without --accuracy
    "reliable", "unreliable_because", "cpu", "cores", "gpu", "driver", "load_average",
)  # fmt: skip


def append_history(path: Path, document: dict[str, Any]) -> int:
    """Append a row for each scenario, boundary and batch size; a missing file is created, with a header.

    Args:
        path: the CSV file.
        document: as ``make_document`` returns it.

    Returns:
        The number of rows.

    Raises:
        OptionError: the file cannot be written, or has other columns.
    """
    rows = list(_rows(document))
    new = _is_new(path)
    with storage_errors(f"--history {path}", "written", "Name another file."):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            if new:
                writer.writeheader()
            writer.writerows(rows)
    return len(rows)


def check_history(path: Path) -> None:
    """Reject, before anything is measured, a file that rows cannot be appended to; its folder is created.

    Raises:
        OptionError: the file cannot be written, or has other columns.
    """
    check_writable(path, "--history")
    _is_new(path)


def check_writable(path: Path, option: str) -> None:
    """Reject, before anything is measured, an output file that cannot be written; its folder is created.

    Args:
        path: the file.
        option: the command-line option that names it.

    Raises:
        OptionError: it cannot be written.
    """
    problem = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror or str(error)
    if path.is_dir():
        problem = "it is a folder"
    elif not problem and not os.access(path if path.exists() else path.parent, os.W_OK):
        problem = "no permission"
    if problem:
        raise OptionError(f"Cannot write {option} {path}: {problem}.", "Name another file.")


def _is_new(path: Path) -> bool:
    """Whether the file needs a header.

    Raises:
        OptionError: it has other columns, or cannot be read.
    """
    try:
        if not path.exists() or path.stat().st_size == 0:
            return True
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"Cannot write --history {path}: {error}.", "Name another file.") from error
    if header != list(COLUMNS):
        raise OptionError(
            f"--history {path}: its columns differ from those of this version.", "Name another file."
        )
    return False


def _rows(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    conditions, bundle, backend = document["circumstances"], document["bundle"], document["backend"]
    common = {
        "date": conditions["date"],
        "commit": conditions["commit"] or "",
        "dmdd_edge": conditions["versions"]["dmdd-edge"],
        "category": bundle["category"],
        "version": bundle["version"],
        "bundle_sha256": bundle["sha256"],
        "backend": backend["name"],
        "precision": backend["precision"],
        "file_sha256": backend["file_sha256"],
        "like": document["like"] or "",
        **{name: _or_empty(document["accuracy"].get(name)) for name in PAPER_FIELDS},
        "cpu": conditions["machine"]["cpu"],
        "cores": conditions["machine"]["cores_allowed"],
        "gpu": conditions["gpu"].get("name", ""),
        "driver": conditions["gpu"].get("driver", ""),
        "load_average": conditions["load_average_before"],
    }
    for name, row in document["scenarios"].items():
        for boundary, spread in row["latency_ms"].items():
            if spread is not None:
                yield {
                    **common,
                    **_reliability(row),
                    **_percentiles(spread),
                    "scenario": name,
                    "batch": row["batch"],
                    "boundary": boundary,
                    "queries": row["queries"],
                    "throughput": row["throughput"],
                }
    for row in (document["offline"] or {}).get("sweep", []):
        if row["throughput"] is not None:
            figures = {name: row[name] for name in ("batch", "queries", "throughput")}
            yield {**common, **_reliability(row), **figures, "scenario": "offline"}
    if document["stream"] is not None:
        row = document["stream"]
        for boundary, spread in row["latency_ms"].items():
            yield {
                **common,
                **_reliability(row),
                **_percentiles(spread or {}),
                "scenario": "stream",
                "batch": 1,
                "boundary": boundary,
                "queries": row["judged"],
                "throughput": "" if row["held_rate"] is None else row["held_rate"],
                "dropped": row["dropped"],
            }


def _reliability(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "reliable": "yes" if row["reliable"] else "no",
        "unreliable_because": "; ".join(row["unreliable_because"]),
    }


def _percentiles(spread: dict[str, Any]) -> dict[str, Any]:
    return {name: _or_empty(spread.get(name)) for name in SHARES}


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value
