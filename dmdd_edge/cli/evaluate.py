"""`dmdd-edge evaluate`: a run on its test images, or a run or bundle on folders of good and bad parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dmdd_edge.cli.console import console, hear_copies, next_step, print_json
from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput, QuietOutput
from dmdd_edge.errors import OptionError
from dmdd_edge.export.options import EvaluateOptions
from dmdd_edge.options import Option, Rule

if TYPE_CHECKING:
    from dmdd_edge.export.evaluate_detector import Evaluated


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(JsonOutput, QuietOutput, EvaluateOptions):
    """The options of the command."""

    every: Annotated[bool, Option("Every run; with --data, those of its categories.", name="--all")] = False

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("every",),
            lambda values: values["model"] is None,
            "has no effect with --model: it is for runs, and --model names a bundle",
            "leave --model out",
        ),
    )

    def check(self) -> None:
        """Refuse what contradicts ``--all``."""
        if self.every and self.own_images:
            raise OptionError("--all is given together with --good or --bad.", "Name one run or bundle.")
        if self.every and (self.category is not None or self.run is not None):
            raise OptionError(
                "--all is given together with one run.",
                "Leave --all out, or leave --category and --run out.",
            )


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "evaluate", evaluate, EvaluateCommand)


def evaluate(options: EvaluateCommand) -> None:
    """Evaluate a run on its category's test images, or a run or a bundle on your own images.

    --good and --bad need no data set: --category takes the bundle if there is one, else the run.
    """
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.export.evaluate_detector import check_is_for_run, evaluate_detector
    from dmdd_edge.train.devices import check_device_name

    hear_copies(None if options.quiet else console.print)
    if options.every:
        check_is_for_run(options.given())
        check_device_name(options.device)
        from dmdd_edge.cli.evaluate_all import print_all

        print_all(options)
        return
    with Work(quiet=options.quiet) as work:
        result = evaluate_detector(options, work)
    _print(result, options)
    for file in result.files:
        console.print(f"wrote {file}", markup=False)
    if options.json and result.made_damage:
        from dmdd_edge.train.made_damage import as_json

        print_json(as_json(dict(result.metrics)))
    elif options.json:
        print_json(result.metrics)
    _next(result, options)


def _print(result: Evaluated, options: EvaluateCommand) -> None:
    from dmdd_edge.cli.tables import metrics_table, print_damage, print_result
    from dmdd_edge.evaluation.decisions import band_promise_line, promise_line, result_lines

    metrics, bundle = result.metrics, result.bundle
    if result.made_damage:
        print_damage(metrics, result.folder)
    elif bundle is None and not options.own_images:
        print_result(metrics)
    else:
        for number, line in enumerate(result_lines(metrics)):
            console.print(line, markup=False, style="bold" if number == 0 else None)
        decisions, threshold = result.decisions, result.threshold
        if decisions is not None and threshold is not None and decisions.threshold == threshold.image:
            for promise in (promise_line(decisions, threshold), band_promise_line(decisions, threshold)):
                if promise is not None:
                    console.print(promise, markup=False)
        if metrics["image_auroc"] is not None:  # with one kind of images there is nothing to rank
            console.print(metrics_table(metrics))
    for line in result.remarks:
        console.print(line, markup=False)
    if bundle is not None:
        console.print(f"bundle {bundle.category} {bundle.version} on {metrics['backend']}", markup=False)


def _next(result: Evaluated, options: EvaluateCommand) -> None:
    from dmdd_edge.cli.train_remarks import next_after_training
    from dmdd_edge.messages.commands import bundle_options, command, run_options

    if result.bundle is not None:
        named = bundle_options(result.folder.name, options.model, options.models_dir)
        next_step(command("run", **named, source="FOLDER_OR_IMAGE", save="out/"))
        return
    assert result.config is not None
    if options.own_images:
        next_step(command("export", **run_options(result.folder, result.config.category)))
    else:
        next_after_training(result.folder, result.config, result.facts, data=options.data)
