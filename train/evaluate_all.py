"""Evaluate every run of a folder in turn: the rest of them also when one fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dmdd_edge.data_address import DataPlace
from dmdd_edge.errors import DmddError, OptionError, TrainingError
from dmdd_edge.extras import need
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.reporter import Reporter

if TYPE_CHECKING:
    from dmdd_edge.train.report.overview import Overview
    from dmdd_edge.train.session import Measured


def evaluate_all(
    runs_dir: Path | str,
    data: DataPlace | None,
    report: Path | None,
    device: str,
    reporter: Reporter,
    finished: Callable[[str, Measured | str], None],
) -> tuple[Overview, list[Path]]:
    """Evaluate every run, and write the pages.

    Args:
        runs_dir: folder of the runs, or its address in a store.
        data: data set; then only the runs of its categories are evaluated, on its images.
        report: folder for a page per run and an index.html; None writes none.
        device: ``auto``, ``cpu`` or ``cuda``.
        reporter: receives the progress.
        finished: called with a run's name and its figures, or the reason why it could not be evaluated.

    Returns:
        the figures of all runs, and the pages.

    Raises:
        OptionError: ``report`` is a file, or no run is of a category of ``data``.
        TrainingError: there is no run.
    """
    if report is not None and (report.is_file() or report.suffix in (".html", ".htm")):
        raise OptionError(
            f"--report {report} names a file.", "With --all give a folder: a page is written for each run."
        )
    names = _runs(runs_dir, data)
    reporter.update("loading torch")
    with need("train"):
        from dmdd_edge.run_store.runs import kept
        from dmdd_edge.train.checkpoint import load_run
        from dmdd_edge.train.devices import choose_device
        from dmdd_edge.train.places import moved
        from dmdd_edge.train.report.overview import Overview
        from dmdd_edge.train.report.writing import write_overview, write_report
        from dmdd_edge.train.run_folder import run_lock
        from dmdd_edge.train.session import evaluate_run
        from dmdd_edge.workspace import find_run

    where = choose_device(device)
    overview = Overview()
    pages: dict[str, Path] = {}
    for name in names:
        try:
            run = moved(load_run(find_run(None, name, runs_dir)), data)
            reporter.update(name)
            with run_lock(run.folder, shared=True), kept(run.folder, "continue", reporter.say):
                measured = evaluate_run(
                    run,
                    None,
                    where,
                    partial(reporter.update, f"{name}, evaluating images"),
                    partial(reporter.update, f"{name}, threshold"),
                )
            if report is not None:
                report.mkdir(parents=True, exist_ok=True)
                pages[name] = write_report(
                    report, run, measured, where, partial(reporter.update, f"{name}, report")
                )
        except Exception as error:  # whatever is wrong with one run, the others are evaluated
            reason = error.message if isinstance(error, DmddError) else f"{type(error).__name__}: {error}"
            overview.failed[name] = reason
            finished(name, reason)
            continue
        if not measured.damage:
            overview.rows[name] = measured.metrics
        finished(name, measured)
    files = list(pages.values())
    if report is not None:
        files.append(write_overview(report, overview, pages))
    return overview, files


def _runs(runs_dir: Path | str, data: DataPlace | None) -> list[str]:
    """The runs to evaluate."""
    from dmdd_edge.data.datasets import list_categories
    from dmdd_edge.run_store.runs import outline_of
    from dmdd_edge.train.run_folder import read_config
    from dmdd_edge.workspace import list_runs, run_folder

    names = list_runs(runs_dir)
    if not names:
        raise TrainingError(
            f"There is no run in {runs_dir}/.",
            f"Train one: {command('train', data='DIR', runs_dir=runs_dir)}",
        )
    if data is None:
        return names
    categories = list_categories(data)
    chosen = []
    for name in names:
        try:
            with outline_of(run_folder("", name, runs_dir)) as drawn:
                category = read_config(drawn).category
        except DmddError:
            category = name  # a run that cannot be read fails under its own name, rather than vanish
        if category in categories:
            chosen.append(name)
    if not chosen:
        raise OptionError(
            f"None of the runs in {runs_dir}/ is of a category of {data} ({', '.join(categories)}).",
            "Leave --data out to evaluate every run.",
        )
    return chosen
