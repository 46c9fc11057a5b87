"""`dmdd-edge evaluate --all`: prints each run as it is evaluated, then the table of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from dmdd_edge.cli.console import console, next_step, print_json
from dmdd_edge.cli.progress import Work
from dmdd_edge.errors import TrainingError
from dmdd_edge.evaluation.decisions import result_lines
from dmdd_edge.messages.commands import command, run_options
from dmdd_edge.run_store.mirror import local_folder

if TYPE_CHECKING:
    from dmdd_edge.cli.evaluate import EvaluateCommand
    from dmdd_edge.train.report.overview import Overview
    from dmdd_edge.train.session import Measured


def print_all(options: EvaluateCommand) -> None:
    """Evaluate every run, print a table with the mean of its rows, write the requested pages.

    Raises:
        DmddError: there is nothing to evaluate; or, at the end, some runs could not be evaluated.
    """
    from dmdd_edge.train.evaluate_all import evaluate_all

    with Work(quiet=options.quiet) as work:
        overview, files = evaluate_all(
            options.runs_dir, options.data, options.report, options.device, work, _print_run
        )
    if overview.rows:
        console.print(overview_table(overview))
    for file in files:
        console.print(f"wrote {file}", markup=False)
    if options.json:
        print_json(overview.as_dict())
    if overview.failed:
        count = len(overview.rows) + len(overview.failed)
        raise TrainingError(
            f"{len(overview.failed)} of {count} runs not evaluated: {', '.join(overview.failed)}.",
            "See the reasons above; all other runs were evaluated.",
        )
    if overview.rows:
        first, row = next(iter(overview.rows.items()))
        next_step(
            command(
                "export",
                **run_options(local_folder(options.runs_dir) / first, row["category"]),
                data=options.data,
            )
        )


def _print_run(name: str, outcome: Measured | str) -> None:
    """Print a run in a line or two."""
    from dmdd_edge.train.made_damage import damage_line

    if isinstance(outcome, str):
        console.print(f"{name}: {outcome}", markup=False)
    elif outcome.damage:
        console.print(damage_line(outcome.metrics), markup=False)
    else:
        for line in outcome.remarks:
            console.print(f"{name}: {line}", markup=False)
        for line in result_lines(outcome.metrics)[:1]:
            console.print(line, markup=False)


def overview_table(overview: Overview) -> Table:
    """The figures of several runs, for the terminal."""
    head, rows = overview.cells()
    table = Table(title=f"{len(overview.rows)} runs, %", title_justify="left")
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number < 2 else "right")
    for number, row in enumerate(rows):
        table.add_row(*row, style="bold" if number == len(overview.rows) else None)
    return table
