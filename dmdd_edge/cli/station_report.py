"""What ``dmdd-edge station check`` prints."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.cli.console import console, print_json
from dmdd_edge.cli.findings import findings_table, print_fixes
from dmdd_edge.runtime.station.check.report import StationReport
from dmdd_edge.runtime.station.file.problems import StationFileError
from dmdd_edge.runtime.station.settings import StationSettings

_HEADINGS = {
    "cameras": "cameras",
    "inspections": "inspections",
    "recipes": "recipes",
    "plc": "PLC",
    "gpio": "24 V lines",
    "results": "results",
}


def print_report(path: Path, settings: StationSettings, report: StationReport, as_json: bool) -> None:
    """Print what was found, as one table and a verdict, or as JSON.

    Args:
        path: of the file, as the user named it.
        settings: what the file says.
        report: what was found.
        as_json: for a program, on standard output.
    """
    if as_json:
        print_json({**report.to_json(), "path": str(path), "problems": []})
        return
    console.print(_verdict(path, settings, report), style="bold")
    console.print(findings_table(report.findings, _HEADINGS))
    print_fixes(report.findings)
    if report.remarks:
        console.print()
    for remark in report.remarks:
        console.print(f"note: {remark}")


def print_problems(path: Path, error: StationFileError) -> None:
    """Print the problems of a file as JSON."""
    problems = [problem.to_json() for problem in error.problems]
    empty = StationReport(path, ()).to_json()
    print_json({**empty, "healthy": False, "problems": problems})


def _verdict(path: Path, settings: StationSettings, report: StationReport) -> str:
    if not report.broken:
        return f"{path}: station {settings.name} can run"
    parts = [finding.title for finding in report.broken]
    return f"{path}: {len(parts)} of {len(report.findings)} do not work: {', '.join(parts)}"
