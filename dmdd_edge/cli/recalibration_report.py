"""What ``calibrate --from-feedback`` shows before it sets a threshold, and after."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.commands import bundle_options, command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmdd_edge.bundle.bundle import Bundle
    from dmdd_edge.cli.calibrate import CalibrateCommand
    from dmdd_edge.runtime.recalibration.proposal import Proposal
    from dmdd_edge.runtime.recalibration.recalibrate import RecalibrationOutcome


def describe(bundle: Bundle, proposal: Proposal) -> Iterator[str]:
    """The new threshold, what it promises, what it finds and what it rests on; one line each."""
    from dmdd_edge.bundle.threshold import images_needed, percent

    evidence, new, old = proposal.evidence, proposal.rate_new, proposal.rate_old
    head = f"{bundle.category}: threshold {proposal.new:.4f}, was {proposal.old:.4f}: at most"
    if proposal.holds:
        yield f"{head} {percent(proposal.alpha)} of good parts are expected above it."
    else:
        yield (
            f"{head} {percent(proposal.attainable)} of good parts are expected above it; "
            f"{percent(proposal.alpha)} needs {images_needed(proposal.alpha)} good parts."
        )
    if proposal.suspect is not None and proposal.suspect_rate is not None:
        yield (
            f"suspect above {proposal.suspect:.4f}: at most {percent(proposal.suspect_rate)} of good parts "
            "are expected to be suspect or anomalous"
        )
    yield f"false alarms: {percent(new.estimate)} of good parts, {percent(old.estimate)} before"
    yield f"in nine of ten cases the true share is between {percent(new.low)} and {percent(new.high)}"
    if len(evidence.bad):
        lost = proposal.lost
        at = f"; it loses {len(lost)}, with scores up to {lost[-1]:.4f}" if len(lost) else ""
        yield (
            f"known-bad parts found: {proposal.found_new} of {len(evidence.bad)}, "
            f"{proposal.found_old} before{at}"
        )
    else:
        yield "known-bad parts: none, so nothing is known of what it finds"
    yield (
        f"from {evidence.good:,.0f} good parts: {evidence.alarms_good:,} of {evidence.alarms:,} alarms, "
        f"{evidence.sampled:,} of {evidence.passing:,} that passed"
    )
    yield from _reservations(proposal)


def _reservations(proposal: Proposal) -> Iterator[str]:
    evidence = proposal.evidence
    yield "assumed: parts that passed are good, unless a person called them bad"
    if evidence.sampled_bad:
        yield (
            f"missed: {evidence.sampled_bad} of {evidence.sampled} sampled parts that passed are bad; "
            "that share of all that passed is left out"
        )
    if evidence.unreviewed:
        yield (
            f"no verdict: {evidence.unreviewed} of {evidence.alarms} alarms ({evidence.unsure} unsure, "
            f"{evidence.gone} gone); threshold {proposal.lowest:.4f} if they are bad, "
            + (f"{proposal.highest:.4f} if good" if proposal.highest is not None else "none if good")
        )
    if len(evidence.inspections) > 1:
        yield f"inspections: {', '.join(name or 'run' for name in evidence.inspections)}"
    if evidence.close:
        yield f"left out: {evidence.close} kept because they were close to the threshold, not at random"
    if evidence.unsampled:
        yield f"left out: {evidence.unsampled} judged while no random sample was kept"
    for name, count in evidence.other.most_common(3):
        yield f"left out: {count} images of {name}"


def show(bundle: Bundle, proposal: Proposal) -> None:
    """Print the new threshold beside the old one, with both histograms."""
    from dmdd_edge.cli.console import console
    from dmdd_edge.cli.threshold_picture import picture
    from dmdd_edge.runtime.calibration_doubts import at_zero

    lines = describe(bundle, proposal)
    console.print(next(lines))
    block = "█" if console.encoding.lower().startswith("utf") else "#"
    for line, style in picture(proposal.evidence, proposal.old, proposal.new, block):
        console.print(line, style=style or None)
    for line in lines:
        console.print(line)
    for line in at_zero(proposal.new):
        console.print(f"doubtful: {line}", style="yellow")


def ask(yes: bool) -> None:
    """Ask whether the threshold is set.

    Raises:
        OptionError: the answer is no, or nobody can answer.
    """
    from dmdd_edge.cli.console import console

    if yes:
        return
    if sys.stdin is not None and sys.stdin.isatty() and console.is_terminal:
        if typer.confirm("Set this threshold?", err=True):
            return
        raise OptionError("The threshold was not changed.", "Repeat the command when you want to set it.")
    raise OptionError(
        "The threshold was not changed: nobody can answer here.",
        "To set it, repeat the command with --yes.",
    )


def report(outcome: RecalibrationOutcome, options: CalibrateCommand) -> None:
    """Say that the threshold is set, and how that is undone."""
    from dmdd_edge.cli.calibrate import WORKING
    from dmdd_edge.cli.console import console, next_step, print_json

    bundle = outcome.bundle
    if options.json:
        document = outcome.calibration.model_dump(mode="json")
        document["exported"] = bundle.manifest.threshold.image
        document["path"] = str(outcome.path)
        print_json(document)
    chosen = bundle_options(bundle.category, options.model, options.models_dir)
    chosen["precision"] = bundle.precision or None
    console.print(f"the threshold is set; undo: {command('calibrate', **chosen, undo=True)}")
    console.print(WORKING)
    # The reviewed images are good for more: for training, and for the challenge set.
    next_step(command("review", options.from_feedback or "", export="reviewed"))
