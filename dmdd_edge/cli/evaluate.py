"""`dmdd-edge evaluate`: a run on its test images, or a run or bundle on folders of good and bad parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmdd_edge.cli.console import console, print_json
from dmdd_edge.cli.options import BackendOption, JsonOption, ModelOption, ModelsDirOption, QuietOption
from dmdd_edge.errors import OptionError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    context: typer.Context,
    category: Annotated[
        str | None, typer.Option("--category", help="Category, which names the run or the bundle.")
    ] = None,
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
    good: Annotated[
        Path | None, typer.Option("--good", help="Your own images of good parts, with subfolders.")
    ] = None,
    bad: Annotated[
        Path | None,
        typer.Option("--bad", help="Your own images of defective parts; a subfolder is a defect type."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option("--masks", help="Masks of the images of --bad, paired by name.")
    ] = None,
    model: ModelOption = None,
    models_dir: ModelsDirOption = Path("models"),
    backend: BackendOption = "auto",
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
    """Measure a run on its category's test images, or a run or a bundle on your own images.

    --good and --bad need no data set: --category takes the bundle if there is one, else the run.
    """
    from dmdd_edge.cli.evaluate_folders import Asked, evaluate_bundle
    from dmdd_edge.cli.evaluate_folders import evaluate_run as evaluate_run_on_folders
    from dmdd_edge.cli.progress import Work, loading
    from dmdd_edge.cli.train_remarks import next_after_training
    from dmdd_edge.extras import need
    from dmdd_edge.messages.commands import bundle_options
    from dmdd_edge.train.devices import check_device_name
    from dmdd_edge.workspace import find_bundle, find_run

    asked = Asked(good, bad, masks, data, report, quiet, json_output)
    own = good is not None or bad is not None
    if masks is not None and bad is None:
        raise OptionError("--masks is given without --bad.", "Give --bad DIR, the images of the masks.")
    if own and every:
        raise OptionError("--all is given together with --good or --bad.", "Name one run or bundle.")
    given = frozenset(
        n for n in context.params if (c := context.get_parameter_source(n)) and c.name == "COMMANDLINE"
    )
    if model is not None or _means_bundle(category, own, runs_dir, models_dir, given):
        if "device" in given:
            raise OptionError("--device is for runs, and a bundle is evaluated.", "Give --backend instead.")
        path = find_bundle(category, model, models_dir)
        evaluate_bundle(path, backend, asked, bundle_options(path.name, model, models_dir))
        return
    if "backend" in given:
        raise OptionError(
            "--backend is for bundles, and a run is evaluated.",
            "Give --device instead, or name a bundle by --model or --models-dir.",
        )
    if own:
        evaluate_run_on_folders(find_run(category, run, runs_dir), device, asked)
        return
    if every and (category is not None or run is not None):
        raise OptionError(
            "--all is given together with one run.",
            "Leave --all out, or leave --category and --run out.",
        )
    check_device_name(device)
    folder = runs_dir if every else find_run(category, run, runs_dir)
    with need("train"), loading(quiet):
        from dmdd_edge.train.checkpoint import load_run
        from dmdd_edge.train.devices import choose_device
        from dmdd_edge.train.made_damage import as_json
        from dmdd_edge.train.places import moved
        from dmdd_edge.train.report.writing import write_report
        from dmdd_edge.train.run_folder import run_lock
        from dmdd_edge.train.session import evaluate_run
    from dmdd_edge.cli.tables import print_damage, print_result

    if every:
        from dmdd_edge.cli.evaluate_all import evaluate_all

        evaluate_all(runs_dir, data, report, device, json_output, quiet)
        return
    context.with_resource(run_lock(folder, shared=True))
    loaded = moved(load_run(folder), data)
    where = choose_device(device)
    with Work(quiet=quiet) as work:
        work.update("threshold")
        found = evaluate_run(
            loaded, None, where, lambda done, total: work.update("judging images", done, total)
        )
    if found.damage:
        print_damage(found.metrics)
        report = folder / "report.html" if report is None else report
    else:
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
        print_json(as_json(found.metrics) if found.damage else found.metrics)
    next_after_training(folder, loaded.config, loaded.info, data=data)


def _means_bundle(
    category: str | None, own: bool, runs_dir: Path, models_dir: Path, given: frozenset[str]
) -> bool:
    """Whether a bundle is meant without --model: options of bundles alone or of runs alone were given.

    Where these say nothing, it is with the user's own images, or where there is no run.
    """
    from dmdd_edge.workspace import list_bundles, list_runs

    of_runs, of_bundles = given & {"every", "run", "runs_dir", "device"}, given & {"models_dir", "backend"}
    if given & {"every", "run"} or (of_runs and not of_bundles):
        return False
    if of_bundles and not of_runs:
        return True

    bundles, runs = list_bundles(models_dir), list_runs(runs_dir)
    there = bool(bundles) if category is None else category in bundles
    trained = bool(runs) if category is None else category in runs
    return there and (own or not trained)
