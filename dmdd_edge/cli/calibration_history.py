"""``calibrate --undo`` and ``--history``: the calibrations that a version had before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dmdd_edge.errors import DmddError
from dmdd_edge.messages.commands import bundle_options, command

if TYPE_CHECKING:
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.bundle.calibration import Calibration
    from dmdd_edge.cli.calibrate import CalibrateCommand


def undo(bundle: Bundle, options: CalibrateCommand) -> None:
    """Return to the calibration before."""
    from dmdd_edge.bundle.calibration import effective_threshold
    from dmdd_edge.bundle.calibration_undo import before_undo, undo_calibration
    from dmdd_edge.cli.calibrate import WORKING
    from dmdd_edge.cli.console import console, next_step, print_json

    remarks = gate_way_back(bundle, before_undo(bundle), options.allow_loss)
    found = undo_calibration(bundle)
    threshold = effective_threshold(bundle)
    if options.json:
        print_json(
            {"category": bundle.category, "version": bundle.version, **_row(bundle, found, in_force=True)}
        )
    what = "as exported" if found is None else f"as calibrated on {found.created} from {found.source}"
    console.print(f"{bundle.category}: threshold {threshold.image:.4f}, {what}")
    for line in remarks:
        console.print(line)
    console.print(WORKING)
    chosen = bundle_options(bundle.category, options.model, options.models_dir)
    chosen["precision"] = bundle.precision or None
    next_step(command("calibrate", **chosen, history=True))


def gate_way_back(bundle: Bundle, target: Calibration | None, allow_loss: bool) -> list[str]:
    """Check a threshold that was in use before; returns what is printed below the threshold.

    Raises:
        DmddError: it is refused; what was found out is printed.
    """
    from dmdd_edge.cli.console import console
    from dmdd_edge.runtime.challenge.gate import GateOptions, gate_threshold

    remarks: list[str] = []
    try:
        gate_threshold(bundle, target, GateOptions(allow_loss, say=remarks.append), back=True)
    except DmddError:
        for line in remarks:
            console.print(line)
        raise
    return remarks


def history(bundle: Bundle, options: CalibrateCommand) -> None:
    """List the calibrations, the one in force last."""
    from rich.table import Table

    from dmdd_edge.cli.console import console, next_step, print_json

    rows = calibrations(bundle)
    if options.json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("threshold", "rate", "good parts", "set", "from"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            f"{row['threshold']:.4f}" + (" (in use)" if row["in_use"] else ""),
            _supported(row),
            str(row["normals"]),
            row["created"] or "at export",
            row["source"],
        )
    console.print(table)
    chosen = bundle_options(bundle.category, options.model, options.models_dir)
    chosen["precision"] = bundle.precision or None
    if len(rows) > 1:
        next_step(command("calibrate", **chosen, undo=True))


def calibrations(bundle: Bundle) -> list[dict[str, Any]]:
    """The calibrations of a version as fields for JSON, the oldest first and the one in force last.

    Raises:
        DmddError: a file cannot be read.
    """
    from dmdd_edge.bundle.calibration import read_calibration
    from dmdd_edge.bundle.calibration_undo import earlier_calibrations

    rows = [_row(bundle, found, in_force=False) for found in earlier_calibrations(bundle)]
    return [*rows, _row(bundle, read_calibration(bundle), in_force=True)]


def _supported(row: dict[str, Any]) -> str:
    """The false-alarm rate that a threshold keeps, and the requested one where that is lower."""
    from dmdd_edge.bundle.threshold import percent

    asked, kept = percent(row["alpha"]), percent(row["attainable"])
    return asked if row["holds"] else f"{kept} ({asked} needs {row['needed']} good parts)"


def _row(bundle: Bundle, found: Calibration | None, in_force: bool) -> dict[str, Any]:
    threshold = bundle.manifest.threshold if found is None else found.threshold
    return {
        "threshold": threshold.image,
        "alpha": threshold.alpha,
        "attainable": threshold.attainable,
        "needed": threshold.needed,
        "holds": threshold.holds,
        "normals": threshold.normals,
        "created": None if found is None else found.created,
        "source": "" if found is None else found.source,
        "in_use": in_force,
    }
