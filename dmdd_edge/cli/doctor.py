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
    from dmdd_edge.runtime.doctor.findings import Report

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
    "challenge": "challenge sets",
}


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
    from dmdd_edge.cli.findings import findings_table, print_fixes

    console.print(findings_table(report.findings, _HEADINGS))
    print_fixes(report.findings)
    console.print()
    console.print(_verdict(report))
    if step:
        next_step(step)


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
