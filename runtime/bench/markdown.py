"""A measurement as one row of a Markdown table."""

from __future__ import annotations

from typing import Any

from dmdd_edge.evaluation.metrics import PAPER_FIELDS

_COLUMNS = (
    "bundle",
    "backbone",
    "backend",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "images/s",
    "stream fps",
    "I-AUROC",
    "P-AUROC",
    "PRO",
    "MB",
    "machine",
    "reliable",
)


def markdown_row(document: dict[str, Any], header: bool = True) -> str:
    """The row of a measurement; latencies are the host call's, or of the boundary that ``--like`` names.

    Args:
        document: as ``make_document`` made it.
        header: write the table's head above it.
    """
    row = "| " + " | ".join(summary_cells(document).values()) + " |\n"
    if not header:
        return row
    return "| " + " | ".join(_COLUMNS) + " |\n|" + "---|" * len(_COLUMNS) + "\n" + row


def summary_cells(document: dict[str, Any]) -> dict[str, str]:
    """The cells of a measurement's row by their columns; n/a where something was not measured.

    Args:
        document: as ``make_document`` made it.
    """
    bundle, backend = document["bundle"], document["backend"]
    single = document["scenarios"].get("single") or next(iter(document["scenarios"].values()), None)
    latency = {} if single is None else single["latency_ms"][single["headline"]]
    offline, stream, accuracy = document["offline"], document["stream"], document["accuracy"]
    machine = document["circumstances"]["machine"]
    gpu = document["circumstances"]["gpu"].get("name")
    on_cpu = f"{machine['cpu']}, {machine['cores_allowed']} cores"
    cells = [
        f"{bundle['category']} {bundle['version']}",
        f"{bundle['backbone']}, {bundle['image_size']} px",
        f"{backend['name']}, {backend['precision']}"
        + (f", as {document['like']}" if document["like"] else ""),
        *(_number(latency.get(name), 2) for name in ("p50", "p90", "p99")),
        "n/a"
        if offline is None or offline["throughput"] is None
        else f"{_number(offline['throughput'], 1)} (batch {offline['batch']})",
        "n/a" if stream is None else _number(stream["held_rate"], 1),
        *(_percent(accuracy.get(name)) for name in PAPER_FIELDS),
        _number(backend["file_bytes"] / 1e6, 1),
        on_cpu if gpu is None or backend["name"] == "cpu" else str(gpu),
        "yes" if document["reliable"] else "no: " + "; ".join(document["unreliable_because"]),
    ]
    return {name: cell.replace("|", "/") for name, cell in zip(_COLUMNS, cells, strict=True)}


def _number(value: float | None, digits: int) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.2f}"
