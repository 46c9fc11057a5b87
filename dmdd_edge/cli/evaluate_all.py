"""`dmdd-edge evaluate --all`: every run in turn; one that fails is named, and the rest go on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from dmdd_edge.cli.console import console, next_step, print_json
from dmdd_edge.cli.progress import Work
from dmdd_edge.errors import DmddError, OptionError, TrainingError
from dmdd_edge.evaluation.decisions import result_lines
from dmdd_edge.messages.commands import command, run_options

if TYPE_CHECKING:
    from dmdd_edge.train.report.overview import Overview


def evaluate_all(
    runs_dir: Path,
    data: Path | None,
    report: Path | None,
    device: str,
    json_output: bool,
    quiet: bool = False,
) -> None:
    """Measure every run, print a table with the mean of its rows, write the pages asked for.

    Args:
        runs_dir: folder of the runs.
        data: data set; then only the runs of its categories are measured, on its images.
        report: folder for a page a run and an index.html; None writes none.
        device: ``auto``, ``cpu`` or ``cuda``.
        json_output: print the rows, their mean and the failures as JSON.
        quiet: report no progress.

    Raises:
        DmddError: there is nothing to measure; or, at the end, some runs could not be measured.
    """
    from dmdd_edge.train.checkpoint import load_run
    from dmdd_edge.train.devices import choose_device
    from dmdd_edge.train.made_damage import damage_lines
    from dmdd_edge.train.places import moved
    from dmdd_edge.train.report.overview import Overview
    from dmdd_edge.train.report.writing import write_overview, write_report
    from dmdd_edge.train.run_folder import run_lock
    from dmdd_edge.train.session import evaluate_run

    where = choose_device(device)
    if report is not None and (report.is_file() or report.suffix in (".html", ".htm")):
        raise OptionError(
            f"--report {report} names a file", fix="with --all give a folder: a page is written for each run"
        )
    names = _runs(runs_dir, data)
    overview = Overview()
    pages: dict[str, Path] = {}
    for name in names:
        try:
            run = moved(load_run(runs_dir / name), data)
            with run_lock(run.folder, shared=True), Work(quiet=quiet) as work:
                work.update(name)
                found = evaluate_run(run, None, where, partial(work.update, f"{name}, judging images"))
            if report is not None:
                report.mkdir(parents=True, exist_ok=True)
                pages[name] = write_report(report, run, found, where)
            if found.damage:
                console.print(damage_lines(found.metrics)[0], markup=False)
                continue
            overview.rows[name] = found.metrics
            for line in found.remarks:
                console.print(f"{name}: {line}", markup=False)
            for line in result_lines(found.metrics)[:1]:
                console.print(line, markup=False)
        except Exception as error:  # whatever is wrong with one run, the others are measured
            reason = error.message if isinstance(error, DmddError) else f"{type(error).__name__}: {error}"
            overview.failed[name] = reason
            console.print(f"{name}: {reason}", markup=False)
    if overview.rows:
        console.print(_table(overview))
    for page in pages.values():
        console.print(f"wrote {page}", markup=False)
    if report is not None:
        console.print(f"wrote {write_overview(report, overview, pages)}", markup=False)
    if json_output:
        print_json(overview.as_dict())
    if overview.failed:
        raise TrainingError(
            f"{len(overview.failed)} of {len(names)} runs not measured: {', '.join(overview.failed)}",
            fix="the reasons stand above; the others were measured",
        )
    if overview.rows:
        first, row = next(iter(overview.rows.items()))
        next_step(command("export", **run_options(runs_dir / first, row["category"]), data=data))


def _runs(runs_dir: Path, data: Path | None) -> list[str]:
    """The runs that are meant.

    Raises:
        DmddError: there are none.
    """
    from dmdd_edge.data.datasets import list_categories
    from dmdd_edge.train.checkpoint import read_config
    from dmdd_edge.workspace import list_runs

    names = list_runs(runs_dir)
    if not names:
        raise TrainingError(
            f"there is no run in {runs_dir}/",
            fix=f"Train one: {command('train', data='DIR', runs_dir=runs_dir)}",
        )
    if data is None:
        return names
    categories = list_categories(data)
    chosen = []
    for name in names:
        try:
            category = read_config(runs_dir / name).category
        except DmddError:
            category = name  # a run that cannot be read fails under its own name, rather than vanish
        if category in categories:
            chosen.append(name)
    if not chosen:
        raise TrainingError(
            f"none of the runs in {runs_dir}/ is of a category of {data} ({', '.join(categories)})",
            fix="leave --data out to measure every run",
        )
    return chosen


def _table(overview: Overview) -> Table:
    """The overview for the terminal."""
    head, rows = overview.cells()
    table = Table(title=f"{len(overview.rows)} runs, %", title_justify="left")
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number < 2 else "right")
    for number, row in enumerate(rows):
        table.add_row(*row, style="bold" if number == len(overview.rows) else None)
    return table
