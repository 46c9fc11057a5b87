"""What ``dmdd-edge station simulate`` prints at its end."""

from __future__ import annotations

from rich.table import Table

from dmdd_edge.cli.console import console
from dmdd_edge.runtime.station.simulate.findings import Findings, Times


def print_findings(findings: Findings) -> None:
    """Print the closing table, the verdict first."""
    if findings.broken:
        console.print("the station did not keep its promises:", style="bold red")
        for line in findings.broken:
            console.print(f"  {line}")
    else:
        console.print(
            "every trigger was answered once, in order, and nothing passed without being judged good",
            style="bold green",
        )
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("triggers", f"{findings.triggers}: {findings.answered} answered, {findings.missed} missed")
    names = {"Pass": "pass", "Fail": "fail", "Unreliable": "unreliable", "Suspect": "suspect"}
    shown = [f"{findings.verdicts.get(name, 0)} {word}" for name, word in names.items()]
    band = f", {findings.in_band} of them in the band" if findings.in_band else ""
    table.add_row("results", ", ".join(shown) + band)
    if findings.cleared:
        table.add_row("cleared before", " ".join(findings.cleared))
    table.add_row("Trigger to ResultValid", _times(findings.trigger_to_result_ms))
    table.add_row("without camera and graph", _times(findings.overhead_ms))
    console.print(table)


def _times(times: Times) -> str:
    if times.p50 is None:
        return "n/a"
    return f"p50 {times.p50:.1f} ms, p90 {times.p90:.1f} ms, largest {times.largest:.1f} ms"
