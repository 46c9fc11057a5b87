"""`dmdd-edge train`: good images in, a run out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dmdd_edge.cli.console import console, hear_copies, next_step, print_json
from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput, QuietOutput
from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Rule
from dmdd_edge.options.groups import ClusterOptions, StoredModelsOption
from dmdd_edge.train.options import TrainOptions

if TYPE_CHECKING:
    from dmdd_edge.train.plan import Plan
    from dmdd_edge.train.train_detector import TrainedRun

_ALL = "Many categories"
#: Options of a training that one category alone can have.
OF_ONE = ("category", "run", "continue_run", "add")


@dataclass(frozen=True, kw_only=True)
class TrainCommand(JsonOutput, QuietOutput, ClusterOptions, StoredModelsOption, TrainOptions):
    """The options of the command."""

    every: Annotated[
        bool,
        Option(
            "Train, evaluate and export every category of the data set; with --resume what is left of them.",
            name="--all",
            panel=_ALL,
        ),
    ] = False
    jobs: Annotated[
        int,
        Option(
            "Categories at a time, which share the cores and GPUs; with --ray as many as have room.",
            panel=_ALL,
            minimum=1,
            range_in_help=False,
        ),
    ] = 1
    categories: Annotated[
        Path | None,
        Option(
            "TOML file: options of all categories at its top, and a table for each category with its own.",
            metavar="FILE",
            panel=_ALL,
        ),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("jobs", "categories", "ray"),
            lambda values: values["every"],
            "has no effect without --all",
            "add --all",
        ),
    )

    def check(self) -> None:
        """Refuse what contradicts ``--all``."""
        super().check()
        if not self.every:
            return
        for name in (*OF_ONE, "known_bad"):
            if name in self.given():
                listed = "" if name != "known_bad" else ", or set it for each category in --categories FILE"
                raise OptionError(
                    f"{self.spelling(name)} is for one category, and --all is given.",
                    f"Leave one of them out{listed}.",
                )
        if self.resume and self.overwrite:
            raise OptionError(
                "--resume and --overwrite are both given.",
                "Give --resume to continue, or --overwrite to train all categories again from the start.",
            )


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "train", train, TrainCommand)


def train(options: TrainCommand) -> None:
    """Train a detector on images of good parts; with --all one for every category of a data set."""
    hear_copies(None if options.quiet else console.print)
    if options.every:
        from dmdd_edge.cli.train_all import train_all

        train_all(options)
        return
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.cli.train_progress import Interrupts, TrainProgress, after_stop
    from dmdd_edge.train.plan import plan_training
    from dmdd_edge.train.train_detector import run_plan

    # All that a user can mistype is checked before torch is loaded, which takes seconds.
    plan = plan_training(options)
    if plan.sent:
        _report_sent(plan, options)
        return
    try:
        with Interrupts() as interrupts, Work(quiet=options.quiet) as work:
            run = run_plan(plan, options, TrainProgress(work, interrupts))
    except KeyboardInterrupt:
        state, command = after_stop(plan.folder, plan.config.category)
        console.print(state)
        if command is not None:
            next_step(command)
        raise typer.Exit(interrupts.exit_code) from None
    _report(run, options)


def _report_sent(plan: Plan, options: TrainCommand) -> None:
    from dmdd_edge.cli.train_remarks import next_after_training
    from dmdd_edge.run_store.mirror import shown
    from dmdd_edge.train.run_folder import FACTS, METRICS, read_json

    console.print(
        f"{shown(plan.folder)} was finished before and is sent now; nothing was trained. To train it again, "
        "run the command once more with --overwrite.",
        markup=False,
    )
    if options.json:
        print_json(
            read_json(plan.folder / METRICS)
            or {"category": plan.config.category, "run": str(plan.folder), "made_damage": None}
        )
    facts = {"holdout": [], **read_json(plan.folder / FACTS)}
    next_after_training(plan.folder, plan.config, facts, models_dir=options.models_dir)


def _report(run: TrainedRun, options: TrainCommand) -> None:
    from dmdd_edge.cli.tables import print_damage, print_result
    from dmdd_edge.cli.train_remarks import next_after_training, short_training
    from dmdd_edge.train.known_bad import describe_known_bad
    from dmdd_edge.train.robustness import describe_shares

    if run.metrics is not None:
        print_result(run.metrics)
    if run.threshold is not None:
        console.print(run.threshold.describe())
    if shares := run.facts.get("nuisances"):
        trained_for = run.config.synthesis.nuisances
        console.print(describe_shares(shares, len(run.facts["holdout"]), trained_for), markup=False)
    if known_bad := run.facts.get("known_bad"):
        console.print(describe_known_bad(known_bad), markup=False)
    if run.made_damage is not None:
        print_damage(run.made_damage, run.folder)
    if options.json and run.metrics is not None:
        print_json(run.metrics)
    elif options.json:
        print_json(
            {
                "category": run.category,
                "run": str(run.folder),
                "train_seconds": run.seconds,
                "made_damage": run.made_damage,
            }
        )
    for line in run.outliers:
        console.print(line, markup=False, style="yellow")
    for file in run.files:
        console.print(f"wrote {file}", markup=False)
    if remark := short_training(run.config, run.steps):
        console.print(remark, style="yellow")
    next_after_training(run.folder, run.config, run.facts, models_dir=options.models_dir)
