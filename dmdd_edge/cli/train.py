"""`dmdd-edge train`: good images in, a run out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dmdd_edge.cli.console import console, next_step, print_json
from dmdd_edge.cli.options import JsonOption, QuietOption

if TYPE_CHECKING:
    from dmdd_edge.train.session import Outcome

_Method = "Method (the paper's ablation rows)"
_Data = "Images"
_Length = "Length and speed"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)


def train(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Data set (MVTec AD, BTAD, MPDD layout) or a folder of good images.",
            rich_help_panel=_Data,
        ),
    ] = None,
    category: Annotated[
        str | None, typer.Option("--category", help="Category in the data set.", rich_help_panel=_Data)
    ] = None,
    textures: Annotated[
        Path | None,
        typer.Option(
            "--textures",
            help="Texture images for the synthesis (DTD or any folder). Default: built-in.",
            rich_help_panel=_Data,
        ),
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(
            "--roi", metavar="X,Y,W,H", help="Region of interest in source pixels.", rich_help_panel=_Data
        ),
    ] = None,
    rotate: Annotated[
        int, typer.Option("--rotate", help="Degrees clockwise: 0, 90, 180, 270.", rich_help_panel=_Data)
    ] = 0,
    ignore_mask: Annotated[
        Path | None,
        typer.Option("--ignore-mask", help="Image whose white pixels are not judged.", rich_help_panel=_Data),
    ] = None,
    bits: Annotated[
        int,
        typer.Option(
            "--bits",
            help="Bits that the camera's 16-bit files use: 10, 12, 14 or 16.",
            rich_help_panel=_Data,
        ),
    ] = 16,
    holdout: Annotated[
        float | None,
        typer.Option(
            "--holdout",
            help="Share of the good images kept to set the threshold. Default: 0.1.",
            rich_help_panel=_Data,
        ),
    ] = None,
    backbone: Annotated[
        str, typer.Option("--backbone", help="efficientnet_lite0, resnet18, wide_resnet50_2 or timm:<name>.")
    ] = "efficientnet_lite0",
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="File with the backbone's weights, for sites without internet."),
    ] = None,
    recipe: Annotated[
        Literal["edge", "paper"], typer.Option("--recipe", help="edge is ours, paper is the paper's.")
    ] = "edge",
    image_size: Annotated[
        int | None, typer.Option("--image-size", help="Side of the network's input in pixels. Default: 256.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            help="Training steps. Default: chosen from the number of images.",
            rich_help_panel=_Length,
        ),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option("--epochs", help="Passes over the images.", rich_help_panel=_Length)
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", help="Time limit, preparation included.", rich_help_panel=_Length),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Pairs a step.", rich_help_panel=_Length)
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", help="Learning rate of the student.", rich_help_panel=_Length)
    ] = None,
    head_steps: Annotated[
        int | None,
        typer.Option(
            "--head-steps", help="Steps of the head, when it learns at the end.", rich_help_panel=_Length
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of every random number.")] = 0,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu or cuda.", rich_help_panel=_Length)
    ] = "auto",
    amp: Annotated[
        Literal["auto", "off", "bf16", "fp16"],
        typer.Option("--amp", help="Half precision.", rich_help_panel=_Length),
    ] = "auto",
    workers: Annotated[
        int, typer.Option("--workers", help="Threads that synthesise anomalies.", rich_help_panel=_Length)
    ] = 2,
    cache_mb: Annotated[
        int | None,
        typer.Option(
            "--cache-mb",
            help="Memory for the teacher's features. Default: half of what is free.",
            rich_help_panel=_Length,
        ),
    ] = None,
    foreground: Annotated[
        Literal["auto", "grabcut", "otsu", "none"] | None,
        typer.Option(
            "--foreground",
            metavar="HOW",
            help="Where anomalies may lie: auto, grabcut, otsu, none.",
            rich_help_panel=_Method,
        ),
    ] = None,
    branches: Annotated[
        Literal["both", "normality", "abnormality"] | None,
        typer.Option(
            "--branches",
            metavar="WHICH",
            help="Branches of the student: both, normality, abnormality.",
            rich_help_panel=_Method,
        ),
    ] = None,
    pmn: Annotated[
        Literal["full", "inner", "none"] | None,
        typer.Option(
            "--pmn",
            metavar="PATHS",
            help="Paths of the Pyramid Modeling Network: full, inner, none.",
            rich_help_panel=_Method,
        ),
    ] = None,
    head: Annotated[
        Literal["scaled", "msn", "sum"] | None,
        typer.Option(
            "--head",
            metavar="KIND",
            help="scaled (maps weighed by good images), msn (the paper's network), sum (of the maps).",
            rich_help_panel=_Method,
        ),
    ] = None,
    fas: Annotated[
        bool, typer.Option("--fas/--no-fas", help="Foreground-aware synthesis.", rich_help_panel=_Method)
    ] = True,
    pyramid_upsampling: Annotated[
        bool | None,
        typer.Option(
            "--pu/--no-pu",
            help="Pyramid upsampling (PU), of the head msn.",
            rich_help_panel=_Method,
        ),
    ] = None,
    multi_perception: Annotated[
        bool | None,
        typer.Option("--mm/--no-mm", help="Multi-perception (MM), of the head msn.", rich_help_panel=_Method),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Name of the run. Default: the category's.")
    ] = None,
    runs_dir: Annotated[Path, typer.Option("--runs-dir", help="Folder of the runs.")] = Path("runs"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write a TensorBoard log into the run.")
    ] = False,
    quiet: QuietOption = False,
    json_output: JsonOption = False,
) -> None:
    """Train a detector on images of good parts."""
    began = time.monotonic()
    from dmdd_edge.cli.progress import Work, loading
    from dmdd_edge.cli.stages import need
    from dmdd_edge.cli.train_plan import given_options, plan_training

    # All that a user can mistype is checked before torch is loaded, which takes seconds.
    plan = plan_training(context.params, given_options(context))
    with need("train"), loading(quiet):
        from dmdd_edge.train.devices import choose_device
        from dmdd_edge.train.run_folder import open_run, run_lock
        from dmdd_edge.train.session import train as run_training
    from dmdd_edge.cli.train_progress import Interrupts, TrainProgress, after_stop

    choose_device(plan.config.device)
    folder = plan.folder
    context.with_resource(run_lock(folder))
    config = open_run(folder, plan.config, resume=resume, overwrite=overwrite)
    for note in () if quiet else plan.notes:
        console.print(note)
    try:
        with Interrupts() as interrupts, Work(quiet=quiet) as work:
            outcome = run_training(
                config,
                folder,
                TrainProgress(work, interrupts),
                resume=resume,
                tensorboard=tensorboard,
                began=began,
            )
    except KeyboardInterrupt:
        said, command = after_stop(folder, config.category)
        console.print(said)
        if command is not None:
            next_step(command)
        raise typer.Exit(interrupts.exit_code) from None
    _report(outcome, folder, json_output)


def _report(outcome: Outcome, folder: Path, json_output: bool) -> None:
    from dmdd_edge.cli.train_remarks import next_after_training, short_training
    from dmdd_edge.train.outliers import describe

    if outcome.metrics is not None:
        from dmdd_edge.cli.tables import print_result

        print_result(outcome.metrics)
    if outcome.threshold is not None:
        console.print(outcome.threshold.describe())
    if outcome.metrics is None and json_output:
        print_json(
            {
                "category": outcome.category.name,
                "run": str(folder),
                "train_seconds": outcome.run.info["train_seconds"],
                "made_damage": None if outcome.damage is None else outcome.damage.metrics,
            }
        )
    if outcome.damage is not None:
        from dmdd_edge.cli.tables import print_damage
        from dmdd_edge.train.report.writing import write_report

        print_damage(outcome.damage.metrics)
        where = next(outcome.run.model.parameters()).device
        outcome.pictures.append(write_report(folder / "report.html", outcome.run, outcome.damage, where))
    if json_output and outcome.metrics is not None:
        print_json(outcome.metrics)
    for line in describe(outcome.run.info.get("outliers")):
        console.print(line, markup=False, style="yellow")
    for picture in outcome.pictures:
        console.print(f"wrote {picture}", markup=False)
    if remark := short_training(outcome.run.config, outcome.run.info["steps"]):
        console.print(remark, style="yellow")
    next_after_training(folder, outcome.run.config, outcome.run.info)
