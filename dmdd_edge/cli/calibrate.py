"""``dmdd-edge calibrate``: set the threshold on the line, from good parts, without training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.messages.commands import bundle_options, command
from dmdd_edge.options import Option, Rule
from dmdd_edge.runtime.options.calibrate import CalibrateOptions

if TYPE_CHECKING:
    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.bundle.calibration import Calibration
    from dmdd_edge.runtime.calibrate import CalibrationOutcome
    from dmdd_edge.runtime.recalibration.proposal import Proposal

#: A run reads the threshold with its bundle.
WORKING = "a run that works now takes it on SIGHUP, or at its next start"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "calibrate", calibrate, CalibrateCommand)


@dataclass(frozen=True, kw_only=True)
class CalibrateCommand(JsonOutput, CalibrateOptions):
    """The options of ``calibrate``."""

    reset: Annotated[bool, Option("Return to the threshold set at export.")] = False
    undo: Annotated[bool, Option("Return to the calibration before.")] = False
    history: Annotated[bool, Option("List the calibrations, and change none.")] = False
    yes: Annotated[
        bool, Option("Set the threshold without a question, also from few or doubtful images.")
    ] = False

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("source", "from_feedback", "reset", "undo", "history"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            (
                *("limit", "strip", "false_alarm_rate", "suspect_rate", "min_area", "mm_per_px"),
                *("backend", "engine_cache", "cuda_driver", "io_memory"),
            ),
            lambda values: not values["reset"],
            "has no effect with --reset, which returns to the exported threshold",
            "give --source instead of --reset",
        ),
        Rule(
            ("false_alarm_rate", "suspect_rate"),
            lambda values: not (values["undo"] or values["history"]),
            "has no effect with --undo and --history, which set no threshold",
            "give --source or --from-feedback",
        ),
        Rule(
            ("limit", "strip", "min_area", "mm_per_px"),
            lambda values: not (values["from_feedback"] or values["undo"] or values["history"]),
            "has no effect without --source",
            "give --source",
        ),
    )

    def check(self) -> None:
        """Raise an ``OptionError`` without anything to do."""
        super().check()
        if (
            self.source is None
            and self.from_feedback is None
            and not (self.reset or self.undo or self.history)
        ):
            raise OptionError(
                "calibrate needs --source, --from-feedback, --undo, --history or --reset.",
                "Give --source FOLDER with images of good parts, or --from-feedback with an archive.",
            )


def calibrate(options: CalibrateCommand) -> None:
    """Set a new threshold from images of good parts, or from an archive; kept beside the bundle."""
    from dmdd_edge.cli import calibration_history
    from dmdd_edge.workspace import load_bundle

    if options.reset or options.undo or options.history:
        bundle = load_bundle(options.category, options.model, options.models_dir).at(options.precision)
        if options.reset:
            _reset(bundle, options)
        elif options.undo:
            calibration_history.undo(bundle, options)
        else:
            calibration_history.history(bundle, options)
        return
    if options.from_feedback is not None:
        _from_feedback(options)
        return
    _from_source(options)


def _from_source(options: CalibrateCommand) -> None:
    from dmdd_edge.cli.console import console

    remarks: list[str] = []  # printed below the threshold: the answer comes first
    try:
        outcome = _measured(options, remarks.append)
    except DmddError:
        for line in remarks:
            console.print(line)
        raise
    _report(outcome, remarks, options)


def _measured(options: CalibrateCommand, say: Callable[[str], None]) -> CalibrationOutcome:
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.runtime.calibrate import calibrate as set_threshold

    with ExitStack() as stack:
        work = stack.enter_context(Work())

        def confirm(doubted: list[str]) -> None:
            stack.close()  # the bar would hide the question
            _confirm(doubted, options.yes)

        return set_threshold(
            options,
            confirm,
            lambda done, total: work.update("scoring good parts", done, total),
            say=say,
        )


def _from_feedback(options: CalibrateCommand) -> None:
    from dmdd_edge.cli.console import console
    from dmdd_edge.cli.recalibration_report import ask, report, show
    from dmdd_edge.runtime.recalibration.recalibrate import recalibrate

    def confirm(bundle: Bundle, proposal: Proposal) -> None:
        show(bundle, proposal)
        ask(options.yes)

    report(recalibrate(options, confirm, console.print), options)


def _reset(bundle: Bundle, options: CalibrateCommand) -> None:
    from dmdd_edge.bundle.calibration import calibration_path, remove_calibration
    from dmdd_edge.cli.calibration_history import gate_way_back
    from dmdd_edge.cli.console import console, print_json

    remarks = gate_way_back(bundle, None, options.allow_loss) if calibration_path(bundle).exists() else []
    removed = remove_calibration(bundle)
    threshold = bundle.manifest.threshold.image
    if options.json:
        print_json(
            {
                "category": bundle.category,
                "version": bundle.version,
                "removed": removed,
                "threshold": threshold,
            }
        )
    what = "calibration removed" if removed else "there was no calibration"
    console.print(f"{bundle.category}: {what}; threshold {threshold:.4f} as exported")
    for line in remarks:
        console.print(line)
    if removed:
        console.print(WORKING)


def _report(outcome: CalibrationOutcome, remarks: list[str], options: CalibrateCommand) -> None:
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.data.images import describe_passed_over

    bundle, scores = outcome.bundle, outcome.scores
    exported = bundle.manifest.threshold.image
    if options.json:
        document = outcome.calibration.model_dump(mode="json")
        document["exported"] = exported
        document["doubts"] = outcome.doubts
        document["pixel"] = outcome.effective.pixel
        document["path"] = str(outcome.path)
        print_json(document)
    if outcome.passed_over:
        console.print(f"passed over: {describe_passed_over(outcome.passed_over)}")
    if scores.unreliable + scores.skipped:
        console.print(
            f"left out: {scores.unreliable} unreliable, {scores.skipped} unreadable; "
            f"the first: {scores.first_reason}"
        )
    console.print(f"{bundle.category}: {outcome.threshold.describe()}")
    for line in band_and_gate_lines(outcome.calibration):
        console.print(line)
    for line in remarks:
        console.print(line)
    if outcome.not_kept:
        console.print(f"not kept from the calibration before: {outcome.not_kept}. Give it again to keep it")
    chosen = bundle_options(bundle.category, options.model, options.models_dir)
    chosen["precision"] = bundle.precision or None
    console.print(f"it was {exported:.4f} at export; undo: {command('calibrate', **chosen, undo=True)}")
    console.print(WORKING)
    if outcome.live:
        source = redacted(options.source or "")
        next_step(command("run", **chosen, source=source, engine_cache=options.engine_cache))
    elif options.model is None:
        # The images of the calibration again would show nothing new.
        next_step(command("models", "show", bundle.category, models_dir=options.models_dir))


def band_and_gate_lines(calibration: Calibration) -> Iterator[str]:
    """Lines about the lower threshold and the smallest area, and how many good images they decide on."""
    threshold, gate, counts = calibration.threshold, calibration.gate, calibration.gated
    if threshold.suspect is not None:
        yield threshold.describe_band()
    if gate is None or counts is None:
        return
    all_ = f"of {threshold.normals} good image{'s' * (threshold.normals != 1)}"
    yield (
        f"smallest region {gate.describe()}: {counts.anomalous} {all_} are anomalous, and by score alone "
        f"{counts.above} would be. It can only lower the false-alarm rate"
    )
    if counts.suspect is not None and counts.suspect_above is not None:
        total = counts.suspect + counts.anomalous
        yield f"{total} {all_} are suspect or anomalous, and by score alone {counts.suspect_above} would be"


def _confirm(doubted: list[str], yes: bool) -> None:
    """Ask whether the images set the threshold all the same.

    Raises:
        OptionError: the answer is no, or nobody can answer.
    """
    from dmdd_edge.cli.console import console
    from dmdd_edge.runtime.calibration_doubts import ENOUGH

    more = f"Give at least {ENOUGH} images, of good parts only"
    can_answer = sys.stdin is not None and sys.stdin.isatty() and console.is_terminal
    for line in doubted if yes or can_answer else doubted[1:]:  # the error below names the first one
        console.print(f"doubtful: {line}", style="yellow")
    if yes:
        return
    if can_answer:
        if typer.confirm("Set the threshold from these images?", err=True):
            return
        raise OptionError("The threshold was not changed.", f"{more}.")
    raise OptionError(
        f"The threshold was not changed: {doubted[0]}.",
        f"{more}. To set the threshold from these images, repeat the command with --yes.",
    )
