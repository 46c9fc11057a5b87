"""`dmdd-edge evaluate`: a trained run on its test images, or all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmdd_edge.cli.console import console, next_step, print_json
from dmdd_edge.cli.options import JsonOption, QuietOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    context: typer.Context,
    category: Annotated[str | None, typer.Option("--category", help="Category, which names the run.")] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the run, when it is not the category's.")
    ] = None,
    runs_dir: Annotated[Path, typer.Option("--runs-dir", help="Folder of the runs.")] = Path("runs"),
    every: Annotated[
        bool, typer.Option("--all", help="Every run; with --data, those of its categories.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="Data set, when it is not where training found it.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Write a page of figures, curves and pictures: an HTML file; a folder with --all.",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    quiet: QuietOption = False,
    json_output: JsonOption = False,
) -> None:
    """Measure a trained run on its category's test images."""
    from dmdd_edge.cli.progress import Work, loading
    from dmdd_edge.cli.stages import need

    with need("train"), loading(quiet):
        from dmdd_edge.train.checkpoint import load_run
        from dmdd_edge.train.devices import choose_device
        from dmdd_edge.train.places import moved
        from dmdd_edge.train.report.writing import write_report
        from dmdd_edge.train.run_folder import run_lock
        from dmdd_edge.train.session import evaluate_run
    from dmdd_edge.cli.tables import print_result
    from dmdd_edge.commands import command, run_options
    from dmdd_edge.errors import DmddError
    from dmdd_edge.workspace import find_run

    if every:
        from dmdd_edge.cli.evaluate_all import evaluate_all

        if category is not None or run is not None:
            raise DmddError(
                "--all is given together with one run",
                fix="leave --all out, or leave --category and --run out",
            )
        evaluate_all(runs_dir, data, report, device, json_output, quiet)
        return
    folder = find_run(category, run, runs_dir)
    context.with_resource(run_lock(folder, shared=True))
    loaded = moved(load_run(folder), data)
    where = choose_device(device)
    with Work(quiet=quiet) as work:
        work.update("threshold")
        found = evaluate_run(loaded, None, where, lambda done, total: work.update("test images", done, total))
    print_result(found.metrics)
    for line in found.remarks:
        console.print(line, markup=False)
    written = list(found.files)
    if report is not None:
        with Work(quiet=quiet) as work:
            work.update("report")
            written.append(write_report(report, loaded, found, where))
    for file in written:
        console.print(f"wrote {file}", markup=False)
    if json_output:
        print_json(found.metrics)
    next_step(command("export", **run_options(folder, loaded.config.category), data=data))
