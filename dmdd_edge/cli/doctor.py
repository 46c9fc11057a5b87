"""``dmdd-edge doctor``: what works on this machine, what is missing, and how to get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.options.groups import ModelsDirOption
from dmdd_edge.runtime.options.backend import EngineCacheOption

if TYPE_CHECKING:
    from rich.table import Table

    from dmdd_edge.runtime.doctor.findings import Finding, Report

_HEADINGS = {
    "machine": "machine",
    "gpu": "GPU",
    "engines": "TensorRT",
    "onnxruntime": "ONNX Runtime",
    "opencv": "OpenCV",
    "cameras": "cameras",
    "genicam": "GenICam cameras",
    "packages": "packages",
    "bundles": "bundles",
}
_STYLES = {"ok": "green", "missing": "yellow", "broken": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "doctor", doctor, DoctorOptions)


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(JsonOutput, EngineCacheOption, ModelsDirOption):
    """The options of ``doctor``."""


def doctor(options: DoctorOptions) -> None:
    """Report what works on this machine, what is missing, and the command that installs it.

    Exit code 1 when something installed is broken, or when no backend can run a bundle.
    """
    from dmdd_edge.cli.console import print_json
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.runtime.doctor.examination import examine

    with Work() as work:
        work.update("checking this machine")
        report = examine(options.models_dir, options.engine_cache)
    if options.json:
        print_json(report.to_json())
    else:
        _show(report, _next(report, options))
    if not report.healthy:
        raise typer.Exit(1)


def _show(report: Report, step: str) -> None:
    from dmdd_edge.cli.console import console, next_step

    console.print(_table(report))
    for state, heading in (("broken", "To fix:"), ("missing", "To get what is missing:")):
        selected = [finding for finding in report.findings if finding.state == state]
        if selected:
            console.print(f"\n{heading}")
        for fix, findings in _by_fix(selected):
            for finding in findings:
                console.print(f"  {finding.title}, for {finding.needed_for}")
            console.print(f"    {fix}")
    console.print()
    console.print(_verdict(report))
    if step:
        next_step(step)


def _table(report: Report) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    group = ""
    for finding in report.findings:
        if finding.group != group:
            if group:
                table.add_row()
            group = finding.group
            table.add_row(_HEADINGS[group], style="bold")
        state = Text(f"  {finding.state}", _STYLES[finding.state])
        table.add_row(state, finding.title, finding.detail)
    return table


def _by_fix(findings: list[Finding]) -> list[tuple[str, list[Finding]]]:
    """Findings grouped by the command that fixes them, in the order of the first of each."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.fix:
            groups.setdefault(finding.fix, []).append(finding)
    return list(groups.items())


def _verdict(report: Report) -> str:
    running = [finding for finding in report.bundles if finding.state == "ok"]
    if running:
        verdict = "ready to run: " + ", ".join(finding.facts["category"] for finding in running)
    elif report.bundles:
        verdict = "no bundle can run on this machine"
    elif report.backends:
        verdict = f"ready for a bundle, with --backend {' or '.join(report.backends)}"
    else:
        verdict = "no bundle can run on this machine: no backend works"
    broken = report.broken
    if broken:
        verdict += "; broken: " + ", ".join(finding.title for finding in broken)
    return verdict


def _next(report: Report, options: DoctorOptions) -> str:
    from dmdd_edge.messages.commands import command
    from dmdd_edge.runs import first_bundle_command

    running = [finding.facts["category"] for finding in report.bundles if finding.state == "ok"]
    if not running:
        if report.bundles or not report.backends:
            return ""
        return first_bundle_command(options.models_dir, engine_cache=options.engine_cache)
    category = None if len(report.bundles) == 1 else running[0]
    groups = ("cameras", "genicam")
    cameras = [f for f in report.findings if f.group in groups and f.state == "ok" and "path" in f.facts]
    source = cameras[0].facts["path"] if cameras else "FOLDER_OR_IMAGE"
    return command(
        "run",
        category=category,
        models_dir=options.models_dir,
        engine_cache=options.engine_cache,
        source=source,
    )
